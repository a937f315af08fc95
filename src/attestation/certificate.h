// SPDX-License-Identifier: Apache-2.0
// One X.509 certificate, as a value: what verification asks of it.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "attestation/name.h"
#include "attestation/p256.h"
#include "attestation/window.h"
#include "enclayer/bytes.h"
#include "enclayer/error.h"

namespace enclayer::attestation {

class Certificate {
 public:
  static constexpr std::size_t kMaxSize = 4 << 10;  // bytes; real ones have 660 to 1,270

  // At most kMaxSize bytes of DER: X.509 version 3, a P-256 key by its named curve, ecdsa-with-SHA256, nothing after
  // it; else kMalformed or kUnsupported.
  static Result<Certificate> from_der(ByteView der);

  Name subject, issuer;
  Bytes serial;  // big endian, without leading zeros
  Window validity;
  P256Key key;
  ByteArray<32> digest{};  // SHA-256 of the DER, signature included: names this certificate and no other

  bool is_ca = false;
  std::optional<long> path_length;  // how many CAs may follow; none: any number
  bool signs_certificates = false;  // key usage: keyCertSign
  bool signs_crls = false;          // key usage: cRLSign
  bool signs_data = false;          // key usage: digitalSignature
  // None is there twice, none that is processed is damaged, and no other one is critical. Processed are basic
  // constraints, key usage, the two key identifiers and Intel's SGX extension.
  bool extensions_understood = true;
  std::optional<Bytes> subject_key_id, authority_key_id;
  std::optional<Bytes> sgx_extension;  // value of 1.2.840.113741.1.13.1

  // `issuer` has the name that this certificate gives as its issuer's, and the key id if one is given.
  bool names_as_issuer(const Certificate& issuer) const;
  bool signed_by(const P256Key& key) const;

  const std::string& common_name() const { return subject.common_name(); }
  ByteView der() const { return der_; }

 private:
  Certificate(ByteView der, ByteView signed_bytes, ByteView signature, Name subject_name, Name issuer_name,
              P256Key public_key);

  Bytes der_;
  std::size_t signed_at_, signed_size_, signature_at_, signature_size_;  // TBSCertificate and ECDSA-Sig-Value in der_
};

using CertificatePtr = std::shared_ptr<const Certificate>;

// Its subject's or issuer's name says SIMULATED. A name alone proves nothing, but it is never said by accident.
bool says_simulated(const Certificate& certificate);

// Every certificate of a PEM text (pem.h), in its order.
Result<std::vector<Certificate>> certificates_from_pem(std::string_view text);

}  // namespace enclayer::attestation
