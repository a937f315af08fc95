// SPDX-License-Identifier: Apache-2.0
#include "addon/helper_facts.h"

#include <algorithm>
#include <map>

#include "addon/names.h"
#include "base/json.h"

namespace enclayer::addon {
namespace {

using base::JsonDocument;
using base::JsonValue;
using namespace std::chrono_literals;

std::optional<int> svn_at(JsonValue object, const char* key) {
  auto svn = object.number(key, 0xFFFF);
  return svn ? std::optional(static_cast<int>(*svn)) : std::nullopt;
}

// Levels stand from the newest to the oldest (Intel's PCS API, "TCB Info", tcbLevels).
std::optional<int> newest_up_to_date(std::string_view text, const char* key, const char* svn) {
  auto document = JsonDocument::parse(text);
  if (!document) return {};
  const JsonValue root = document->root();
  for (const auto& [at, level] : (root.has(key) ? root[key] : root)["tcbLevels"].entries())
    if (level["tcbStatus"].text() == "UpToDate") return svn_at(level["tcb"], svn);
  return {};
}

std::string older(const HelperFacts& facts, const char* enclave, int has, int needs) {
  return "the quote helper on " + facts.node + " (" + facts.image + ") quotes with a " + enclave + " of ISVSVN " +
         std::to_string(has) + ", an up-to-date platform " + facts.fmspc + " has " + std::to_string(needs) +
         ": put Intel's newer packages into the image, then enclayer update";
}

}  // namespace

Result<HelperFacts> parse_helper_facts(std::string_view text) {
  auto document = JsonDocument::parse(text, base::JsonLimits{.size = kMostHelperFacts});
  if (!document) return document.error().with_context("the quote helper's facts");
  const JsonValue root = document->root(), tcb = root["tcb"];
  HelperFacts out;
  out.version = root["version"].text();
  out.simulated = root["platform"].text() == "sim";
  for (const auto& [at, library] : root["libraries"].entries())
    if (library["file"].text().find("libsgx_dcap_ql.so") != std::string::npos)
      out.libraries = library["version"].text();
  out.qe_svn = svn_at(root["qe"], "isvsvn");
  out.pce_svn = svn_at(root["pce"], "isvsvn");
  out.fmspc = root["fmspc"].text();
  out.pck_tcb = root["pck_tcb"].text();
  out.pck_ca = root["pck_ca"].text();
  out.tcb_status = tcb["status"].text();
  out.tcb_unknown = root["tcb_unknown"].text();
  for (const auto& [at, advisory] : tcb["advisories"].entries()) out.advisories.push_back(advisory.text());
  return out;
}

namespace {

// Those that are to be asked, in their order; the first `images` of them are of an image each.
struct Asked {
  std::vector<const Pod*> pods{};
  std::size_t images = 0;
};
Asked helpers_to_ask(const Cluster& cluster, std::size_t most) {
  std::map<std::string, const Pod*> by_image;
  std::vector<const Pod*> rest;
  std::map<std::string, int> holders;  // by node
  for (const Pod& pod : cluster.pods) {
    if (!pod.ours && pod.holds_sgx()) ++holders[pod.node];
    if (!cluster.is_daemon(pod) || pod.app != kHelper || !pod.ready || pod.leaving || pod.images.empty()) continue;
    if (!by_image.emplace(pod.images.front(), &pod).second) rest.push_back(&pod);
  }
  std::stable_sort(rest.begin(), rest.end(),
                   [&](const Pod* a, const Pod* b) { return holders[a->node] > holders[b->node]; });
  Asked out{.images = std::min(by_image.size(), most)};
  for (const auto& [image, pod] : by_image) out.pods.push_back(pod);
  out.pods.insert(out.pods.end(), rest.begin(), rest.end());
  out.pods.resize(std::min(out.pods.size(), most));
  return out;
}

}  // namespace

std::vector<HelperFacts> ask_helpers(const Kubectl& kubectl, const Cluster& cluster, std::size_t most) {
  const Asked asked = helpers_to_ask(cluster, most);
  std::vector<HelperFacts> out;
  std::vector<Call> calls;
  for (const Pod* pod : asked.pods) {
    HelperFacts facts;
    facts.node = pod->node;
    facts.image = pod->images.front();
    facts.first_of_image = calls.size() < asked.images;
    out.push_back(std::move(facts));
    calls.push_back({.arguments = {"exec", "-n", pod->name_space, pod->name, "-c", "quote-helper", "--",
                                   "/usr/bin/enclayer-quote-helper", "--facts"},
                     .doing = "ask the quote helper on " + pod->node + " what it quotes with",
                     .max_output = kMostHelperFacts,
                     .timeout = 5s});
  }
  at_once(calls.size(), [&](std::size_t i) {
    auto answer = kubectl.run(calls[i]);
    auto facts = answer ? parse_helper_facts(answer->out) : Result<HelperFacts>(answer.error());
    if (facts) {
      facts->node = out[i].node;
      facts->image = out[i].image;
      facts->first_of_image = out[i].first_of_image;
      out[i] = std::move(*facts);
    } else {
      out[i].trouble = facts.error().message();
    }
  });
  return out;
}

NeededSvns needed_svns(std::string_view tcb_info_json, std::string_view qe_identity_json) {
  return {newest_up_to_date(qe_identity_json, "enclaveIdentity", "isvsvn"),
          newest_up_to_date(tcb_info_json, "tcbInfo", "pcesvn")};
}

std::vector<std::string> warnings_of(const HelperFacts& facts, const NeededSvns& needed) {
  std::vector<std::string> out;
  if (!facts.trouble.empty())
    out.push_back("the quote helper on " + facts.node + " could not be asked what it quotes with: " + facts.trouble);
  if (facts.qe_svn && needed.qe && *facts.qe_svn < *needed.qe)
    out.push_back(older(facts, "QE", *facts.qe_svn, *needed.qe));
  if (facts.pce_svn && needed.pce && *facts.pce_svn < *needed.pce)
    out.push_back(older(facts, "PCE", *facts.pce_svn, *needed.pce));
  if (!facts.tcb_status.empty() && facts.tcb_status != "UpToDate" && facts.tcb_status != "SWHardeningNeeded") {
    std::string advisories;
    for (const std::string& one : facts.advisories) advisories += (advisories.empty() ? ": " : ", ") + one;
    out.push_back("quotes of " + facts.node + " reach TCB status " + facts.tcb_status + " only" + advisories);
  }
  return out;
}

}  // namespace enclayer::addon
