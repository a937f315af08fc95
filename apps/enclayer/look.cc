// SPDX-License-Identifier: Apache-2.0
#include "look.h"

#include "addon/names.h"
#include "base/hex.h"
#include "base/version.h"
#include "collateral/cache.h"

namespace enclayer::apps {
namespace {

using namespace addon;

// By the collateral that `enclayer collateral fetch` has left on this machine; empty where there is none.
NeededSvns needed_for(const std::string& fmspc, const std::filesystem::path& cache_home) {
  if (fmspc.empty() || cache_home.empty()) return {};
  auto listed = collateral::Cache(cache_home / "enclayer" / "collateral").list();
  if (!listed) return {};
  NeededSvns newest;
  Time fetched{};
  for (const auto& one : *listed) {
    if (!one.entry || base::to_hex(one.entry->contents.platform.fmspc) != fmspc || one.entry->fetched < fetched)
      continue;
    fetched = one.entry->fetched;
    newest = needed_svns(one.entry->collateral.tcb_info, one.entry->collateral.qe_identity);
  }
  return newest;
}

Result<> ask_pods(Looked& all, const std::filesystem::path& cache_home) {
  ENCLAYER_TRY(auto lacked, lacking(*all.api, {{"create", "", "pods/exec", all.state.name_space}}));
  if (!lacked.empty()) {
    all.not_asked = "that takes the right to create pods/exec in namespace " + all.state.name_space;
    return {};
  }
  all.helpers = ask_helpers(all.api->kubectl(), all.cluster);
  for (const HelperFacts& helper : all.helpers)
    for (std::string& warning : warnings_of(helper, needed_for(helper.fmspc, cache_home)))
      all.helper_warnings.push_back(std::move(warning));
  return {};
}

}  // namespace

Result<Looked> look_at_cluster(const ClusterFlags& flags, const Surroundings& around) {
  Looked out;
  ENCLAYER_TRY(out.api, connect(flags, around.search_path));
  ENCLAYER_TRY(out.cluster, read_cluster(*out.api, Scope::kState));
  if (auto before = remembered(out.cluster))
    out.before = std::move(*before);
  else
    out.no_settings = before.error().message();
  return out;
}

Result<Looked> look(const ClusterFlags& flags, const Surroundings& around) {
  ENCLAYER_TRY(Looked out, look_at_cluster(flags, around));
  out.state = state(out.cluster, out.remembered_settings(), base::kVersion);
  if (!out.state.on) return out;
  out.protection = look_at_protection(*out.api, out.cluster, out.remembered_settings());
  if (out.cluster.ours(kHelper) != nullptr) ENCLAYER_CHECK(ask_pods(out, around.cache_home));
  return out;
}

}  // namespace enclayer::apps
