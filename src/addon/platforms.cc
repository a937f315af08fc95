// SPDX-License-Identifier: Apache-2.0
#include "addon/platforms.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "addon/names.h"
#include "attestation/tcb_evaluation.h"
#include "base/hex.h"
#include "collateral/service.h"

namespace enclayer::addon {
namespace {

using collateral::Entry;
using nlohmann::ordered_json;

// What is looked up.
struct PatchLevel {
  std::string fmspc, tcb;
  int qe_svn = 0;
  auto operator<=>(const PatchLevel&) const = default;
};

// For SGX, of that edition, fetched last.
const Entry* entry_for(const std::string& fmspc, bool early, const std::vector<Entry>& cache) {
  const Entry* out = nullptr;
  for (const Entry& entry : cache)
    if (base::to_hex(entry.contents.platform.fmspc) == fmspc && entry.contents.platform.tee == collateral::Tee::kSgx &&
        collateral::Edition::is_early(entry.url) == early && (out == nullptr || out->fetched < entry.fetched))
      out = &entry;
  return out;
}

std::string fetch_command(const HelperFacts& facts, bool early) {
  return "`enclayer collateral fetch --fmspc " + facts.fmspc + " --ca " +
         (facts.pck_ca == "processor" ? "processor" : "platform") + (early ? " --update early" : "") +
         " --out /dev/null`";
}

TcbStanding unknown(std::string why) { return {.unknown = std::move(why)}; }

TcbStanding stands(const attestation::PlatformTcb& tcb, int qe_svn, const Entry& entry, Time now) {
  const auto tcb_info = attestation::parse_tcb_info(entry.collateral.tcb_info);
  const auto qe_identity = attestation::parse_qe_identity(entry.collateral.qe_identity);
  if (!tcb_info) return unknown("TCB Info in the cache: " + tcb_info.error().message());
  if (!qe_identity) return unknown("QE Identity in the cache: " + qe_identity.error().message());
  const attestation::Window validity = tcb_info->validity & qe_identity->validity;
  if (!validity.holds(now)) return unknown(validity.refusal("the collateral in the cache", now));
  TcbStanding out{.evaluation_number = std::min(tcb_info->evaluation_number, qe_identity->evaluation_number),
                  .next_update = validity.until};
  const auto svn = static_cast<std::uint16_t>(qe_svn);
  const attestation::IsvLevel* qe_level = attestation::level_of(qe_identity->levels, svn);
  if (qe_level == nullptr) {
    out.status = to_string(Reason::kTcbNotSupported);
    return out;
  }
  auto evaluate = [&]() -> attestation::Checked<TcbEvaluation> {
    ENCLAYER_TRY(const TcbPart qe, attestation::qe_at(*qe_level));
    return attestation::evaluate_tcb(*tcb_info, tcb, std::nullopt, qe);
  };
  const auto evaluation = evaluate();
  if (evaluation) {
    out.status = to_string(evaluation->status);
    out.advisories = evaluation->advisory_ids();
    out.lacks = attestation::shortfalls_of(*tcb_info, tcb, std::nullopt, *qe_identity, svn).list;
  } else if (evaluation.error().reason == Reason::kTcbNotSupported) {
    out.status = to_string(Reason::kTcbNotSupported);
  } else {
    return unknown(evaluation.error().detail);
  }
  return out;
}

PlatformOutlook judge(const PatchLevel& level, const HelperFacts& facts, const attestation::PlatformTcb& tcb,
                      const std::vector<Entry>& cache, Time now) {
  PlatformOutlook out{.fmspc = level.fmspc, .tcb = level.tcb, .qe_svn = level.qe_svn};
  for (const bool early : {false, true}) {
    TcbStanding& standing = early ? out.early : out.standard;
    if (const Entry* entry = entry_for(level.fmspc, early, cache))
      standing = stands(tcb, level.qe_svn, *entry, now);
    else
      standing = unknown(facts.simulated
                             ? "the platform is simulated, and no service has collateral for it"
                             : "no " + std::string(early ? "early" : "standard") + " collateral for FMSPC " +
                                   level.fmspc + " is in the cache of this machine: " + fetch_command(facts, early));
  }
  // A helper of the simulation knows its own status, and there is no early edition of it.
  if (!out.standard.unknown.empty() && !facts.tcb_status.empty())
    out.standard = {.status = facts.tcb_status, .advisories = facts.advisories};
  if (out.standard.unknown.empty() && out.early.unknown.empty() &&
      out.early.evaluation_number < out.standard.evaluation_number)
    out.early =
        unknown("the early collateral in the cache has evaluation number " +
                std::to_string(out.early.evaluation_number) + ", the standard one " +
                std::to_string(out.standard.evaluation_number) + ": fetch it again, " + fetch_command(facts, true));
  return out;
}

// The patch level that a helper tells; a reason where it tells none.
Result<std::pair<PatchLevel, attestation::PlatformTcb>> level_of(const HelperFacts& facts) {
  auto missing = [](std::string why) { return Error(ErrorKind::kNotFound, std::move(why)); };
  if (!facts.trouble.empty()) return missing("the quote helper could not be asked: " + facts.trouble);
  if (facts.fmspc.empty()) return missing("its quote helper has made no quote yet");
  const auto tcb = attestation::platform_tcb_from(facts.pck_tcb);
  if (!collateral::fmspc_from(facts.fmspc) || !tcb || !facts.qe_svn)
    return missing("its quote helper does not say at which patch level it quotes; is it of an older version?");
  return std::pair(PatchLevel{facts.fmspc, to_string(*tcb), *facts.qe_svn}, *tcb);
}

std::string lacks_in_words(const std::vector<Shortfall>& lacks) {
  std::string out;
  for (const Shortfall& one : lacks)
    out += (out.empty() ? ": " : ", ") + one.part + " is " + std::to_string(one.has) + ", needs " +
           std::to_string(one.needs) + " (level of " + format_time(one.since).substr(0, 10) + ")";
  return out;
}

std::string advisories_in_words(const std::vector<std::string>& ids) { return ids.empty() ? "" : "; " + in_words(ids); }

ordered_json json_of(const TcbStanding& standing) {
  if (!standing.unknown.empty()) return {{"status", nullptr}, {"unknown", standing.unknown}};
  ordered_json lacks = ordered_json::array();
  for (const Shortfall& one : standing.lacks)
    lacks.push_back({{"part", one.part}, {"has", one.has}, {"needs", one.needs}, {"since", format_time(one.since)}});
  return {{"status", standing.status},
          {"advisories", standing.advisories},
          {"lacks", std::move(lacks)},
          {"tcb_evaluation_number", standing.evaluation_number},
          {"next_update", standing.next_update ? ordered_json(format_time(*standing.next_update)) : ordered_json()}};
}

}  // namespace

bool TcbStanding::good() const {
  return !status.empty() && !status.starts_with("OutOfDate") && status != to_string(TcbStatus::kRevoked) &&
         status != to_string(Reason::kTcbNotSupported);
}

bool Platforms::lacks_something(const std::string& node) const {
  return std::any_of(known.begin(), known.end(), [&](const PlatformOutlook& one) {
    const bool lacks = !one.standard.lacks.empty() || !one.early.lacks.empty() || one.falls() ||
                       (one.standard.unknown.empty() && !one.standard.good());
    return lacks && std::find(one.nodes.begin(), one.nodes.end(), node) != one.nodes.end();
  });
}

Platforms platforms_of(const std::vector<HelperFacts>& asked, const Cluster& cluster, const std::vector<Entry>& cache,
                       Time now) {
  std::map<PatchLevel, PlatformOutlook> known;
  std::map<std::string, std::vector<std::string>> unknown;
  std::vector<std::string> heard;
  for (const HelperFacts& facts : asked) {
    heard.push_back(facts.node);
    const auto level = level_of(facts);
    if (!level) {
      unknown[level.error().message()].push_back(facts.node);
      continue;
    }
    auto found = known.find(level->first);
    if (found == known.end())
      found = known.emplace(level->first, judge(level->first, facts, level->second, cache, now)).first;
    found->second.nodes.push_back(facts.node);
  }
  for (const Pod& pod : cluster.pods)
    if (cluster.is_daemon(pod) && pod.app == kHelper && !pod.leaving && !pod.node.empty() &&
        std::find(heard.begin(), heard.end(), pod.node) == heard.end()) {
      heard.push_back(pod.node);
      unknown[pod.ready ? "its quote helper was not asked (show --helpers N)" : "its quote helper is not ready"]
          .push_back(pod.node);
    }
  Platforms out;
  for (auto& [level, platform] : known) {
    std::sort(platform.nodes.begin(), platform.nodes.end());
    out.known.push_back(std::move(platform));
  }
  std::stable_sort(out.known.begin(), out.known.end(),
                   [](const PlatformOutlook& a, const PlatformOutlook& b) { return a.falls() > b.falls(); });
  for (auto& [why, nodes] : unknown) {
    std::sort(nodes.begin(), nodes.end());
    out.unknown.push_back({why, std::move(nodes)});
  }
  return out;
}

std::vector<std::string> bad_today(const Platforms& platforms) {
  std::vector<std::string> out;
  for (const PlatformOutlook& one : platforms.known)
    if (one.standard.unknown.empty() && one.standard.status != "UpToDate" && one.standard.status != "SWHardeningNeeded")
      out.push_back("quotes of " + in_words(one.nodes) + " reach TCB status " + one.standard.status + " only" +
                    lacks_in_words(one.standard.lacks) + advisories_in_words(one.standard.advisories));
  return out;
}

std::vector<std::string> bad_soon(const Platforms& platforms) {
  std::vector<std::string> out;
  for (const PlatformOutlook& one : platforms.known)
    if (one.falls())
      out.push_back("quotes of " + in_words(one.nodes) + " are " + one.standard.status + " today, and " +
                    one.early.status + " by the early TCB Info (evaluation number " +
                    std::to_string(one.early.evaluation_number) +
                    "), which commonly becomes the standard one some six weeks after the disclosure" +
                    lacks_in_words(one.early.lacks) + advisories_in_words(one.early.advisories));
  return out;
}

std::vector<std::string> not_foreseen(const Platforms& platforms) {
  std::vector<std::string> out;
  for (const PlatformOutlook& one : platforms.known) {
    const std::string& why = one.standard.unknown.empty() ? one.early.unknown : one.standard.unknown;
    if (!why.empty()) out.push_back(in_words(one.nodes) + ": " + why);
  }
  for (const Platforms::Unknown& one : platforms.unknown) out.push_back(in_words(one.nodes) + ": " + one.why);
  return out;
}

std::vector<Advisory> advisories_of(const Platforms& platforms, const Cluster& cluster) {
  std::map<std::string, std::vector<std::string>> pods;  // by node
  for (const Pod& pod : cluster.pods)
    if (!pod.ours && pod.holds_sgx()) pods[pod.node].push_back(pod.full_name());
  for (const Claim& claim : cluster.claims)
    for (const std::string& pod : claim.pods) pods[claim.node].push_back(claim.name_space + "/" + pod);
  std::map<std::pair<bool, std::string>, Advisory> found;
  for (const PlatformOutlook& platform : platforms.known)
    for (const bool early : {false, true})
      for (const std::string& id : (early ? platform.early : platform.standard).advisories) {
        const auto& today = platform.standard.advisories;
        if (early && std::find(today.begin(), today.end(), id) != today.end()) continue;
        if (found.size() == kMostAdvisories && !found.contains({early, id})) continue;
        Advisory& one = found[{early, id}];
        one.id = id;
        one.early = early;
        for (const std::string& node : platform.nodes) {
          one.nodes.push_back(node);
          one.pods.insert(one.pods.end(), pods[node].begin(), pods[node].end());
        }
      }
  std::vector<Advisory> out;
  for (auto& [key, one] : found) {
    std::sort(one.nodes.begin(), one.nodes.end());
    std::sort(one.pods.begin(), one.pods.end());
    one.pods.erase(std::unique(one.pods.begin(), one.pods.end()), one.pods.end());
    if (one.pods.size() > kMostPods) {
      one.more_pods = one.pods.size() - kMostPods;
      one.pods.resize(kMostPods);
    }
    out.push_back(std::move(one));
  }
  return out;
}

ordered_json to_json(const Platforms& platforms) {
  ordered_json out = ordered_json::array();
  for (const PlatformOutlook& one : platforms.known)
    out.push_back({{"fmspc", one.fmspc},
                   {"tcb", one.tcb},
                   {"qe_isvsvn", one.qe_svn},
                   {"nodes", one.nodes},
                   {"standard", json_of(one.standard)},
                   {"early", json_of(one.early)}});
  for (const Platforms::Unknown& one : platforms.unknown)
    out.push_back({{"fmspc", nullptr}, {"unknown", one.why}, {"nodes", one.nodes}});
  return out;
}

ordered_json to_json(const std::vector<Advisory>& advisories) {
  ordered_json out = ordered_json::array();
  for (const Advisory& one : advisories)
    out.push_back(
        {{"id", one.id}, {"early", one.early}, {"nodes", one.nodes}, {"pods", one.pods}, {"more_pods", one.more_pods}});
  return out;
}

}  // namespace enclayer::addon
