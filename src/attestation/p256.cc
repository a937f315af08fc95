// SPDX-License-Identifier: Apache-2.0
#include "attestation/p256.h"

#define OPENSSL_SUPPRESS_DEPRECATED  // see new_p256_key()
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/obj_mac.h>

#include <algorithm>
#include <new>

#include "attestation/openssl.h"
#include "base/digest.h"

namespace enclayer::attestation {
namespace {

// ECDSA_do_verify() and EC_KEY are what OpenSSL's own provider calls and holds. Behind EVP_PKEY, to make a key is
// a walk over the names of all algorithms, more than twice the work, and every signature looks up the same algorithm.
EC_KEY* new_p256_key() {
  EC_KEY* key = EC_KEY_new_by_curve_name(NID_X9_62_prime256v1);
  if (key == nullptr) throw std::bad_alloc();
  return key;
}

}  // namespace

std::optional<P256Key> P256Key::from_point(const ByteArray<64>& point) {
  // Copied, because to make one from the curve's name takes as long as a third of a verification.
  static const OpensslPtr<EC_KEY, EC_KEY_free> kTemplate(new_p256_key());
  std::uint8_t encoded[65] = {POINT_CONVERSION_UNCOMPRESSED};
  std::copy(point.begin(), point.end(), encoded + 1);
  std::shared_ptr<EC_KEY> key(EC_KEY_dup(kTemplate.get()), EC_KEY_free);
  bool on_curve = key && EC_KEY_oct2key(key.get(), encoded, sizeof encoded, nullptr) == 1;
  if (on_curve) return P256Key(point, std::move(key));
  ERR_clear_error();
  return std::nullopt;
}

bool P256Key::signed_this(ByteView message, ByteView r_s) const { return signed_digest(base::sha256(message), r_s); }

bool P256Key::signed_digest(const ByteArray<32>& digest, ByteView r_s) const {
  if (r_s.size() != 64) return false;
  OpensslPtr<ECDSA_SIG, ECDSA_SIG_free> signature(ECDSA_SIG_new());
  OpensslPtr<BIGNUM, BN_free> r(BN_bin2bn(r_s.data(), 32, nullptr)), s(BN_bin2bn(r_s.data() + 32, 32, nullptr));
  if (!signature || !r || !s || ECDSA_SIG_set0(signature.get(), r.get(), s.get()) != 1) return false;
  r.release(), s.release();  // now the signature's
  bool good = ECDSA_do_verify(digest.data(), digest.size(), signature.get(), key_.get()) == 1;
  if (!good) ERR_clear_error();
  return good;
}

bool P256Key::signed_this_der(ByteView message, ByteView signature) const {
  ByteArray<32> digest = base::sha256(message);
  // OpenSSL refuses whatever is not DER; no signature on this curve has more than 72 bytes of it.
  bool good = signature.size() <= 72 && ECDSA_verify(0, digest.data(), digest.size(), signature.data(),
                                                     static_cast<int>(signature.size()), key_.get()) == 1;
  if (!good) ERR_clear_error();
  return good;
}

}  // namespace enclayer::attestation
