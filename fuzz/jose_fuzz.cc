// SPDX-License-Identifier: Apache-2.0
// JWK, runtime data with JWKs, and JWE: by the first byte. What is taken as a key can be wrapped to.
#include <cstdlib>

#include "attest/jwe.h"
#include "base/bytes.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace enclayer;
  using namespace enclayer::attest;
  if (size == 0) return 0;
  const std::string_view text = base::as_text({data + 1, size - 1});
  if (data[0] == 'e') {
    static const DecryptionKey kKey = DecryptionKey::generate(DecryptionKey::Kind::kP256).value();
    auto secret = kKey.decrypt(text);
    if (secret || secret.error().kind() != ErrorKind::kMalformed) std::abort();  // nobody knows the key
    return 0;
  }
  auto key = data[0] == 'r' ? EncryptionKey::of_runtime_data(text) : EncryptionKey::parse(text);
  if (!key) {
    if (key.error().kind() != ErrorKind::kMalformed) std::abort();
    return 0;
  }
  if (key->thumbprint().size() != 43 || !encrypt_jwe(base::as_bytes("secret"), *key)) std::abort();
  auto again = EncryptionKey::parse(key->jwk());
  if (!again || again->thumbprint() != key->thumbprint()) std::abort();
  return 0;
}
