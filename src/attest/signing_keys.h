// SPDX-License-Identifier: Apache-2.0
// The keys that tokens are signed with: a folder of files, one key each, and what each is good for follows from the dates
// in them alone. So any number of replicas that see the same folder agree, without talking to each other.
//
//       made                  made + kPublishedFirst          the next one signs      + the life of a token + kSkew
//   -----|---- in the JWKS, does not sign ----|------- signs -------|---- in the JWKS, does not sign ----|---- gone
//
// The first key of an algorithm signs at once: there is nobody who has read a JWKS without it. A folder of our own is
// made where there is none, gets a key when it lacks one or when the newest is too old, and loses the dead ones. A
// folder of somebody else's, as a mounted Secret, is only read: who writes it turns the keys over.
//
//   DIR/<anything>.pem   PKCS #8 and a certificate (jws.h), 0600 in a folder of our own
//   DIR/nonce.key        32 bytes, for nonces (nonces.h)
//   DIR/lock             held while a key is made
//
// Where the folder is the working copy of a Secret (key_secret.h), all replicas make and remove as one.
//
// Keys of a simulated instance say so in their certificates. They and others never sign for one another: a folder with
// a key of the other kind is refused.
#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "attest/jws.h"
#include "enclayer/error.h"
#include "enclayer/time.h"

namespace enclayer::attest {

class SigningKeys {
 public:
  static constexpr std::chrono::hours kPublishedFirst{24};  // longer than anybody keeps a JWKS
  static constexpr std::chrono::minutes kSkew{5};           // between clocks
  static constexpr std::size_t kMaxKeys = 32;               // files that are read

  struct Options {
    std::filesystem::path folder;
    bool ours = true;  // false: it is only read
    bool simulated = false;
    std::chrono::seconds token_life{600};
    std::chrono::days turn_over{90};  // a new key is made when the newest is so old
  };

  // kNotFound: a folder of somebody else's is not there, or lacks a key. kPermissionDenied: it cannot be read.
  // kMalformed: a file is damaged. kConflict: a key of the other kind, or a file that others may read in a folder of our
  // own. The message names the file.
  // What is due is made at once, as by renew().
  static Result<std::unique_ptr<SigningKeys>> open(Options options, Time now, std::optional<Time> rotate_at = {});

  // Reads the folder again and, where it is ours, makes and removes what is due: also a new key for those that were made
  // before `rotate_at`, once that has come. An error leaves all as it was.
  Result<> renew(Time now, std::optional<Time> rotate_at = {});

  // The one that signs now.
  std::shared_ptr<const TokenKey> signing(Algorithm algorithm, Time now) const;

  // {"keys": [...]} (RFC 7517): all that may have signed a token that lives, and all that will sign. Oldest first.
  std::string jwks(Time now) const;
  std::string jwks(Algorithm algorithm, Time now) const;

  ByteArray<32> nonce_key() const;

 private:
  explicit SigningKeys(Options options) : options_(std::move(options)) {}

  using Keys = std::vector<std::shared_ptr<const TokenKey>>;  // of one algorithm, oldest first
  struct Folder {
    Keys rs256, es256;
    const Keys& of(Algorithm algorithm) const { return algorithm == Algorithm::kRs256 ? rs256 : es256; }
  };

  Result<Folder> read() const;
  Result<> make(Algorithm algorithm, Time now) const;
  void remove_dead(const Folder& folder, Time now) const;
  Result<ByteArray<32>> read_nonce_key() const;
  static Time signs_from(const Keys& keys, std::size_t which);
  Time published_until(const Keys& keys, std::size_t which) const;
  std::string listed(std::initializer_list<Algorithm> algorithms, Time now) const;
  Folder current() const;

  const Options options_;
  mutable std::mutex mutex_;
  Folder folder_;
  ByteArray<32> nonce_key_{};
};

}  // namespace enclayer::attest
