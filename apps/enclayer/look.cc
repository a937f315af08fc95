// SPDX-License-Identifier: Apache-2.0
#include "look.h"

#include <chrono>

#include "addon/names.h"
#include "addon/scraper.h"
#include "base/hex.h"
#include "base/metrics_page.h"
#include "base/version.h"
#include "collateral/cache.h"

namespace enclayer::apps {
namespace {

using namespace addon;

// The collateral that `enclayer collateral fetch` has left on this machine.
std::vector<collateral::Entry> cached(const std::filesystem::path& cache_home) {
  std::vector<collateral::Entry> out;
  if (cache_home.empty()) return out;
  if (auto listed = collateral::Cache(cache_home / "enclayer" / "collateral").list())
    for (auto& one : *listed)
      if (one.entry) out.push_back(*std::move(one.entry));
  return out;
}

// By that of any edition, the newest one; empty where there is none.
NeededSvns needed_for(const std::string& fmspc, const std::vector<collateral::Entry>& cache) {
  const collateral::Entry* newest = nullptr;
  for (const collateral::Entry& one : cache)
    if (base::to_hex(one.contents.platform.fmspc) == fmspc && (newest == nullptr || newest->fetched <= one.fetched))
      newest = &one;
  return newest == nullptr ? NeededSvns() : needed_svns(newest->collateral.tcb_info, newest->collateral.qe_identity);
}

// Who has EPC open on nodes whose microcode may have to be updated: what their device plugins see, where they may look.
std::map<std::string, Said> ask_plugins(const Looked& all, std::size_t most) {
  std::vector<Daemon> asked;
  if (all.remembered_settings() == nullptr || !all.before->settings.account_mapped) return {};
  for (const Pod& pod : all.cluster.pods)
    if (pod.app == kPlugin && pod.ready && !pod.leaving && asked.size() < most &&
        all.platforms.lacks_something(pod.node))
      if (auto daemon = daemon_of(pod, all.cluster, all.before->settings)) asked.push_back(*std::move(daemon));
  std::vector<Said> said(asked.size());
  at_once(asked.size(), [&](std::size_t i) {
    Call call = probe(asked[i], 0, "/metrics");
    call.doing = "ask the device plugin on " + asked[i].node + " who has EPC open";
    call.max_output = base::kMostPage;
    call.timeout = Scraper::kPatience;
    said[i] = {.node = asked[i].node, .app = asked[i].app, .now = {}, .before = {}, .trouble = {}};
    auto answer = all.api->kubectl().run(call);
    auto figures = answer ? read_figures(answer->out) : Result<Figures>(answer.error());
    if (figures)
      said[i].now = Look{*std::move(figures), std::chrono::steady_clock::now(), 0};
    else
      said[i].trouble = "cannot be asked: " + figures.error().message();
  });
  std::map<std::string, Said> out;
  for (std::size_t i = 0; i < asked.size(); ++i) out[asked[i].full_name()] = std::move(said[i]);
  return out;
}

Result<> ask_pods(Looked& all, const Surroundings& around, std::size_t helpers) {
  ENCLAYER_TRY(auto lacked, lacking(*all.api, {{"create", "", "pods/exec", all.state.name_space}}));
  if (!lacked.empty()) {
    all.not_asked = "that takes the right to create pods/exec in namespace " + all.state.name_space;
    return {};
  }
  const auto cache = cached(around.cache_home);
  all.helpers = ask_helpers(all.api->kubectl(), all.cluster, helpers);
  all.platforms = platforms_of(all.helpers, all.cluster, cache, around.now);
  all.plugins = ask_plugins(all, helpers);
  for (HelperFacts helper : all.helpers) {
    if (!helper.first_of_image) continue;
    if (!helper.pck_tcb.empty()) helper.tcb_status.clear();  // said of its platform
    for (std::string& warning : warnings_of(helper, needed_for(helper.fmspc, cache)))
      all.helper_warnings.push_back(std::move(warning));
  }
  for (std::string& warning : bad_today(all.platforms)) all.helper_warnings.push_back(std::move(warning));
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

Result<Looked> look(const ClusterFlags& flags, const Surroundings& around, std::size_t helpers) {
  ENCLAYER_TRY(Looked out, look_at_cluster(flags, around));
  out.state = state(out.cluster, out.remembered_settings(), base::kVersion);
  if (!out.state.on) return out;
  out.protection = look_at_protection(*out.api, out.cluster, out.remembered_settings());
  if (out.cluster.ours(kHelper) != nullptr) ENCLAYER_CHECK(ask_pods(out, around, helpers));
  return out;
}

}  // namespace enclayer::apps
