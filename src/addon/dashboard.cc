// SPDX-License-Identifier: Apache-2.0
#include "addon/dashboard.h"

#include <algorithm>
#include <cstdint>
#include <nlohmann/json.hpp>

#include "base/base64.h"
#include "base/digest.h"

namespace enclayer::addon {
namespace {

using nlohmann::ordered_json;

constexpr auto kReplace = ordered_json::error_handler_t::replace;
constexpr std::size_t kMostTrouble = 2000;  // bytes

// 'sha256-...' of what stands between <tag> and </tag>, as a browser forms it (CSP level 3, 8.4).
std::string digest_of(std::string_view page, const std::string& tag) {
  const std::string opens = "<" + tag + ">", closes = "</" + tag + ">";
  const std::size_t begin = page.find(opens) + opens.size();
  const std::string_view content = page.substr(begin, page.find(closes, begin) - begin);
  const auto digest = base::sha256({reinterpret_cast<const std::uint8_t*>(content.data()), content.size()});
  return "'sha256-" + base::to_base64(digest) + "'";
}

std::int64_t seconds(Moment from, Moment to) { return std::chrono::round<std::chrono::seconds>(to - from).count(); }

}  // namespace

std::string content_security_policy(std::string_view page) {
  return "default-src 'none'; style-src " + digest_of(page, "style") + "; script-src " + digest_of(page, "script") +
         "; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
}

void put(Examination& known, int exit_code, std::string_view out, std::string_view err, Moment when) {
  const auto said =
      exit_code == 0 || exit_code == 2 ? ordered_json::parse(out, nullptr, /*allow_exceptions=*/false) : ordered_json();
  if (said.is_object() && said.contains("links")) {
    known = {said["links"].dump(-1, ' ', false, kReplace), "", when};
    return;
  }
  known.trouble = err.substr(0, std::min(err.find_last_not_of(" \n") + 1, kMostTrouble));
  if (known.trouble.empty()) known.trouble = "enclayer doctor ended with exit code " + std::to_string(exit_code);
}

void History::put(const Usage& usage, Moment when) {
  NodeUse all;
  for (const NodeUse& node : usage.nodes) {
    all.add(node);
    if (node.wait) all.wait = std::max(all.wait.value_or(0), *node.wait);
  }
  looks_.push_back({when, all.quotes, all.refused, all.wait});
  while (when - looks_.front().when > kLength || looks_.size() > static_cast<std::size_t>(kLength / kStep))
    looks_.pop_front();
}

std::string History::to_json(Moment now) const {
  ordered_json out = ordered_json::array();
  for (const Look& look : looks_)
    out.push_back({{"age_seconds", seconds(look.when, now)},
                   {"quotes_per_minute", number_or_null(look.quotes)},
                   {"refused_per_minute", number_or_null(look.refused)},
                   {"wait_p99_seconds", number_or_null(look.wait)}});
  return out.dump();
}

std::string state_json(const Usage& usage, const Examination& doctor, const History& history, Moment now) {
  const ordered_json age = doctor.when ? ordered_json(seconds(*doctor.when, now)) : ordered_json();
  return R"({"usage":)" + to_json(usage, -1) + R"(,"doctor":{"links":)" + doctor.links + R"(,"age_seconds":)" +
         age.dump() + R"(,"trouble":)" + ordered_json(doctor.trouble).dump(-1, ' ', false, kReplace) +
         R"(},"history":)" + history.to_json(now) + "}";
}

}  // namespace enclayer::addon
