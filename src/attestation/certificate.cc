// SPDX-License-Identifier: Apache-2.0
#include "attestation/certificate.h"

#include <algorithm>

#include "attestation/pem.h"
#include "attestation/x509_parts.h"
#include "base/bytes.h"
#include "base/digest.h"
#include "base/malformed.h"

namespace enclayer::attestation {
namespace {

// AlgorithmIdentifier of a key on P-256 named by its OID, { id-ecPublicKey, prime256v1 } (RFC 5480, 2.1.1). Explicit
// curve parameters are refused: they can describe a look-alike.
constexpr std::uint8_t kP256Key[] = {0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01,
                                     0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07};

constexpr base::Malformed bad_certificate{"certificate: "};
Error unsupported_certificate(std::string message) {
  return {ErrorKind::kUnsupported, "certificate: " + std::move(message)};
}
constexpr std::string_view kNotACertificate = "it is not X.509 in DER";

Result<P256Key> key_from(ByteView subject_public_key_info) {
  DerReader whole(subject_public_key_info);
  DerReader parts(whole.next(DerReader::kSequence).value_or(ByteView()));
  auto algorithm = parts.whole(DerReader::kSequence);
  auto bits = parts.next(DerReader::kBitString);
  if (!algorithm || !bits || !parts.done()) return bad_certificate("it has no public key");
  if (!same(*algorithm, kP256Key)) return unsupported_certificate("its key is not on the curve P-256");
  // No bit unused, and the mark of an uncompressed point.
  if (bits->size() != 66 || (*bits)[0] != 0 || (*bits)[1] != 4)
    return unsupported_certificate("its key is not an uncompressed point");
  auto key = P256Key::from_point(base::array_at<64>(*bits, 2));
  if (!key) return bad_certificate("its key is not a point of P-256");
  return *key;
}

// ---- Extensions: those that are processed. Others may be there, but not critical (RFC 5280, 4.2) ----

enum ExtensionKind { kSubjectKey, kUsage, kConstraints, kAuthorityKey, kSgx, kKinds };

ExtensionKind kind_of(ByteView oid) {
  constexpr std::uint8_t kSgxOid[] = {0x2a, 0x86, 0x48, 0x86, 0xf8, 0x4d, 0x01, 0x0d, 0x01};  // 1.2.840.113741.1.13.1
  if (same(oid, kSgxOid)) return kSgx;
  if (oid.size() != 3 || oid[0] != 0x55 || oid[1] != 0x1d) return kKinds;
  switch (oid[2]) {  // 2.5.29.
    case 14: return kSubjectKey;
    case 15: return kUsage;
    case 19: return kConstraints;
    case 35: return kAuthorityKey;
    default: return kKinds;
  }
}

// BasicConstraints: SEQUENCE { cA BOOLEAN DEFAULT FALSE, pathLenConstraint INTEGER OPTIONAL }.
bool read_constraints(ByteView value, Certificate& out) {
  DerReader whole(value);
  auto content = whole.next(DerReader::kSequence);
  if (!content || !whole.done()) return false;
  DerReader parts(*content);
  bool is_ca = false;
  if (parts.at(DerReader::kBoolean)) {
    auto ca = parts.next(DerReader::kBoolean);
    if (!ca || ca->size() != 1 || ((*ca)[0] != 0 && (*ca)[0] != 0xff)) return false;
    is_ca = (*ca)[0] != 0;
  }
  std::optional<long> length;
  if (!parts.done()) {
    auto element = parts.next();
    auto number = element ? DerReader::number(*element, DerReader::kInteger, 0xffff) : std::nullopt;
    if (!number) return false;
    length = *number;
  }
  if (!parts.done()) return false;
  out.is_ca = is_ca;
  out.path_length = length;
  return true;
}

// KeyUsage: BIT STRING, bits by their numbers in RFC 5280, 4.2.1.3; at least one of them is set.
bool read_usage(ByteView value, Certificate& out) {
  DerReader whole(value);
  auto bits = whole.next(DerReader::kBitString);
  if (!bits || !whole.done() || bits->size() < 2 || bits->size() > 3) return false;
  std::uint8_t unused = (*bits)[0], first = (*bits)[1], last = bits->back();
  if (unused > 7 || (last & ((1U << unused) - 1)) != 0 || (first | last) == 0) return false;
  out.signs_data = (first & 0x80) != 0;
  out.signs_certificates = (first & 0x04) != 0;
  out.signs_crls = (first & 0x02) != 0;
  return true;
}

// `all` is the content of the SEQUENCE OF Extension. False when they are no extensions at all.
bool read_extensions(ByteView all, Certificate& out) {
  if (all.empty()) return false;
  std::optional<ByteView> values[kKinds];
  std::vector<ByteView> others;
  bool good = true;
  for (DerReader extensions(all); !extensions.done();) {
    auto extension = next_extension(extensions);
    if (!extension) return false;
    ExtensionKind kind = kind_of(extension->oid);
    if (kind == kKinds) {
      // At most once, like every extension (RFC 5280, 4.2). Few fit into kMaxSize.
      good &= !extension->critical &&
              std::none_of(others.begin(), others.end(), [&](ByteView other) { return same(other, extension->oid); });
      others.push_back(extension->oid);
      continue;
    }
    // RFC 5280, 4.2.1.1 and 4.2.1.2: the identifiers of keys are never critical.
    good &= !values[kind] && !(extension->critical && (kind == kSubjectKey || kind == kAuthorityKey));
    values[kind] = extension->value;
  }
  if (values[kConstraints]) good &= read_constraints(*values[kConstraints], out);
  if (values[kUsage]) good &= read_usage(*values[kUsage], out);
  if (values[kSubjectKey]) {
    DerReader value(*values[kSubjectKey]);
    auto id = value.next(DerReader::kOctetString);
    good &= id && value.done();
    if (id) out.subject_key_id = base::copy_of(*id);
  }
  if (values[kAuthorityKey]) good &= read_authority_key_id(*values[kAuthorityKey], out.authority_key_id);
  if (values[kSgx]) out.sgx_extension = base::copy_of(*values[kSgx]);
  out.extensions_understood = good;
  return true;
}

}  // namespace

Certificate::Certificate(ByteView der, ByteView signed_bytes, ByteView signature, Name subject_name, Name issuer_name,
                         P256Key public_key)
    : subject(std::move(subject_name)),
      issuer(std::move(issuer_name)),
      key(std::move(public_key)),
      digest(base::sha256(der)),
      der_(der.begin(), der.end()),
      signed_at_(static_cast<std::size_t>(signed_bytes.data() - der.data())),
      signed_size_(signed_bytes.size()),
      signature_at_(static_cast<std::size_t>(signature.data() - der.data())),
      signature_size_(signature.size()) {}

Result<Certificate> Certificate::from_der(ByteView der) {
  ENCLAYER_TRY(SignedParts parts, signed_parts(der, kMaxSize, bad_certificate, kNotACertificate));
  ENCLAYER_TRY(TbsFields fields, tbs_fields(parts, bad_certificate, kNotACertificate));
  if (!same(parts.algorithm, kEcdsaWithSha256))
    return unsupported_certificate("its signature is not ecdsa-with-SHA256");
  auto serial_number = unsigned_integer(fields.serial);
  if (!serial_number) return bad_certificate("its serial number is negative or not in its shortest form");
  auto issuer_name = Name::from_der(fields.issuer), subject_name = Name::from_der(fields.subject);
  if (!issuer_name || !subject_name) return bad_certificate("its subject or issuer is not a name");
  ENCLAYER_TRY(P256Key key, key_from(fields.public_key));

  Certificate out(der, parts.content, parts.signature, std::move(*subject_name), std::move(*issuer_name),
                  std::move(key));
  out.validity = {fields.from, fields.until};
  out.serial = base::copy_of(*serial_number);
  if (fields.extensions && !read_extensions(*fields.extensions, out))
    return bad_certificate("its extensions are damaged");
  return out;
}

bool Certificate::names_as_issuer(const Certificate& issuer_certificate) const {
  if (issuer != issuer_certificate.subject) return false;
  return !authority_key_id || authority_key_id == issuer_certificate.subject_key_id;
}

bool Certificate::signed_by(const P256Key& signer) const {
  return signer.signed_this_der(der().subspan(signed_at_, signed_size_), der().subspan(signature_at_, signature_size_));
}

bool says_simulated(const Certificate& certificate) {
  return certificate.subject.says("SIMULATED") || certificate.issuer.says("SIMULATED");
}

Result<std::vector<Certificate>> certificates_from_pem(std::string_view text) {
  ENCLAYER_TRY(std::vector<Bytes> blocks, certificates_in_pem(text));
  std::vector<Certificate> out;
  for (const Bytes& der : blocks) {
    ENCLAYER_TRY(Certificate certificate, Certificate::from_der(der));
    out.push_back(std::move(certificate));
  }
  return out;
}

}  // namespace enclayer::attestation
