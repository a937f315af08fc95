// SPDX-License-Identifier: Apache-2.0
// Events (core/v1) of what is wrong on a node, where `kubectl describe` of the node and of the pods concerned shows them.
//
// One Event an object and reason: its name follows from both, so that whoever tells it again, after whatever was
// forgotten, brings the same one up to date. The API server drops it an hour after that. An Event of a node is in the
// namespace `default` and has the node's name for a UID, as the kubelet's own have.
#pragma once

#include <chrono>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "enclayer/error.h"
#include "enclayer/time.h"
#include "http/account_client.h"
#include "troubles/troubles.h"

namespace enclayer::detect {

// The detector's own: the node's labels said that SGX could be used, and it cannot any more; it can (again).
inline constexpr troubles::Kind kSgxLost{"SgxLost", "SgxFound"};

// detect-policy.yaml holds our account to these.
inline constexpr std::string_view kReporter = "enclayer", kEventPrefix = "enclayer.";

inline constexpr std::size_t kMostMessage = 1024;      // bytes; Kubernetes has no longer ones
inline constexpr std::size_t kMostEvents = 20;         // told at a time
inline constexpr std::size_t kMostNodeOfEvents = 220;  // characters of a node's name, which Events have in theirs

struct Event {
  std::string kind, space, object, uid;  // "Node" or "Pod"; no namespace for a node
  std::string reason, message;
  bool warning = true;
  Time first{}, last{};
  std::uint32_t count = 1;

  bool operator==(const Event&) const = default;
};

Event event_of_node(const std::string& node, std::string_view reason, bool warning, std::string_view message, Time now);

// kMostEvents at most: all of the node first, which name pods too, then those of pods.
std::vector<Event> events_of(std::span<const troubles::Trouble> troubles, const std::string& node);

// "enclayer.NODE.0123456789abcdef", in the namespace that the object is in.
std::string name_of(const Event& event, const std::string& node);
std::string space_of(const Event& event);

// What is sent: the whole object, and a JSON merge patch (RFC 7386) of what changes while it lasts.
std::string event_json(const Event& event, const std::string& node);
std::string event_patch(const Event& event);

// Of one telling, all its requests together: 15 s. None is tried twice, for there is always a next time.
http::Limits event_limits();

// Brings each up to date, or makes it. What the API server refuses for good (4xx: a namespace that is going, a right that
// is missing) is logged and passed over. Any other error ends it: who does not answer is not asked twenty times.
// kInvalidArgument: no name of a node, or longer than kMostNodeOfEvents.
Result<> tell(const http::ApiServer& api, const std::string& node, std::span<const Event> events,
              http::Options options);

}  // namespace enclayer::detect
