// SPDX-License-Identifier: Apache-2.0
// The ResourceClaimTemplates of the claims that admission makes of amounts (--dra-above, docs/dra.md): a policy can name a
// template in a pod, "enclayer-epc-65536", but not make one. So this makes those that pods wait for, each in the pod's
// namespace, and removes those that nobody needs any more.
//
//   for (;;) { look(now), wait() }          a look starts from what there is; nothing is remembered but what was unused
//
// A pod waits for a template while it is on no node and has no claim of that template yet. A template is needed while a
// pod waits for it or a claim is there that was made of it, which ends with its pod; it goes when it was not at two
// sweeps, a minute apart. Who comes in between has it made again. Templates without our label are somebody else's, and
// are neither changed nor removed; one that is there under the name is as good as ours.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "dra/api_client.h"
#include "enclayer/error.h"
#include "http/account_client.h"

namespace enclayer::dra {

struct TemplateName {
  std::string name_space, name;

  auto operator<=>(const TemplateName&) const = default;
};

// 65536 of "enclayer-epc-65536": one to eight digits, the first of which is no 0. nullopt: another name.
std::optional<std::uint32_t> template_mib(std::string_view name);

// A ResourceClaimTemplate as JSON: one device of class sgx-epc.enclayer.io, with the amount that the name says. Its claims
// have its name as label, by which they are found.
std::string template_object(const TemplateName& name);

// What the pods of a PodList wait for, added to `needed`. Names that are none of ours, or no names, are passed over.
// kMalformed: no JSON object.
Result<> read_needed(std::string_view pods, std::set<TemplateName>& needed);

class ClaimTemplates {
 public:
  using Time = std::chrono::steady_clock::time_point;

  explicit ClaimTemplates(http::ApiServer api) : api_(std::move(api)) {}

  // Makes what is missing and, when a sweep is due, removes what is unused. What the API server refuses of one template is
  // logged, and keeps no other from being made. Other errors are those of ApiClient, and may be over at the next look.
  Result<> look(Time now);

  // Returns when the pods that may wait change, and when the next sweep is due. Errors as of look().
  Result<> wait() const;

  static constexpr std::chrono::seconds kSweep{60};

 private:
  Result<> sweep(ApiClient& api, const std::set<TemplateName>& needed);

  const http::ApiServer api_;
  std::string version_;            // of the list of pods at the last look
  std::optional<Time> swept_;      // not yet: at once
  std::set<TemplateName> unused_;  // at the last sweep
};

}  // namespace enclayer::dra
