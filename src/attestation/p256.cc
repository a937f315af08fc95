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
#include "attestation/x509_parts.h"
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

using Number = OpensslPtr<BIGNUM, BN_free>;
using Point = OpensslPtr<EC_POINT, EC_POINT_free>;

// What makes inverses modulo the order n quick: s^(n - 2), Fermat's little theorem, in a third of BN_mod_inverse()'s time.
struct Order {
  Number minus_two;
  OpensslPtr<BN_MONT_CTX, BN_MONT_CTX_free> montgomery;

  explicit Order(const BIGNUM* n) : minus_two(BN_dup(n)), montgomery(BN_MONT_CTX_new()) {
    OpensslPtr<BN_CTX, BN_CTX_free> context(BN_CTX_new());
    if (!minus_two || !montgomery || !context || BN_sub_word(minus_two.get(), 2) != 1 ||
        BN_MONT_CTX_set(montgomery.get(), n, context.get()) != 1)
      throw std::bad_alloc();
  }
};

// FIPS 186-5, 6.4.2: r is the x coordinate of u1 G + u2 Q, modulo the order. G is the generator of `curve`, Q that of
// `table`, and of both OpenSSL has multiples at hand. Nothing here is secret.
bool signed_by_generator(const EC_GROUP* curve, const EC_GROUP* table, const ByteArray<32>& digest,
                         const ECDSA_SIG& signature) {
  const BIGNUM* r = ECDSA_SIG_get0_r(&signature);
  const BIGNUM* s = ECDSA_SIG_get0_s(&signature);
  const BIGNUM* order = EC_GROUP_get0_order(curve);
  for (const BIGNUM* number : {r, s})
    if (BN_is_zero(number) || BN_is_negative(number) || BN_ucmp(number, order) >= 0) return false;
  OpensslPtr<BN_CTX, BN_CTX_free> context(BN_CTX_new());
  static const Order kOrder(order);  // of the one curve that there is here
  Number u1(BN_bin2bn(digest.data(), digest.size(), nullptr)), u2(BN_new()), x(BN_new()), inverse(BN_new());
  Point sum(EC_POINT_new(curve)), of_key(EC_POINT_new(curve));
  if (!context || !u1 || !u2 || !x || !inverse || !sum || !of_key) throw std::bad_alloc();
  return BN_mod_exp_mont(inverse.get(), s, kOrder.minus_two.get(), order, context.get(), kOrder.montgomery.get()) ==
             1 &&
         BN_mod_mul(u1.get(), u1.get(), inverse.get(), order, context.get()) == 1 &&
         BN_mod_mul(u2.get(), r, inverse.get(), order, context.get()) == 1 &&
         EC_POINT_mul(curve, sum.get(), u1.get(), nullptr, nullptr, context.get()) == 1 &&
         EC_POINT_mul(table, of_key.get(), u2.get(), nullptr, nullptr, context.get()) == 1 &&
         EC_POINT_add(curve, sum.get(), sum.get(), of_key.get(), context.get()) == 1 &&
         EC_POINT_get_affine_coordinates(curve, sum.get(), x.get(), nullptr, context.get()) == 1 &&  // not infinity
         BN_nnmod(x.get(), x.get(), order, context.get()) == 1 && BN_cmp(x.get(), r) == 0;
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

P256Key P256Key::with_table() const {
  const EC_GROUP* curve = EC_KEY_get0_group(key_.get());
  std::shared_ptr<EC_GROUP> table(EC_GROUP_dup(curve), EC_GROUP_free);
  if (!table ||
      EC_GROUP_set_generator(table.get(), EC_KEY_get0_public_key(key_.get()), EC_GROUP_get0_order(curve),
                             EC_GROUP_get0_cofactor(curve)) != 1 ||
      EC_GROUP_precompute_mult(table.get(), nullptr) != 1)
    throw std::bad_alloc();
  P256Key out = *this;
  out.table_ = std::move(table);
  return out;
}

bool P256Key::signed_this(ByteView message, ByteView r_s) const { return signed_digest(base::sha256(message), r_s); }

bool P256Key::signed_digest(const ByteArray<32>& digest, ByteView r_s) const {
  if (r_s.size() != 64) return false;
  OpensslPtr<ECDSA_SIG, ECDSA_SIG_free> signature(ECDSA_SIG_new());
  OpensslPtr<BIGNUM, BN_free> r(BN_bin2bn(r_s.data(), 32, nullptr)), s(BN_bin2bn(r_s.data() + 32, 32, nullptr));
  if (!signature || !r || !s || ECDSA_SIG_set0(signature.get(), r.get(), s.get()) != 1) return false;
  r.release(), s.release();  // now the signature's
  bool good = table_ ? signed_by_generator(EC_KEY_get0_group(key_.get()), table_.get(), digest, *signature)
                     : ECDSA_do_verify(digest.data(), digest.size(), signature.get(), key_.get()) == 1;
  if (!good) ERR_clear_error();
  return good;
}

// SEQUENCE { r INTEGER, s INTEGER } (RFC 3279, 2.2.3).
bool P256Key::signed_this_der(ByteView message, ByteView signature) const {
  DerReader whole(signature);
  DerReader numbers(whole.next(DerReader::kSequence).value_or(ByteView()));
  ByteArray<64> r_s{};
  for (auto end : {r_s.begin() + 32, r_s.end()}) {
    auto number = unsigned_integer(numbers.next(DerReader::kInteger).value_or(ByteView()));
    if (!number || number->size() > 32) return false;
    std::copy(number->begin(), number->end(), end - static_cast<std::ptrdiff_t>(number->size()));
  }
  return whole.done() && numbers.done() && signed_digest(base::sha256(message), r_s);
}

}  // namespace enclayer::attestation
