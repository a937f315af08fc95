// SPDX-License-Identifier: Apache-2.0
// Secrets that lie here as ciphertexts of the transit engine of Vault or OpenBao, which decrypts one for each release:
// who reads our disk, or the Secret that is mounted there, has nothing.
//
//   vault write -f transit/keys/enclayer-attest                                    # a key that encrypts with AEAD
//   vault write -field=ciphertext transit/encrypt/enclayer-attest plaintext=$(base64 -w0 <password)
//               associated_data=$(printf db-password | base64) >secrets/db-password
//
// The associated data is the secret's name: a ciphertext that was put under another name, with a policy that is easier to
// meet, does not decrypt. Our token needs `update` on transit/decrypt/enclayer-attest and nothing else; who renews it
// (Vault's agent) replaces its file. No proxy is asked: Vault is in our own network.
//
//   POST <url>/v1/<mount>/decrypt/<key> {"ciphertext", "associated_data"}      X-Vault-Token: ...
//     200 {"data": {"plaintext": base64}}      other {"errors": ["..."]}
#pragma once

#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "attest/jwe.h"
#include "enclayer/bytes.h"
#include "enclayer/error.h"
#include "http/client.h"

namespace enclayer::attest {

class VaultTransit {
 public:
  static constexpr std::size_t kMaxCiphertext =
      kMaxSecretSize / 3 * 4 + 512;                    // bytes: of the largest secret, in base64
  static constexpr std::chrono::seconds kPatience{5};  // for everything that one secret takes

  struct Options {
    std::string url{};                   // https://vault.example:8200; http on loopback will do: Vault's agent
    std::string key{};                   // MOUNT/KEY, "transit/enclayer-attest"; a namespace may stand before it
    std::filesystem::path token_file{};  // read for each secret
    http::Options http{};                // authorities and our name; the limits and the rest are set here
  };
  // kInvalidArgument: a URL or a key that is none, or one that would send the token over a network in the clear.
  static Result<VaultTransit> open(Options options);

  // The secret of that name; `ciphertext` as it lies in its file. kMalformed: it is no ciphertext, or Vault says that it is
  // none of this key and this name (status 400). kUnavailable: everything else, above all that Vault does not answer, is
  // sealed or does not take our token; worth another try. Vault is asked one thing at a time, by any number of threads.
  Result<Bytes> decrypt(std::string_view name, ByteView ciphertext) const;

 private:
  explicit VaultTransit(Options options) : options_(std::move(options)) {}
  Options options_;
  std::shared_ptr<std::timed_mutex> asking_ = std::make_shared<std::timed_mutex>();
};

}  // namespace enclayer::attest
