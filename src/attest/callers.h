// SPDX-License-Identifier: Apache-2.0
// Who may ask for a secret at all, before any evidence is looked at. Nobody may, unless named:
//
//   by certificate       the subject that a client proved over TLS (RFC 2253), of the authorities of --client-ca
//   by ServiceAccount    "Authorization: Bearer TOKEN", which the API server is asked about (TokenReview): a token for our
//                        audience, of an account that is listed. Tokens for another audience are nobody's
//
// An answer of the API server is good for this one request; none is kept. It is asked one thing at a time: anybody can show
// a token, and nobody's may occupy all the threads in which answers are made.
#pragma once

#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "enclayer/error.h"
#include "http/https_server.h"

namespace enclayer::attest {

class Callers {
 public:
  struct Options {
    std::vector<std::string> subjects{};  // "CN=backup,O=bank"
    std::vector<std::string> accounts{};  // "system:serviceaccount:bank:backup"
    std::string audience{};               // of their tokens
    std::string api_server{};             // its URL; needed where there are accounts
    std::filesystem::path account{};      // ours, the folder of token and ca.crt, whose rights the review needs
  };
  explicit Callers(Options options) : options_(std::move(options)) {}

  bool anybody() const { return !options_.subjects.empty() || !options_.accounts.empty(); }

  // The caller's name. kPermissionDenied: nobody that may ask; code 401 where a token or certificate would help, 403 where
  // it is known and not listed. kUnavailable: the API server does not answer, or is being asked about somebody else.
  Result<std::string> caller_of(const http::Incoming& request) const;

 private:
  Result<std::string> account_of(std::string_view token) const;
  Options options_;
  std::shared_ptr<std::mutex> asking_ = std::make_shared<std::mutex>();
};

}  // namespace enclayer::attest
