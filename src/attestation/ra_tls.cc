// SPDX-License-Identifier: Apache-2.0
// Sources: "Interoperable RA-TLS" of the Confidential Computing Consortium (CCC-Attestation/interoperable-ra-tls, docs/),
// Open Enclave (docs/DesignDocs, bits/attestation.h, internal/plugin.h), EGo, Gramine (tools/sgx/ra-tls).
#include "enclayer/ra_tls.h"

#include <openssl/err.h>
#include <openssl/evp.h>

#include <algorithm>
#include <initializer_list>
#include <limits>

#include "attestation/cbor_reader.h"
#include "attestation/collateral_forms.h"
#include "attestation/name.h"
#include "attestation/openssl.h"
#include "attestation/window.h"
#include "attestation/x509_parts.h"
#include "base/base64.h"
#include "base/bytes.h"
#include "base/digest.h"
#include "base/hex.h"
#include "base/malformed.h"
#include "enclayer/verifier.h"

namespace enclayer {
namespace attestation {
namespace {

constexpr base::Malformed bad_ra_tls{"RA-TLS certificate: "};
Error unsupported_ra_tls(const std::string& why) { return {ErrorKind::kUnsupported, "RA-TLS certificate: " + why}; }

using KeyPtr = OpensslPtr<EVP_PKEY, EVP_PKEY_free>;

// ---- X.509. Stranger certificates than those of chains (certificate.h): other keys, other algorithms, and Gramine's
// NULL after ecdsa-with-SHA256, which RFC 5758, 3.2, forbids and which is let pass here and nowhere else. ----

struct SignatureAlgorithm {
  const char* oid;  // content, in hexadecimal digits
  const EVP_MD* (*digest)();
};
constexpr SignatureAlgorithm kSignatureAlgorithms[] = {
    {"2a8648ce3d040302", EVP_sha256},    // ecdsa-with-SHA256
    {"2a8648ce3d040303", EVP_sha384},    // ecdsa-with-SHA384
    {"2a8648ce3d040304", EVP_sha512},    // ecdsa-with-SHA512
    {"2a864886f70d01010b", EVP_sha256},  // sha256WithRSAEncryption
    {"2a864886f70d01010c", EVP_sha384}, {"2a864886f70d01010d", EVP_sha512}, {"2b6570", nullptr},  // Ed25519
};

// AlgorithmIdentifiers of keys. A curve that is not named, but described, can be a look-alike.
constexpr const char* kKeyAlgorithms[] = {
    "301306072a8648ce3d020106082a8648ce3d030107",  // P-256
    "301006072a8648ce3d020106052b81040022",        // P-384
    "301006072a8648ce3d020106052b81040023",        // P-521
    "300d06092a864886f70d0101010500",              // RSA
    "300506032b6570",                              // Ed25519
};
constexpr int kMinRsaBits = 2048, kMaxRsaBits = 8192;

// The algorithm of an AlgorithmIdentifier without parameters, or with NULL.
Result<const SignatureAlgorithm*> signature_algorithm(ByteView identifier) {
  DerReader whole(identifier);
  DerReader parts(whole.next(DerReader::kSequence).value_or(ByteView()));
  const std::string oid = base::to_hex(parts.next(DerReader::kOid).value_or(ByteView()));
  constexpr std::uint8_t kNull = 0x05;
  const bool empty = !parts.at(kNull) || same(parts.next(kNull).value_or(identifier), {});  // NULL has no content
  if (!empty || !parts.done()) return bad_ra_tls("its signature's algorithm has parameters");
  for (const SignatureAlgorithm& known : kSignatureAlgorithms)
    if (oid == known.oid) return &known;
  return unsupported_ra_tls(
      "its signature is of an algorithm that is not known here; ECDSA, RSA (PKCS #1, version 1.5) with "
      "SHA-256, SHA-384 or SHA-512 and Ed25519 are");
}

Result<KeyPtr> any_key_from(ByteView subject_public_key_info) {
  DerReader whole(subject_public_key_info);
  DerReader parts(whole.next(DerReader::kSequence).value_or(ByteView()));
  const std::string algorithm = base::to_hex(parts.whole(DerReader::kSequence).value_or(ByteView()));
  if (std::find(std::begin(kKeyAlgorithms), std::end(kKeyAlgorithms), algorithm) == std::end(kKeyAlgorithms))
    return unsupported_ra_tls("its key is of a kind that is not known here; P-256, P-384, P-521, RSA and Ed25519 are");
  const unsigned char* at = subject_public_key_info.data();
  KeyPtr key(d2i_PUBKEY(nullptr, &at, static_cast<long>(subject_public_key_info.size())));
  ERR_clear_error();
  if (!key || at != subject_public_key_info.data() + subject_public_key_info.size())
    return bad_ra_tls("its key cannot be read");
  if (const int bits = EVP_PKEY_get_bits(key.get());
      EVP_PKEY_is_a(key.get(), "RSA") != 0 && (bits < kMinRsaBits || bits > kMaxRsaBits))
    return unsupported_ra_tls("its RSA key has " + std::to_string(bits) + " bits; " + std::to_string(kMinRsaBits) +
                              " to " + std::to_string(kMaxRsaBits) + " are taken");
  return key;
}

bool signed_by(EVP_PKEY* key, const SignatureAlgorithm& algorithm, const SignedParts& parts) {
  OpensslPtr<EVP_MD_CTX, EVP_MD_CTX_free> context(EVP_MD_CTX_new());
  const EVP_MD* digest = algorithm.digest == nullptr ? nullptr : algorithm.digest();
  const bool good = context && EVP_DigestVerifyInit(context.get(), nullptr, digest, nullptr, key) == 1 &&
                    EVP_DigestVerify(context.get(), parts.signature.data(), parts.signature.size(),
                                     parts.content.data(), parts.content.size()) == 1;
  ERR_clear_error();
  return good;
}

// ---- Evidence: what each extension holds, and what its report data has to be ----

struct BoundKey {
  ByteView der;            // SubjectPublicKeyInfo
  ByteArray<32> digest{};  // SHA-256 of it
};

const ByteArray<64>& report_data(const Quote& quote) {
  return quote.sgx() ? quote.report().report_data : quote.td_report().report_data;
}

// The digest and 32 zero bytes.
bool says(const Quote& quote, const ByteArray<32>& digest) {
  ByteArray<64> wanted{};
  std::copy(digest.begin(), digest.end(), wanted.begin());
  return report_data(quote) == wanted;
}

// "-----BEGIN PUBLIC KEY-----", lines of 64 digits, "-----END PUBLIC KEY-----", and a NUL: what Open Enclave hashes.
std::string pem_and_nul(ByteView public_key) {
  const std::string digits = base::to_base64(public_key);
  std::string out = "-----BEGIN PUBLIC KEY-----\n";
  for (std::size_t at = 0; at < digits.size(); at += 64) out += digits.substr(at, 64) + "\n";
  return out + "-----END PUBLIC KEY-----\n" + '\0';
}

// The quote that fills these bytes.
Result<RaTlsEvidence> evidence_of(const char* kind, ByteView quote) {
  auto parsed = parse_quote(quote);
  if (!parsed) return parsed.error().with_context(std::string("RA-TLS certificate: its ") + kind + " evidence");
  if (parsed->size + (parsed->open_enclave_header ? 16 : 0) != quote.size())
    return bad_ra_tls(std::string("bytes follow after the quote of its ") + kind + " evidence");
  return RaTlsEvidence{kind, base::copy_of(quote), std::move(*parsed)};
}

// Gramine's, and Intel's where it stands alone.
Result<RaTlsEvidence> key_evidence(const char* kind, ByteView value, const BoundKey& key) {
  ENCLAYER_TRY(RaTlsEvidence out, evidence_of(kind, value));
  out.binds = says(out.parsed, key.digest);
  return out;
}

Result<RaTlsEvidence> open_enclave_report(ByteView value, const BoundKey& key) {
  ENCLAYER_TRY(RaTlsEvidence out, evidence_of("open-enclave", value));
  out.binds = says(out.parsed, key.digest) || says(out.parsed, base::sha256(base::as_bytes(pem_and_nul(key.der))));
  return out;
}

// oe_attestation_header_t: version u32 = 3, format UUID 16, 4 bytes of padding, size u64; then the quote, then the
// custom claims, which are the key in PEM.
Result<RaTlsEvidence> open_enclave_evidence(ByteView value, const BoundKey& key) {
  constexpr std::uint8_t kSgxEcdsa[] = {0xa3, 0xa2, 0x1e, 0x87, 0x1b, 0x4d, 0x40, 0x14,
                                        0xb7, 0x0a, 0xa1, 0x25, 0xd2, 0xfb, 0xcd, 0x8c};
  constexpr std::size_t kHeader = 32;
  if (value.size() < kHeader || base::load_le32(value.data()) != 3 || !same(value.subspan(4, 16), kSgxEcdsa) ||
      base::load_le64(value.data() + 24) != value.size() - kHeader)
    return unsupported_ra_tls("its open-enclave evidence is not of the format SGX_ECDSA with a header of version 3");
  value = value.subspan(kHeader);
  auto parsed = parse_quote(value);
  if (!parsed) return parsed.error().with_context("RA-TLS certificate: its open-enclave evidence");
  if (parsed->open_enclave_header) return bad_ra_tls("its open-enclave evidence has a header too many");
  std::string_view claims = base::as_text(value.subspan(parsed->size));
  RaTlsEvidence out{"open-enclave", base::copy_of(value.first(parsed->size)), std::move(*parsed)};
  const bool hashed = says(out.parsed, base::sha256(base::as_bytes(claims)));
  while (claims.ends_with('\0') || claims.ends_with('\n')) claims.remove_suffix(1);
  constexpr std::string_view kBegin = "-----BEGIN PUBLIC KEY-----", kEnd = "-----END PUBLIC KEY-----";
  if (hashed && claims.starts_with(kBegin) && claims.ends_with(kEnd) && claims.size() >= kBegin.size() + kEnd.size()) {
    auto der = base::from_base64(claims.substr(kBegin.size(), claims.size() - kBegin.size() - kEnd.size()),
                                 base::Base64::kAny);
    out.binds = der && same(*der, key.der);
  }
  return out;
}

constexpr std::uint64_t kQuoteTag = 60000, kReportTag = 60001, kLegacyReportTag = 60002;
constexpr std::size_t kMaxClaims = 64;

// [hash algorithm, hash] of the key (the numbers are those of IANA's "Named Information Hash Algorithm Registry").
bool is_hash_of(ByteView hash_entry, const BoundKey& key) {
  CborReader reader(hash_entry);
  if (reader.array() != 2U) return false;
  const auto algorithm = reader.number();
  const auto hash = reader.bytes();
  if (!algorithm || !hash || !reader.done()) return false;
  const EVP_MD* digest = *algorithm == 1   ? EVP_sha256()
                         : *algorithm == 7 ? EVP_sha384()
                         : *algorithm == 8 ? EVP_sha512()
                                           : nullptr;
  std::uint8_t wanted[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  return digest != nullptr && EVP_Digest(key.der.data(), key.der.size(), wanted, &size, digest, nullptr) == 1 &&
         same(*hash, {wanted, size});
}

// tag([quote, claims]); claims are a map from texts to byte strings, of which "pubkey-hash" binds the key.
Result<RaTlsEvidence> dice_evidence(ByteView value, const BoundKey& key, RaTlsCertificate& certificate) {
  CborReader reader(value);
  const auto tag = reader.tag();
  if (tag == kReportTag || tag == kLegacyReportTag)
    return unsupported_ra_tls(
        "its dice evidence is a report, which only its own platform can check; a quote is needed");
  if (tag != kQuoteTag) return unsupported_ra_tls("its dice evidence is not an SGX or TDX quote (CBOR tag 60000)");
  const bool pair = reader.array() == 2U;
  const auto quote = pair ? reader.bytes() : std::nullopt, claims = quote ? reader.bytes() : std::nullopt;
  if (!claims || !reader.done()) return bad_ra_tls("its dice evidence is not two byte strings in an array");
  ENCLAYER_TRY(RaTlsEvidence out, evidence_of("dice", *quote));

  CborReader map(*claims);
  const auto count = map.map();
  if (!count || *count > kMaxClaims) return bad_ra_tls("the claims of its dice evidence are not a map of at most 64");
  std::vector<std::string_view> names;
  std::optional<ByteView> hash;
  for (std::uint64_t i = 0; i < *count; ++i) {
    const auto name = map.text();
    const auto content = name ? map.bytes() : std::nullopt;
    if (!content) return bad_ra_tls("a claim of its dice evidence is not a byte string by a name");
    if (std::find(names.begin(), names.end(), *name) != names.end())
      return bad_ra_tls("a claim of its dice evidence is there twice");
    names.push_back(*name);
    if (*name == "pubkey-hash") hash = content;
    if (*name == "nonce") certificate.nonce = base::copy_of(*content);
  }
  if (!map.done()) return bad_ra_tls("bytes follow after the claims of its dice evidence");
  out.binds = hash && is_hash_of(*hash, key) && says(out.parsed, base::sha256(*claims));
  return out;
}

// tag([version, TCB Info, its issuer chain, PCK CRL, root CA CRL, the PCK CRL's issuer chain, QE Identity, its issuer
// chain, (when it was made)]): the order of Open Enclave's oe_sgx_endorsements_fields_t.
Result<Collateral> endorsements(ByteView value) {
  CborReader reader(value);
  const bool tagged = reader.tag() == kQuoteTag;
  const auto count = tagged ? reader.array() : std::nullopt;
  ByteView parts[8];
  bool good = count && (*count == 8 || *count == 9) && reader.number();
  for (std::size_t i = 0; good && i + 1 < *count; ++i) {
    const auto part = reader.bytes();
    good = part.has_value();
    if (good) parts[i] = *part;
  }
  if (!good || !reader.done()) return bad_ra_tls("its collateral is not a number and 7 or 8 byte strings in an array");
  auto text = [](ByteView bytes) {
    std::string out(base::as_text(bytes));
    if (out.ends_with('\0')) out.pop_back();
    return out;
  };
  Collateral out;
  ENCLAYER_TRY(SignedText tcb_info, signed_text(text(parts[0]), "tcbInfo"));
  out.tcb_info = std::move(tcb_info.text);
  out.tcb_info_signature = std::move(tcb_info.signature);
  out.tcb_info_issuer_chain = text(parts[1]);
  ENCLAYER_TRY(out.pck_crl, crl_in_der(parts[2]));
  ENCLAYER_TRY(out.root_ca_crl, crl_in_der(parts[3]));
  out.pck_crl_issuer_chain = text(parts[4]);
  ENCLAYER_TRY(SignedText qe_identity, signed_text(text(parts[5]), "enclaveIdentity"));
  out.qe_identity = std::move(qe_identity.text);
  out.qe_identity_signature = std::move(qe_identity.signature);
  out.qe_identity_issuer_chain = text(parts[6]);
  return out;
}

// Extensions by the content of their OID, in hexadecimal digits.
enum class Holds { kGramine, kIntel, kOpenEnclaveReport, kOpenEnclaveEvidence, kDice, kEndorsements, kHarmless };
struct KnownExtension {
  const char* oid;
  Holds what;
};
constexpr KnownExtension kKnownExtensions[] = {
    {"06092a864886f84d8a3906", Holds::kGramine},          // 0.6.9.42.840.113741.1337.6
    {"2a864886f84d010d01", Holds::kIntel},                // 1.2.840.113741.1.13.1
    {"2a864886f7140a0101", Holds::kOpenEnclaveReport},    // 1.2.840.113556.10.1.1
    {"2b0601040182376901", Holds::kOpenEnclaveReport},    // 1.3.6.1.4.1.311.105.1
    {"2a864886f7140a0102", Holds::kOpenEnclaveEvidence},  // 1.2.840.113556.10.1.2
    {"2b0601040182376902", Holds::kOpenEnclaveEvidence},  // 1.3.6.1.4.1.311.105.2
    {"678105050409", Holds::kDice},                       // 2.23.133.5.4.9
    {"678105050402", Holds::kEndorsements},               // 2.23.133.5.4.2
    // What they say is TLS's matter, not that of evidence.
    {"551d0f", Holds::kHarmless},  // key usage
    {"551d11", Holds::kHarmless},  // subject alternative name
    {"551d13", Holds::kHarmless},  // basic constraints
    {"551d25", Holds::kHarmless},  // extended key usage
};

constexpr std::size_t kMaxExtensions = 64;     // real ones have up to 5
constexpr std::size_t kMaxNameSize = 4 << 10;  // bytes; real ones have about 60

Result<> read_extensions(DerReader extensions, const BoundKey& key, RaTlsCertificate& out) {
  std::vector<std::string> seen;
  std::optional<RaTlsEvidence> intel, dice;
  while (!extensions.done()) {
    auto extension = next_extension(extensions);
    if (!extension) return bad_ra_tls("its extensions are damaged");
    if (seen.size() == kMaxExtensions)
      return unsupported_ra_tls("it has more than " + std::to_string(kMaxExtensions) + " extensions");
    const std::string oid = base::to_hex(extension->oid);
    if (std::find(seen.begin(), seen.end(), oid) != seen.end()) return bad_ra_tls("an extension is there twice");
    seen.push_back(oid);
    const auto* known = std::find_if(std::begin(kKnownExtensions), std::end(kKnownExtensions),
                                     [&](const KnownExtension& k) { return oid == k.oid; });
    if (known == std::end(kKnownExtensions)) {
      if (extension->critical) return unsupported_ra_tls("it has a critical extension that is not known here");
      continue;
    }
    const ByteView value = extension->value;
    auto add = [&](Result<RaTlsEvidence> evidence) -> Result<> {
      if (!evidence) return evidence.error();
      out.evidence.push_back(std::move(*evidence));
      return {};
    };
    switch (known->what) {
      case Holds::kGramine: ENCLAYER_CHECK(add(key_evidence("gramine", value, key))); break;
      case Holds::kIntel:
        if (!value.empty() && value[0] == DerReader::kSequence) break;  // a PCK certificate's extension of that number
        { ENCLAYER_TRY(intel, key_evidence("intel", value, key)); }
        break;
      case Holds::kOpenEnclaveReport: ENCLAYER_CHECK(add(open_enclave_report(value, key))); break;
      case Holds::kOpenEnclaveEvidence: ENCLAYER_CHECK(add(open_enclave_evidence(value, key))); break;
      case Holds::kDice: {
        ENCLAYER_TRY(dice, dice_evidence(value, key, out));
        break;
      }
      case Holds::kEndorsements: {
        ENCLAYER_TRY(out.collateral, endorsements(value));
        break;
      }
      case Holds::kHarmless: break;
    }
  }
  // Intel's SDK puts one quote into both extensions, and only the claims of dice say what its report data means.
  if (intel && dice && intel->quote == dice->quote) intel->binds = dice->binds;
  if (intel) out.evidence.push_back(std::move(*intel));
  if (dice) out.evidence.push_back(std::move(*dice));
  if (out.evidence.empty()) return Error(ErrorKind::kNotFound, "RA-TLS certificate: it has no SGX or TDX evidence");
  return {};
}

// Two quotes of one enclave or TD on one platform: they differ in report data and signature alone.
bool of_one_enclave(const Quote& a, const Quote& b) {
  auto body = [](const Quote& quote) {
    auto out = quote.body;
    std::visit([](auto& report) { report.report_data = {}; }, out);
    return out;
  };
  return a.header == b.header && body(a) == body(b) && a.attestation_key == b.attestation_key &&
         a.qe_report_bytes == b.qe_report_bytes && a.qe_auth_data == b.qe_auth_data &&
         a.certification == b.certification;
}

Verification verify_parsed(const RaTlsCertificate& certificate, const Collateral* collateral, const TrustedRoot& root,
                           Time at, Verifier* verifier, Verification out) {
  auto refused = [&](Reason reason, std::string detail) {
    out.reason = reason;
    out.detail = std::move(detail);
    return std::move(out);
  };
  const std::string of = "the certificate \"" + certificate.subject + "\"";
  if (!certificate.signed_itself)
    return refused(Reason::kRaTlsCertificateInvalid, of + " is not signed by its own key");
  if (const Window validity{certificate.valid_from, certificate.valid_until}; !validity.holds(at))
    return refused(Reason::kRaTlsCertificateExpired, validity.refusal(of, at));
  for (const RaTlsEvidence& evidence : certificate.evidence)
    if (!evidence.binds)
      return refused(Reason::kRaTlsKeyNotBound, "the " + evidence.kind + " evidence of " + of +
                                                    " is not bound to its key: the quote is somebody else's");
  for (const RaTlsEvidence& evidence : certificate.evidence)
    if (!of_one_enclave(evidence.parsed, certificate.evidence.front().parsed))
      return refused(Reason::kRaTlsKeyNotBound, of + " has quotes of several enclaves or platforms");
  if (collateral == nullptr && !certificate.collateral)
    return refused(Reason::kUnsupportedCollateralFormat, of + " carries no collateral, and none was given");
  if (collateral == nullptr) collateral = &*certificate.collateral;

  AttestedKey key{base::sha256(certificate.public_key), certificate.valid_until, {}, certificate.nonce};
  for (const RaTlsEvidence& evidence : certificate.evidence) {
    out = verifier != nullptr ? verifier->verify(evidence.quote, *collateral, root, at)
                              : verify(evidence.quote, *collateral, root, at);
    if (!out.verified()) return out;
    key.evidence.push_back(evidence.kind);
  }
  out.earliest_expiry = std::min(out.earliest_expiry.value_or(key.valid_until), key.valid_until);
  out.attested_key = std::move(key);
  return out;
}

}  // namespace
}  // namespace attestation

Result<RaTlsCertificate> parse_ra_tls(ByteView der) {
  using namespace attestation;
  constexpr std::string_view kNotACertificate = "it is not X.509 in DER";
  ENCLAYER_TRY(SignedParts parts, signed_parts(der, RaTlsCertificate::kMaxSize, bad_ra_tls, kNotACertificate));
  ENCLAYER_TRY(TbsFields fields, tbs_fields(parts, bad_ra_tls, kNotACertificate));
  if (!fields.extensions)
    return Error(ErrorKind::kNotFound, "RA-TLS certificate: it has no extensions, so no evidence");
  ENCLAYER_TRY(const SignatureAlgorithm* signature, signature_algorithm(parts.algorithm));
  auto name = fields.subject.size() <= kMaxNameSize ? Name::from_der(fields.subject) : std::nullopt;
  if (!name) return bad_ra_tls("its subject is not a name");
  ENCLAYER_TRY(KeyPtr key, attestation::any_key_from(fields.public_key));

  RaTlsCertificate out;
  out.subject = name->text();
  out.valid_from = fields.from;
  out.valid_until = fields.until;
  out.public_key = base::copy_of(fields.public_key);
  const attestation::BoundKey bound{fields.public_key, base::sha256(fields.public_key)};
  ENCLAYER_CHECK(attestation::read_extensions(DerReader(*fields.extensions), bound, out));
  out.signed_itself = same(fields.issuer, fields.subject) && signed_by(key.get(), *signature, parts);
  return out;
}

Verification verify_ra_tls(ByteView der, const Collateral* collateral, const TrustedRoot& root, Time at,
                           Verifier* verifier) {
  Verification out;
  out.custom_root = root.custom();
  out.simulated = root.simulated();
  auto certificate = parse_ra_tls(der);
  if (!certificate) {
    out.reason = Reason::kUnsupportedRaTlsFormat;
    out.detail = certificate.error().message();
    return out;
  }
  return attestation::verify_parsed(*certificate, collateral, root, at, verifier, std::move(out));
}

}  // namespace enclayer
