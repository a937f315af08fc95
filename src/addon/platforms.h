// SPDX-License-Identifier: Apache-2.0
// What the nodes' platforms are worth today, and what awaits them: quote helpers say at which patch level they quote, and the
// collateral that `enclayer collateral fetch` has left on this machine says what becomes of it, by the standard TCB Info and
// by the early one (docs/outlook.md). A function of plain values. Nothing is verified: it is for a warning, and for a list of
// whom an advisory concerns.
//
// What cannot be known is said to be unknown, with the reason, never to be well.
#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "addon/cluster.h"
#include "addon/helper_facts.h"
#include "collateral/cache.h"
#include "enclayer/time.h"
#include "enclayer/verify.h"

namespace enclayer::addon {

// A patch level as one edition of TCB Info and QE Identity sees it.
struct TcbStanding {
  std::string unknown{};  // why it is not known; all that follows is empty then
  std::string status{};   // a TcbStatus, or TCB_NOT_SUPPORTED: older than all that Intel has levels of
  std::vector<std::string> advisories{};
  std::vector<Shortfall> lacks{};
  std::uint32_t evaluation_number = 0;
  std::optional<Time> next_update{};  // the first of both

  bool good() const;  // known, and neither out of date, nor revoked, nor unsupported
};

// Nodes whose platforms are alike.
struct PlatformOutlook {
  std::string fmspc, tcb;  // 12 and 36 hexadecimal digits (attestation::PlatformTcb)
  int qe_svn = 0;          // ISVSVN of the Quoting Enclave
  std::vector<std::string> nodes{};
  TcbStanding standard{}, early{};

  bool falls() const { return standard.good() && early.unknown.empty() && !early.good(); }
};

struct Platforms {
  std::vector<PlatformOutlook> known;  // those that fall first, then by FMSPC and patch level
  struct Unknown {
    std::string why;
    std::vector<std::string> nodes;
  };
  std::vector<Unknown> unknown;  // nodes of which not even the patch level is known

  bool lacks_something(const std::string& node) const;  // by either edition
};

// `cache`: what is there of any service; of one edition the entry that was fetched last. Nodes with quote helpers that are not
// in `asked` are unknown because they were not asked.
Platforms platforms_of(const std::vector<HelperFacts>& asked, const Cluster& cluster,
                       const std::vector<collateral::Entry>& cache, Time now);

// A sentence for each platform that is not good today, and for each that is and falls.
std::vector<std::string> bad_today(const Platforms& platforms);
std::vector<std::string> bad_soon(const Platforms& platforms);
// Why it is not known of a platform what awaits it.
std::vector<std::string> not_foreseen(const Platforms& platforms);

// Whom an advisory concerns: the nodes at whose patch level TCB Info names it, and the pods there that hold SGX, by devices or
// by claims.
struct Advisory {
  std::string id;
  bool early = false;                    // only the early TCB Info names it
  std::vector<std::string> nodes, pods;  // pods as "namespace/name"
  std::size_t more_pods = 0;             // beyond kMostPods
};
inline constexpr std::size_t kMostAdvisories = 256, kMostPods = 1024;
// Those of today first, then by id.
std::vector<Advisory> advisories_of(const Platforms& platforms, const Cluster& cluster);

nlohmann::ordered_json to_json(const Platforms& platforms);
nlohmann::ordered_json to_json(const std::vector<Advisory>& advisories);

}  // namespace enclayer::addon
