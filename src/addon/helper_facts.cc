// SPDX-License-Identifier: Apache-2.0
#include "addon/helper_facts.h"

#include <map>
#include <nlohmann/json.hpp>

#include "addon/names.h"

namespace enclayer::addon {
namespace {

using nlohmann::json;
using namespace std::chrono_literals;

constexpr std::size_t kMostCollateral = 1 << 20;  // bytes

std::string text_at(const json& object, const char* key) {
  auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

std::optional<int> svn_at(const json& object, const char* key) {
  auto found = object.find(key);
  if (found == object.end() || !found->is_number_unsigned() || found->get<std::uint64_t>() > 0xFFFF) return {};
  return found->get<int>();
}

const json& object_at(const json& object, const char* key) {
  static const json kNone = json::object();
  auto found = object.find(key);
  return found != object.end() && found->is_object() ? *found : kNone;
}

// Levels stand from the newest to the oldest (Intel's PCS API, "TCB Info", tcbLevels).
std::optional<int> newest_up_to_date(const json& body, const char* svn) {
  auto levels = body.find("tcbLevels");
  if (levels == body.end() || !levels->is_array()) return {};
  for (const json& level : *levels)
    if (level.is_object() && text_at(level, "tcbStatus") == "UpToDate") return svn_at(object_at(level, "tcb"), svn);
  return {};
}

json parsed(std::string_view text) {
  if (text.size() > kMostCollateral) return {};
  return json::parse(text, nullptr, false);
}

std::string older(const HelperFacts& facts, const char* enclave, int has, int needs) {
  return "the quote helper on " + facts.node + " (" + facts.image + ") quotes with a " + enclave + " of ISVSVN " +
         std::to_string(has) + ", an up-to-date platform " + facts.fmspc + " has " + std::to_string(needs) +
         ": put Intel's newer packages into the image, then enclayer update";
}

}  // namespace

Result<HelperFacts> parse_helper_facts(std::string_view text) {
  json object = text.size() > kMostHelperFacts ? json() : json::parse(text, nullptr, false);
  if (!object.is_object())
    return Error(ErrorKind::kMalformed, "the quote helper's facts are not a JSON object of at most 64 KiB");
  HelperFacts out;
  out.version = text_at(object, "version");
  if (auto libraries = object.find("libraries"); libraries != object.end() && libraries->is_array())
    for (const json& library : *libraries)
      if (library.is_object() && text_at(library, "file").find("libsgx_dcap_ql.so") != std::string::npos)
        out.libraries = text_at(library, "version");
  out.qe_svn = svn_at(object_at(object, "qe"), "isvsvn");
  out.pce_svn = svn_at(object_at(object, "pce"), "isvsvn");
  out.fmspc = text_at(object, "fmspc");
  const json& tcb = object_at(object, "tcb");
  out.tcb_status = text_at(tcb, "status");
  out.tcb_unknown = text_at(object, "tcb_unknown");
  if (auto advisories = tcb.find("advisories"); advisories != tcb.end() && advisories->is_array())
    for (const json& one : *advisories)
      if (one.is_string()) out.advisories.push_back(one.get<std::string>());
  return out;
}

std::vector<HelperFacts> ask_helpers(const Kubectl& kubectl, const Cluster& cluster) {
  std::map<std::string, const Pod*> by_image;
  for (const Pod& pod : cluster.pods)
    if (pod.ours && pod.app == kHelper && pod.ready && !pod.leaving && !pod.images.empty())
      by_image.emplace(pod.images.front(), &pod);

  std::vector<HelperFacts> out;
  std::vector<Call> calls;
  for (const auto& [image, pod] : by_image) {
    if (calls.size() == kMostAsked) break;
    HelperFacts facts;
    facts.node = pod->node;
    facts.image = image;
    out.push_back(std::move(facts));
    calls.push_back({.arguments = {"exec", "-n", pod->name_space, pod->name, "-c", "quote-helper", "--",
                                   "/usr/bin/enclayer-quote-helper", "--facts"},
                     .doing = "ask the quote helper on " + pod->node + " what it quotes with",
                     .max_output = kMostHelperFacts,
                     .timeout = 5s});
  }
  auto answers = kubectl.run(calls);
  for (std::size_t i = 0; i < answers.size(); ++i) {
    auto facts = answers[i] ? parse_helper_facts(answers[i]->out) : Result<HelperFacts>(answers[i].error());
    if (facts) {
      facts->node = out[i].node;
      facts->image = out[i].image;
      out[i] = std::move(*facts);
    } else {
      out[i].trouble = facts.error().message();
    }
  }
  return out;
}

NeededSvns needed_svns(std::string_view tcb_info_json, std::string_view qe_identity_json) {
  auto body = [](std::string_view text, const char* key) -> json {
    json whole = parsed(text);
    if (!whole.is_object()) return json::object();
    return whole.contains(key) ? object_at(whole, key) : whole;
  };
  return {newest_up_to_date(body(qe_identity_json, "enclaveIdentity"), "isvsvn"),
          newest_up_to_date(body(tcb_info_json, "tcbInfo"), "pcesvn")};
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
