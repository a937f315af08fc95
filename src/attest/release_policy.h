// SPDX-License-Identifier: Apache-2.0
// Which token opens a secret: a release policy in the grammar of Azure Key Vault ("secure key release policy grammar"),
// version 1.0.0, with the comparisons of Azure Policy beside `equals`.
//
//   {"version": "1.0.0",
//    "anyOf": [{"authority": "https://attest.example",                                 // the token's `iss`, exactly
//               "allOf": [{"claim": "x-ms-sgx-mrsigner", "equals": "8f2d..."},
//                         {"claim": "x-ms-sgx-svn", "greaterOrEquals": 4},
//                         {"claim": "x-ms-sgx-is-debuggable", "equals": false}]}]}
//
//   operator                                            value                     holds when the claim
//   equals, notEquals                                   string, integer, boolean  has, has not that type and value
//   less, lessOrEquals, greater, greaterOrEquals        integer                   is an integer on that side of it
//   exists                                              boolean                   is there, is not there
//
// A claim that is missing holds no condition but {"exists": false}, and one that is an object, a list or a fraction none
// but {"exists": true}. "a.b" is the member b of the object a; there is no word for elements of a list. Conditions may be {"allOf": [...]} and {"anyOf": [...]} again. An empty anyOf holds never;
// an empty allOf, which would hold always, is refused.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "enclayer/error.h"

namespace enclayer::attest {

class ReleasePolicy {
 public:
  static constexpr std::size_t kMaxSize = 64 << 10;  // bytes
  static constexpr int kMaxNesting = 8;              // conditions in conditions
  static constexpr std::size_t kMaxValues = 4096;    // JSON values in all

  // kMalformed: anything else, an unknown key above all; the message says where ("anyOf[0].allOf[1]").
  static Result<ReleasePolicy> parse(std::string_view json);

  // "" when it opens for a token with these claims, which are its JSON payload; else why not, for the audit. Only for
  // claims that the service itself has just put together, or that it signed: nothing is verified here.
  std::string refusal(std::string_view claims) const;

  const std::string& sha256() const;  // of the text, in hexadecimal digits

 private:
  struct Parsed;
  explicit ReleasePolicy(std::shared_ptr<const Parsed> parsed) : parsed_(std::move(parsed)) {}
  std::shared_ptr<const Parsed> parsed_;
};

}  // namespace enclayer::attest
