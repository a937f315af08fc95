// SPDX-License-Identifier: Apache-2.0
#include "attest/nonces.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <cstdlib>

#include "attest/base64url.h"
#include "base/bytes.h"

namespace enclayer::attest {
namespace {

constexpr std::size_t kDate = 8, kRandom = 16, kMac = 16, kDigits = 54;

}  // namespace

ByteArray<16> Nonces::mac(ByteView content) const {
  unsigned char whole[EVP_MAX_MD_SIZE];
  if (::HMAC(::EVP_sha256(), key_.data(), static_cast<int>(key_.size()), content.data(), content.size(), whole,
             nullptr) == nullptr)
    std::abort();  // out of memory
  return base::array_at<kMac>(whole, 0);
}

std::string Nonces::make(Time now) const {
  Bytes bytes(kDate + kRandom);
  const auto seconds = static_cast<std::uint64_t>(now.time_since_epoch().count());
  for (std::size_t i = 0; i < kDate; ++i) bytes[i] = static_cast<std::uint8_t>(seconds >> (56 - 8 * i));
  if (::RAND_bytes(bytes.data() + kDate, kRandom) != 1) std::abort();
  base::append(bytes, mac(bytes));
  return to_base64url(bytes);
}

Result<> Nonces::check(std::string_view nonce, Time now) const {
  const auto bytes = nonce.size() == kDigits ? from_base64url(nonce) : std::nullopt;
  if (!bytes || bytes->size() != kDate + kRandom + kMac ||
      ::CRYPTO_memcmp(mac(ByteView(*bytes).first(kDate + kRandom)).data(), bytes->data() + kDate + kRandom, kMac) != 0)
    return Error(ErrorKind::kMalformed, "the nonce is none that this service gave out; GET /nonce gives one");
  std::uint64_t seconds = 0;
  for (std::size_t i = 0; i < kDate; ++i) seconds = seconds << 8 | (*bytes)[i];
  const Time made{std::chrono::seconds(seconds)};
  if (made > now + kSkew || made + kLife < now)
    return Error(ErrorKind::kTimedOut, "the nonce is of " + format_time(made) + ", and it is " + format_time(now) +
                                           "; one is good for " + std::to_string(kLife.count()) + " s");
  return {};
}

}  // namespace enclayer::attest
