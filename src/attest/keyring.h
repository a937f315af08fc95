// SPDX-License-Identifier: Apache-2.0
// All keys of one instance: those that sign tokens and, where nobody gives a certificate, that of the server. In a folder
// of its own, or in one that is a working copy of a Secret, so that all replicas have the same.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "attest/key_secret.h"
#include "attest/server_certificate.h"
#include "attest/signing_keys.h"

namespace enclayer::attest {

class Keyring {
 public:
  static constexpr std::chrono::seconds kLookEvery{60};  // at a Secret: each look is a request to the API server

  struct Options {
    SigningKeys::Options signing;
    std::optional<ServerCertificate> certificate{};  // in the same folder, which has to be ours
    std::optional<KeySecret> secret{};               // the same
    std::string authority_map{};  // the ConfigMap beside the Secret that gets the authority's certificate; empty: none
  };

  // Errors are those of its parts.
  static Result<std::unique_ptr<Keyring>> open(Options options, Time now);

  // Makes and removes what is due, and takes over what another replica made. Call it every few seconds. An error leaves
  // the keys that sign as they were, and is given again until all is well.
  Result<> renew(Time now);

  const SigningKeys& signing() const { return *signing_; }
  const std::optional<ServerCertificate>& certificate() const { return options_.certificate; }

 private:
  explicit Keyring(Options options) : options_(std::move(options)) {}
  Result<> make(Time now, std::optional<Time> rotate_at);
  Result<> share(Time now);

  Options options_;
  std::unique_ptr<SigningKeys> signing_;
  std::optional<Time> looked_;  // at the Secret, when all was well
};

}  // namespace enclayer::attest
