// SPDX-License-Identifier: Apache-2.0
// The way of a quote through a cluster, link by link, from the API server to the tokens that are made of it: what holds,
// what is wrong and why, what is not known and why, and the next command. The first link that is wrong is where to begin:
// what comes after it may be wrong because of it.
//
//   cluster - add-on - images - admission - other plugins - nodes - clocks - SGX - container runtime - device plugin - DRA driver -
//   quote helper - Quoting Enclave - TCB recovery - pods - attestation service
//
// Everything is judged from what others have read: `examine()` is a function of plain values.
#pragma once

#include <chrono>
#include <map>
#include <string>
#include <vector>

#include "addon/api_server.h"
#include "addon/cluster.h"
#include "addon/helper_facts.h"
#include "addon/install.h"
#include "addon/kubectl.h"
#include "addon/protection.h"
#include "addon/state.h"

namespace enclayer::addon {

// kSoon: it holds today, and will not unless somebody does something.
enum class Standing { kOk, kOff, kUnknown, kSoon, kWrong };
std::string_view to_string(Standing standing);  // "ok", "off", "unknown", "soon", "wrong"

struct Link {
  std::string name;
  Standing standing = Standing::kOk;
  std::string why;   // what was seen, or what is wrong, as a sentence's end
  std::string next;  // a command; empty where there is none
};

// How far clocks of nodes are from the API server's: their kubelets date a Lease with each heartbeat (coordination.k8s.io/v1,
// spec.renewTime; every 10 s). By a wrong clock certificates and collateral are not valid yet, or no more.
struct Clocks {
  std::string not_known;                              // why; empty: they are
  std::map<std::string, std::chrono::seconds> ahead;  // by node; less than 0: behind, or its heartbeat is that old
};
inline constexpr std::chrono::seconds kMostAhead{5}, kMostBehind{60};
Clocks read_clocks(const ApiServer& api);

// What was read of a cluster.
struct Examined {
  const Cluster& cluster;
  const Remembered* before = nullptr;  // what the cluster remembers; nullptr: nothing
  std::string no_settings{};           // why that cannot be read
  const State& state;
  const Protection& protection;  // of an add-on that is on
  const Clocks& clocks;
  std::string not_asked{};                     // why no pod was asked anything; empty: they were
  std::vector<std::string> helper_warnings{};  // warnings_of() the helpers
  std::size_t helpers_asked = 0;
  std::vector<std::string> coming{}, not_foreseen{};  // what awaits platforms; why that is not known
  std::map<std::string, std::string> said{};          // by ask_what_is_wrong()
  std::string_view version{};                         // of this program
};

// A link may be there more than once: each thing that is wrong with it is one.
std::vector<Link> examine(const Examined& all);

// A sentence of what a probe of /readyz prints: "enclayer-quote-helper: [10.0.0.1]:9410/readyz says: not ready" and the
// reasons, a line each; or "ok, collateral has expired at ..."; or "ok", which is nothing.
std::string own_words(std::string_view said);

// What pods of ours that run have to say of themselves (`--probe=/readyz` by kubectl exec), by full name: why they are
// not ready, and of the attestation service's also what is wrong beside that. Of kMostAsked pods of the add-on's
// namespace, all at once, each for a few seconds. A pod that does not answer is one that says so.
std::map<std::string, std::string> ask_what_is_wrong(const Kubectl& kubectl, const Cluster& cluster,
                                                     const manifests::Settings& settings);

}  // namespace enclayer::addon
