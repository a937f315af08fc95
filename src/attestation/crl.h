// A certificate revocation list: which serial numbers a CA has taken back.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "attestation/certificate.h"

struct X509_crl_st;

namespace enclayer::attestation {

class Crl {
 public:
  static constexpr std::size_t kMaxSize = 1 << 20;  // bytes; Intel's have up to 3.3 KB

  // DER, nothing after it, signed with ecdsa-with-SHA256; else kMalformed or kUnsupported.
  static Result<Crl> from_der(ByteView der);

  std::string issuer;  // RFC 2253, escaped
  Window validity;     // thisUpdate .. nextUpdate
  bool has_number = false;
  bool extensions_understood = true;  // no critical extension: those would change whom the list speaks about
  std::optional<Bytes> authority_key_id;
  std::vector<Bytes> revoked;  // serial numbers, sorted
  ByteArray<32> digest{};      // SHA-256 of the DER, signature included

  bool names_as_issuer(const Certificate& ca) const;
  bool signed_by(const P256Key& key) const;
  // Any entry counts, whatever its reason or date.
  bool revokes(const Certificate& certificate) const;

 private:
  explicit Crl(std::shared_ptr<X509_crl_st> crl) : crl_(std::move(crl)) {}
  std::shared_ptr<X509_crl_st> crl_;
};

}  // namespace enclayer::attestation
