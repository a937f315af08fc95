// SPDX-License-Identifier: Apache-2.0
// A certificate revocation list: which serial numbers a CA has taken back.
#pragma once

#include <optional>
#include <vector>

#include "attestation/certificate.h"

namespace enclayer::attestation {

class Crl {
 public:
  static constexpr std::size_t kMaxSize = 1 << 20;      // bytes; Intel's have up to 3.3 KB
  static constexpr std::size_t kMaxNameSize = 4 << 10;  // of the issuer's name, bytes; Intel's have about 110

  // big endian, with zeros in front. No serial number has more bytes (RFC 5280, 4.1.2.2).
  using Serial = ByteArray<20>;

  // DER (RFC 5280, 5.1), nothing or one NUL after it, signed with ecdsa-with-SHA256; else kMalformed or kUnsupported.
  // Takes time and memory in proportion to its size, and no allocation per entry.
  static Result<Crl> from_der(ByteView der);

  Name issuer;
  Window validity;  // thisUpdate .. nextUpdate
  bool has_number = false;
  // No critical extension, of the list or an entry, which would change whom it speaks about (RFC 5280, 5.2 and 5.3), and
  // none that is read here twice.
  bool extensions_understood = true;
  std::optional<Bytes> authority_key_id;
  std::vector<Serial> revoked;  // sorted
  ByteArray<32> digest{};       // SHA-256 of the DER, signature included, without the NUL

  bool names_as_issuer(const Certificate& ca) const;
  bool signed_by(const P256Key& key) const;
  // Any entry counts, whatever its reason or date.
  bool revokes(const Certificate& certificate) const;

 private:
  Crl(Name name, ByteView signed_bytes, ByteView signature)
      : issuer(std::move(name)),
        signed_bytes_(signed_bytes.begin(), signed_bytes.end()),
        signature_(signature.begin(), signature.end()) {}
  Bytes signed_bytes_, signature_;  // TBSCertList; ECDSA-Sig-Value
};

}  // namespace enclayer::attestation
