// SPDX-License-Identifier: Apache-2.0
// RA-TLS: a TLS peer shows a certificate that it made and signed itself, with a quote in an extension that is bound to
// the certificate's key. Whoever judged the certificate and finished the handshake talks to that enclave or TD.
//
//   Verification v = verify_ra_tls(der, &collateral, TrustedRoot::intel(), now);   // der: what the TLS library hands out
//   Verdict verdict = judge(v, policy);                                            // verify.h, policy.h
//
//   evidence      extension                          made by                         report data is SHA-256 of
//   gramine       0.6.9.42.840.113741.1337.6         Gramine (a mistake that stays)  the key
//   intel         1.2.840.113741.1.13.1              Intel's SDK                     the key, or as DICE where it is the
//                                                                                    same quote
//   open-enclave  1.2.840.113556.10.1.1,             Open Enclave, EGo: a report     the key (EGo), or its PEM text and a
//                 1.3.6.1.4.1.311.105.1                                              NUL (Open Enclave)
//                 1.2.840.113556.10.1.2,             Open Enclave: evidence, with    the claims, which are the key in PEM
//                 1.3.6.1.4.1.311.105.2              custom claims after the quote
//   dice          2.23.133.5.4.9                     all of them, rats-tls: CBOR     the claims, which have a hash of the
//                                                    of CCC's "interoperable RA-TLS" key
//
// The key is the whole SubjectPublicKeyInfo in DER, and the other 32 bytes of report data have to be zero. Collateral may
// come with the certificate (2.23.133.5.4.2), so that nothing has to be fetched; it is believed as little as any other.
// Tried with real certificates of Gramine, Intel's SDK and rats-tls; Open Enclave's and EGo's were made for the tests,
// from their documentation and sources.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "enclayer/bytes.h"
#include "enclayer/collateral.h"
#include "enclayer/error.h"
#include "enclayer/quote.h"
#include "enclayer/time.h"
#include "enclayer/verify.h"

namespace enclayer {

class Verifier;  // verifier.h

struct RaTlsEvidence {
  std::string kind;  // "gramine", "intel", "open-enclave", "dice"
  Bytes quote;       // with Open Enclave's 16 bytes before it where they were there
  Quote parsed;
  bool binds = false;  // its report data is bound to the certificate's key
};

struct RaTlsCertificate {
  static constexpr std::size_t kMaxSize = 256 << 10;  // bytes; real ones have 5 to 10 KB, with collateral 35 KB

  std::string subject;  // RFC 2253, escaped
  Time valid_from, valid_until;
  Bytes public_key;                     // SubjectPublicKeyInfo, DER
  bool signed_itself = false;           // by that key
  std::vector<RaTlsEvidence> evidence;  // one or more; dice last
  std::optional<Bytes> nonce;           // a claim of dice
  std::optional<Collateral> collateral;
};

// One X.509 certificate of version 3 in DER, its key on P-256, P-384, P-521, Ed25519 or RSA (2,048 to 8,192 bits), with
// no critical extension that is not known, and its evidence. Says what is there and judges nothing. kNotFound: there is
// no evidence in it; kMalformed, kUnsupported: it, or the evidence, is broken or of a kind that is not known here.
Result<RaTlsCertificate> parse_ra_tls(ByteView der);

// Is the quote in this certificate genuine (verify.h), and is it the key's? The certificate has signed itself and is
// valid at that time, and so is everything that `verify` looks at. Where it has several quotes all of them have to hold,
// and be of one enclave on one platform; the verification is that of the last. `collateral` null: that of the certificate.
// With a `verifier` the answer is the same, sooner.
Verification verify_ra_tls(ByteView der, const Collateral* collateral, const TrustedRoot& root, Time at,
                           Verifier* verifier = nullptr);

}  // namespace enclayer
