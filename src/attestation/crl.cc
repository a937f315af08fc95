// SPDX-License-Identifier: Apache-2.0
#include "attestation/crl.h"

#include <algorithm>

#include "attestation/x509_parts.h"
#include "base/digest.h"
#include "base/malformed.h"

namespace enclayer::attestation {
namespace {

constexpr base::Malformed bad_crl{"CRL: "};
constexpr std::string_view kNotACrl = "it is not an X.509 CRL in DER";
Error not_a_crl() { return bad_crl(kNotACrl); }

constexpr std::uint8_t kCrlNumber[] = {0x55, 0x1d, 0x14};  // 2.5.29.20

// The content of an INTEGER that is a serial number; nullopt when it is negative, too long, or not in its shortest
// form.
std::optional<Crl::Serial> serial_from(ByteView content) {
  auto integer = unsigned_integer(content);
  Crl::Serial out{};
  if (!integer || integer->size() > out.size()) return std::nullopt;
  std::copy(integer->begin(), integer->end(), out.end() - static_cast<std::ptrdiff_t>(integer->size()));
  return out;
}

// SEQUENCE { serial number, time, extensions if any }. Neither the time nor the extensions matter, unless one of them is
// critical: that would change which certificate the entry speaks about (RFC 5280, 5.3).
std::optional<Crl::Serial> next_entry(DerReader& entries, bool& understood) {
  auto content = entries.next(DerReader::kSequence);
  if (!content) return std::nullopt;
  DerReader parts(*content);
  auto serial = parts.next(DerReader::kInteger);
  if (!serial || !next_time(parts)) return std::nullopt;
  if (!parts.done()) {
    auto extensions = parts.next(DerReader::kSequence);
    if (!extensions || extensions->empty() || !parts.done()) return std::nullopt;
    for (DerReader rest(*extensions); !rest.done();) {
      auto extension = next_extension(rest);
      if (!extension) return std::nullopt;
      understood = understood && !extension->critical;
    }
  }
  return serial_from(*serial);
}

Result<> read_entries(ByteView content, Crl& out) {
  for (DerReader entries(content); !entries.done();) {
    auto serial = next_entry(entries, out.extensions_understood);
    if (!serial) return bad_crl("an entry of its list is damaged");
    out.revoked.push_back(*serial);
  }
  std::sort(out.revoked.begin(), out.revoked.end());
  return {};
}

Result<> read_extensions(ByteView content, Crl& out) {
  DerReader whole(content);
  auto all = whole.next(DerReader::kSequence);
  if (!all || all->empty() || !whole.done()) return bad_crl("its extensions are damaged");
  bool has_key_id = false;
  for (DerReader extensions(*all); !extensions.done();) {
    auto extension = next_extension(extensions);
    if (!extension) return bad_crl("its extensions are damaged");
    bool number = same(extension->oid, kCrlNumber), key_id = same(extension->oid, kAuthorityKeyId);
    if (extension->critical || (number && out.has_number) || (key_id && has_key_id)) out.extensions_understood = false;
    out.has_number = out.has_number || number;
    if (key_id && !read_authority_key_id(extension->value, out.authority_key_id))
      return bad_crl("its authority key identifier is damaged");
    has_key_id = has_key_id || key_id;
  }
  return {};
}

Result<Crl> read(ByteView der, auto&& make) {
  ENCLAYER_TRY(SignedParts parts, signed_parts(der, Crl::kMaxSize, bad_crl, kNotACrl));
  DerReader list(*DerReader(parts.content).next(DerReader::kSequence));
  if (list.at(DerReader::kInteger)) {  // version: 1 means 2, which is what extensions need
    auto version = list.next();
    if (!version || DerReader::number(*version, DerReader::kInteger, 1) != 1U)
      return bad_crl("it is of an unknown version");
  }
  auto algorithm = list.whole(DerReader::kSequence);
  auto issuer = list.whole(DerReader::kSequence);
  auto from = next_time(list), until = next_time(list);
  if (!algorithm || !issuer) return not_a_crl();
  if (!same(*algorithm, kEcdsaWithSha256) || !same(parts.algorithm, kEcdsaWithSha256))
    return Error(ErrorKind::kUnsupported, "CRL: its signature is not ecdsa-with-SHA256");
  if (issuer->size() > Crl::kMaxNameSize) return bad_crl("its issuer's name is too long");
  auto name = Name::from_der(*issuer);
  if (!name) return not_a_crl();

  Crl out = make(std::move(*name), parts.content, parts.signature);
  if (!from || !until) return bad_crl("it lacks thisUpdate or nextUpdate");
  out.validity = {*from, *until};
  out.digest = base::sha256(der);
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
  // Whoever hands out a CRL as a C string counts its NUL: Intel's QPL, Open Enclave.
  auto whole = DerReader(der).whole(DerReader::kSequence);
  if (whole && whole->size() + 1 == der.size() && der.back() == 0) der = *whole;
  return read(der, [](auto&&... parts) { return Crl(std::forward<decltype(parts)>(parts)...); });
}

bool Crl::names_as_issuer(const Certificate& ca) const { return issuer == ca.subject; }

bool Crl::signed_by(const P256Key& key) const { return key.signed_this_der(signed_bytes_, signature_); }

bool Crl::revokes(const Certificate& certificate) const {
  if (certificate.serial.size() > Serial().size()) return false;  // no list has those
  Serial serial{};
  std::copy(certificate.serial.begin(), certificate.serial.end(),
            serial.end() - static_cast<std::ptrdiff_t>(certificate.serial.size()));
  return std::binary_search(revoked.begin(), revoked.end(), serial);
}

}  // namespace enclayer::attestation
