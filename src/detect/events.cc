// SPDX-License-Identifier: Apache-2.0
#include "detect/events.h"

#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "base/digest.h"
#include "base/dns_name.h"
#include "base/log.h"
#include "base/printable.h"
#include "detect/node_metadata.h"

namespace enclayer::detect {
namespace {

namespace log = base::log;
using nlohmann::json;
using troubles::Trouble;

constexpr auto kByDetector = "?fieldManager=enclayer-detect";
constexpr auto kJson = "Accept: application/json", kJsonBody = "Content-Type: application/json",
               kMergePatch = "Content-Type: application/merge-patch+json";
constexpr std::size_t kNameDigits = 16;
constexpr std::size_t kRoomForPods = 240;  // bytes of a message

// What an answer says that is no success.
std::string refusal(const http::Response& answer) {
  std::string out = refusal_of(answer.status, base::as_text(answer.body));
  if (answer.status == 403)
    out +=
        "; the ServiceAccount may make Events of its own node and of pods only, with our reasons "
        "(deploy/manifests/detect/detect.yaml and detect-policy.yaml)";
  return out;
}

// "; pods concerned: bank/ledger-0, bank/ledger-1 and 3 more"
std::string names_of(const std::vector<troubles::Pod>& pods) {
  std::string out;
  std::size_t named = 0;
  for (const auto& pod : pods) {
    const std::string next = (out.empty() ? "" : ", ") + pod.space + "/" + pod.name;
    if (out.size() + next.size() > kRoomForPods) break;
    out += next;
    ++named;
  }
  if (pods.empty()) return out;
  const bool all = named == pods.size(), may_be_more = pods.size() == troubles::kMostPods;
  if (named == 0) return "; pods concerned: " + std::to_string(pods.size()) + (may_be_more ? " or more" : "");
  out.insert(0, "; pods concerned: ");
  if (!all) out += " and " + std::to_string(pods.size() - named) + " more";
  if (may_be_more) out += " at least";
  return out;
}

// Of a pod's Event kubectl does not show where it comes from: its message has to. The policy sees to it.
std::string on_node(const std::string& node) { return "on node " + node + ": "; }

// `where` is what the message begins with.
Event event_of(const Trouble& trouble, std::string kind, const troubles::Pod& object, std::string where,
               const std::string& says) {
  const std::string message = std::move(where) + (trouble.over ? "over: " : "") + says;
  return {std::move(kind),
          object.space,
          object.name,
          object.uid,
          std::string(trouble.over ? trouble.kind.over : trouble.kind.reason),
          base::printable(message, kMostMessage),
          !trouble.over,
          trouble.over ? trouble.last : trouble.first,
          trouble.last,
          trouble.over ? 1 : trouble.count};
}

json changing(const Event& event) {
  return {{"type", event.warning ? "Warning" : "Normal"},
          {"message", event.message},
          {"firstTimestamp", format_time(event.first)},
          {"lastTimestamp", format_time(event.last)},
          {"count", event.count}};
}

std::string text_of(const json& value) { return value.dump(-1, ' ', true, json::error_handler_t::replace); }

// It will say the same again, whenever it is asked.
bool is_for_good(unsigned status) { return status / 100 == 4 && status != 401 && status != 408 && status != 429; }

}  // namespace

Event event_of_node(const std::string& node, std::string_view reason, bool warning, std::string_view message,
                    Time now) {
  return {"Node", {}, node, node, std::string(reason), base::printable(message, kMostMessage), warning, now, now};
}

std::vector<Event> events_of(std::span<const Trouble> troubles, const std::string& node) {
  std::vector<Event> out;
  for (const Trouble& trouble : troubles)
    out.push_back(event_of(trouble, "Node", {{}, node, node}, "", trouble.says + names_of(trouble.pods)));
  for (const Trouble& trouble : troubles)
    for (const auto& pod : trouble.pods)
      if (!pod.uid.empty()) out.push_back(event_of(trouble, "Pod", pod, on_node(node), trouble.says));
  if (out.size() > kMostEvents) out.resize(kMostEvents);
  return out;
}

std::string name_of(const Event& event, const std::string& node) {
  const std::string what = event.kind + "/" + event.space + "/" + event.object + "/" + event.uid + "/" + event.reason;
  const std::string digits = base::sha256_hex(what).substr(0, kNameDigits);
  return std::string(kEventPrefix) + node + "." + digits;
}

std::string space_of(const Event& event) { return event.space.empty() ? "default" : event.space; }

std::string event_json(const Event& event, const std::string& node) {
  json object = {{"apiVersion", "v1"}, {"kind", event.kind}, {"name", event.object}, {"uid", event.uid}};
  if (!event.space.empty()) object["namespace"] = event.space;
  json out = changing(event);
  out.update({{"apiVersion", "v1"},
              {"kind", "Event"},
              {"metadata", {{"name", name_of(event, node)}, {"namespace", space_of(event)}}},
              {"involvedObject", std::move(object)},
              {"reason", event.reason},
              {"source", {{"component", kReporter}, {"host", node}}},
              {"reportingComponent", kReporter},
              {"reportingInstance", node}});
  return text_of(out);
}

std::string event_patch(const Event& event) { return text_of(changing(event)); }

http::Limits event_limits() {
  http::Limits limits;
  limits.connect = std::chrono::seconds(5);
  limits.request = std::chrono::seconds(5);
  limits.total = std::chrono::seconds(15);
  limits.tries = 1;
  limits.max_body = 64 << 10;
  return limits;
}

Result<> tell(const http::ApiServer& api, const std::string& node, std::span<const Event> events,
              http::Options options) {
  if (!base::is_dns_name(node, kMostNodeOfEvents))
    return Error(ErrorKind::kInvalidArgument, "\"" + base::printable(node, 253) +
                                                  "\" is no name of a node, or has over " +
                                                  std::to_string(kMostNodeOfEvents) + " characters: no Events of it");
  options.any_status = true;
  options.advice.connect = "does this pod reach the API server (network policy, kube-proxy)?";
  ENCLAYER_TRY(http::AccountClient client, http::AccountClient::open(api.account, std::move(options)));
  for (const Event& event : events) {
    const std::string all = api.url + "/api/v1/namespaces/" + space_of(event) + "/events";
    const std::string own = all + "/" + name_of(event, node);
    ENCLAYER_TRY(http::Response answer,
                 client.send({own + kByDetector, "PATCH", {kJson, kMergePatch}, event_patch(event)}));
    if (answer.status == 404) {
      ENCLAYER_TRY(answer, client.send({all + kByDetector, "POST", {kJson, kJsonBody}, event_json(event, node)}));
    }
    if (answer.status / 100 == 2) continue;
    if (!is_for_good(answer.status)) return Error(ErrorKind::kUnavailable, own + ": " + refusal(answer), answer.status);
    log::warn("an Event is refused",
              {{"object", event.kind + " " + event.object}, {"event", event.reason}, {"reason", refusal(answer)}});
  }
  return {};
}

}  // namespace enclayer::detect
