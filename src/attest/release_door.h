// SPDX-License-Identifier: Apache-2.0
// The door of secrets. Off unless somebody is named who may ask (callers.h); what is released, and to which evidence, is
// in key_release.h.
//
//   POST /release/<secret> {"quote": base64url, "runtime_data": base64url}      Authorization: Bearer ..., or a certificate
//     200 {"value": JWE in compact form, to the key in the runtime data}
//     401, 403, 503 application/problem+json; 403 does not say whether there is such a secret
//
// The release policy is asked about the claims that door A would put into a token for the same evidence, with the runtime
// data as JSON. Showing the same evidence again is of no use: the secret is for its key alone.
#pragma once

#include "attest/appraisal.h"
#include "attest/callers.h"
#include "attest/instance.h"
#include "attest/key_release.h"
#include "http/https_server.h"

namespace enclayer::attest {

class ReleaseDoor {
 public:
  ReleaseDoor(const Instance& instance, Appraiser& appraiser, const Callers& callers, const KeyRelease& release)
      : instance_(instance), appraiser_(appraiser), callers_(callers), release_(release) {}

  http::Answer release(std::string_view secret, const http::Incoming& request, Time now) const;

 private:
  const Instance& instance_;
  Appraiser& appraiser_;
  const Callers& callers_;
  const KeyRelease& release_;
};

}  // namespace enclayer::attest
