#include "attestation/crl.h"

#include <openssl/err.h>
#include <openssl/x509.h>

#include <algorithm>

#include "attestation/der.h"
#include "attestation/openssl.h"

namespace enclayer::attestation {
namespace {

Error malformed(std::string message) { return {ErrorKind::kMalformed, "CRL: " + std::move(message)}; }
Error not_a_crl() { return malformed("it is not an X.509 CRL in DER"); }

// AlgorithmIdentifier of ecdsa-with-SHA256, 1.2.840.10045.4.3.2, which has no parameters (RFC 5758, 3.2).
constexpr std::uint8_t kEcdsaWithSha256[] = {0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02};
constexpr std::uint8_t kCrlNumber[] = {0x55, 0x1d, 0x14}, kAuthorityKeyId[] = {0x55, 0x1d, 0x23};  // 2.5.29.20, .35

bool same(ByteView a, ByteView b) { return std::equal(a.begin(), a.end(), b.begin(), b.end()); }

// The content of an INTEGER that is a serial number; nullopt when it is negative, too long, or not in its shortest
// form.
std::optional<Crl::Serial> serial_from(ByteView integer) {
  if (integer.empty() || integer[0] >= 0x80) return std::nullopt;
  if (integer.size() > 1 && integer[0] == 0) {
    integer = integer.subspan(1);
    if (integer[0] < 0x80) return std::nullopt;
  }
  Crl::Serial out{};
  if (integer.size() > out.size()) return std::nullopt;
  std::copy(integer.begin(), integer.end(), out.end() - static_cast<std::ptrdiff_t>(integer.size()));
  return out;
}

// UTCTime or GeneralizedTime; nullopt for any other element, or none.
std::optional<ByteView> next_time(DerReader& reader) {
  if (reader.at(DerReader::kUtcTime)) return reader.whole(DerReader::kUtcTime);
  return reader.whole(DerReader::kGeneralizedTime);
}

std::optional<Time> time_from(ByteView der) {
  const unsigned char* at = der.data();
  OpensslPtr<ASN1_TIME, ASN1_TIME_free> time(d2i_ASN1_TIME(nullptr, &at, static_cast<long>(der.size())));
  return time_of(time.get());
}

// The arcs of an object identifier end with a byte below 0x80, and do not begin with 0x80 (X.690, 8.19.2).
bool is_oid(ByteView content) {
  bool begins = true;
  for (std::uint8_t byte : content) {
    if (begins && byte == 0x80) return false;
    begins = byte < 0x80;
  }
  return begins && !content.empty();
}

struct Extension {
  ByteView oid, value;
  bool critical = false;
};

std::optional<Extension> next_extension(DerReader& extensions) {
  auto content = extensions.next(DerReader::kSequence);
  if (!content) return std::nullopt;
  DerReader parts(*content);
  Extension out;
  auto oid = parts.next(DerReader::kOid);
  if (!oid || !is_oid(*oid)) return std::nullopt;
  out.oid = *oid;
  if (parts.at(DerReader::kBoolean)) {  // left out when false
    auto critical = parts.next(DerReader::kBoolean);
    if (!critical || critical->size() != 1 || (*critical)[0] != 0xff) return std::nullopt;
    out.critical = true;
  }
  auto value = parts.next(DerReader::kOctetString);
  if (!value || !parts.done()) return std::nullopt;
  out.value = *value;
  return out;
}

// SEQUENCE { serial number, time, extensions if any }. Neither the time nor the extensions matter.
std::optional<Crl::Serial> next_entry(DerReader& entries) {
  auto content = entries.next(DerReader::kSequence);
  if (!content) return std::nullopt;
  DerReader parts(*content);
  auto serial = parts.next(DerReader::kInteger);
  if (!serial || !next_time(parts)) return std::nullopt;
  if (!parts.done()) {
    auto extensions = parts.next(DerReader::kSequence);
    if (!extensions || extensions->empty() || !parts.done()) return std::nullopt;
    for (DerReader rest(*extensions); !rest.done();)
      if (!next_extension(rest)) return std::nullopt;
  }
  return serial_from(*serial);
}

Result<> read_entries(ByteView content, Crl& out) {
  for (DerReader entries(content); !entries.done();) {
    auto serial = next_entry(entries);
    if (!serial) return malformed("an entry of its list is damaged");
    out.revoked.push_back(*serial);
  }
  std::sort(out.revoked.begin(), out.revoked.end());
  return {};
}

// AuthorityKeyIdentifier: SEQUENCE { [0] key, [1] names, [2] serial number }, each of them if it is there.
Result<> read_authority_key_id(ByteView value, Crl& out) {
  DerReader whole(value);
  auto content = whole.next(DerReader::kSequence);
  DerReader parts(content.value_or(ByteView()));
  std::optional<ByteView> key;
  if (parts.at(DerReader::primitive(0))) key = parts.next(DerReader::primitive(0));
  if (parts.at(DerReader::constructed(1))) parts.next();
  if (parts.at(DerReader::primitive(2))) parts.next();
  if (!content || !whole.done() || !parts.done()) return malformed("its authority key identifier is damaged");
  if (key) out.authority_key_id.emplace(key->begin(), key->end());
  return {};
}

Result<> read_extensions(ByteView content, Crl& out) {
  DerReader whole(content);
  auto all = whole.next(DerReader::kSequence);
  if (!all || all->empty() || !whole.done()) return malformed("its extensions are damaged");
  bool has_key_id = false;
  for (DerReader extensions(*all); !extensions.done();) {
    auto extension = next_extension(extensions);
    if (!extension) return malformed("its extensions are damaged");
    bool number = same(extension->oid, kCrlNumber), key_id = same(extension->oid, kAuthorityKeyId);
    if (extension->critical || (number && out.has_number) || (key_id && has_key_id)) out.extensions_understood = false;
    out.has_number = out.has_number || number;
    if (key_id && !has_key_id) ENCLAYER_CHECK(read_authority_key_id(extension->value, out));
    has_key_id = has_key_id || key_id;
  }
  return {};
}

// Names are OpenSSL's: it knows when two of them are equal, and how to print them.
std::shared_ptr<X509_NAME> name_from(ByteView der) {
  const unsigned char* at = der.data();
  return {d2i_X509_NAME(nullptr, &at, static_cast<long>(der.size())), X509_NAME_free};
}

Result<Crl> read(ByteView der, auto&& make) {
  if (der.size() > Crl::kMaxSize)
    return malformed("it has " + std::to_string(der.size()) + " bytes, at most " + std::to_string(Crl::kMaxSize) +
                     " are read");
  DerReader whole(der);
  auto content = whole.next(DerReader::kSequence);
  if (!content) return not_a_crl();
  if (!whole.done()) return malformed("bytes follow after its end");
  DerReader parts(*content);
  auto signed_bytes = parts.whole(DerReader::kSequence);
  auto outer_algorithm = parts.whole(DerReader::kSequence);
  auto signature = parts.next(DerReader::kBitString);
  if (!signed_bytes || !outer_algorithm || !signature || signature->empty() || (*signature)[0] != 0 || !parts.done())
    return not_a_crl();

  DerReader list(*DerReader(*signed_bytes).next(DerReader::kSequence));
  if (list.at(DerReader::kInteger)) {  // version: 1 means 2, which is what extensions need
    auto version = list.next();
    if (!version || DerReader::number(*version, DerReader::kInteger, 1) != 1U)
      return malformed("it is of an unknown version");
  }
  auto algorithm = list.whole(DerReader::kSequence);
  auto issuer = list.whole(DerReader::kSequence);
  auto from = next_time(list), until = from ? next_time(list) : std::nullopt;
  if (!algorithm || !issuer || !from) return not_a_crl();
  if (!same(*algorithm, kEcdsaWithSha256) || !same(*outer_algorithm, kEcdsaWithSha256))
    return Error(ErrorKind::kUnsupported, "CRL: its signature is not ecdsa-with-SHA256");
  if (issuer->size() > Crl::kMaxNameSize) return malformed("its issuer's name is too long");
  auto name = name_from(*issuer);
  if (!name) return not_a_crl();

  Crl out = make(name, *signed_bytes, signature->subspan(1));
  auto begin = time_from(*from), end = until ? time_from(*until) : std::nullopt;
  if (!begin || !end) return malformed("it lacks thisUpdate or nextUpdate");
  out.validity = {*begin, *end};
  out.issuer = printable(name.get());
  out.digest = sha256(der);
  if (list.at(DerReader::kSequence)) {
    auto entries = list.next(DerReader::kSequence);
    if (!entries) return not_a_crl();
    ENCLAYER_CHECK(read_entries(*entries, out));
  }
  if (list.at(DerReader::constructed(0))) {
    auto extensions = list.next(DerReader::constructed(0));
    if (!extensions) return not_a_crl();
    ENCLAYER_CHECK(read_extensions(*extensions, out));
  }
  if (!list.done()) return not_a_crl();
  return out;
}

}  // namespace

Result<Crl> Crl::from_der(ByteView der) {
  auto out = read(der, [](auto&&... parts) { return Crl(std::forward<decltype(parts)>(parts)...); });
  ERR_clear_error();
  return out;
}

bool Crl::names_as_issuer(const Certificate& ca) const {
  return X509_NAME_cmp(name_.get(), X509_get_subject_name(ca.x509())) == 0;
}

bool Crl::signed_by(const P256Key& key) const { return key.signed_this_der(signed_bytes_, signature_); }

bool Crl::revokes(const Certificate& certificate) const {
  if (certificate.serial.size() > Serial().size()) return false;  // no list has those
  Serial serial{};
  std::copy(certificate.serial.begin(), certificate.serial.end(),
            serial.end() - static_cast<std::ptrdiff_t>(certificate.serial.size()));
  return std::binary_search(revoked.begin(), revoked.end(), serial);
}

}  // namespace enclayer::attestation
