// SPDX-License-Identifier: Apache-2.0
// The attestation service: evidence in, tokens out. docs/attestation-service.md is the page for users, and begins with
// who has to be trusted.
//
//   POST /attest/SgxEnclave, /attest/OpenEnclave, /attest/TdxVm    azure_door.h
//   GET  /nonce, POST /ear                                         rats_door.h, where audiences are configured
//   POST /release/<secret>                                         release_door.h, where somebody is named who may ask
//   GET  /certs, /jwks, /.well-known/openid-configuration          the keys that tokens are signed with
//   GET  /sgx/certification/v4/..., /tdx/certification/v4/...      collateral_door.h, where it is on
//
//       request          submission             verification, floor, policy        claims
//   door  ----> request_json ----> Appraiser ------------------------------> door ----> TokenKey ----> token
//                                     ^ PlatformCollateral                                ^ Keyring
//
// It keeps nothing between requests but keys, policy and collateral: any number of replicas serve side by side.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "attest/azure_door.h"
#include "attest/instance.h"
#include "attest/keyring.h"
#include "attest/rats_door.h"
#include "attest/release_door.h"

namespace enclayer::base {
class Metrics;
}

namespace enclayer::attest {

class Service {
 public:
  struct Parts {
    Instance instance;
    std::unique_ptr<Keyring> keys;
    std::unique_ptr<PlatformCollateral> collateral;
    std::unique_ptr<PlatformCollateral> early_collateral{};  // nullptr: what awaits platforms is unknown (outlook.h)
    TrustedRoot root = TrustedRoot::intel();
    Policy floor;                  // appraisal.h
    std::filesystem::path policy;  // the text's file
    bool collateral_door = false;
    Callers callers{{}};                      // of secrets
    std::optional<KeyRelease> key_release{};  // needed where there are callers
    std::function<Time()> now;
  };

  // The policy's text is read. Errors are the file's and PolicyText's. `metrics` outlives the service.
  static Result<std::unique_ptr<Service>> open(Parts parts, base::Metrics& metrics);

  // Any number of threads.
  http::Answer answer(const http::Incoming& request);

  // Reads policy and keys again, and turns keys over; every few seconds. What is broken leaves what was there before, and
  // is said in the log, the metrics and not_ready() or remark().
  void refresh();

  // "policy: line 3, ..." where the policy's file is broken and an older text judges; empty: all is well.
  std::string remark() const;

  // What is known only when a page of metrics is asked for.
  void before_metrics();

 private:
  Service(Parts parts, PolicyText policy, base::Metrics& metrics);
  http::Answer route(const http::Incoming& request, const char*& door);
  http::Answer configuration() const;
  void warn_of(const PolicyText& policy) const;

  const Parts parts_;
  std::string prefix_;  // the path of the issuer's URL; it may stand before all of the above
  base::Metrics& metrics_;
  Outlook outlook_;
  Appraiser appraiser_;
  AzureDoor azure_;
  RatsDoor rats_;
  std::optional<ReleaseDoor> release_;
  mutable std::mutex mutex_;
  std::string broken_policy_, broken_keys_;
};

}  // namespace enclayer::attest
