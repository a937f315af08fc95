// SPDX-License-Identifier: Apache-2.0
#include "addon/usage.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "addon/names.h"
#include "base/printable.h"

namespace enclayer::addon {
namespace {

using nlohmann::ordered_json;

void add(std::optional<double>& to, std::optional<double> more) {
  if (more) to = to.value_or(0) + *more;
}

// ---- From a cluster and figures ----

class Account {
 public:
  explicit Account(const Cluster& cluster) : cluster_(cluster) {
    for (const Node& node : cluster.nodes)
      if (const std::int64_t epc = amount(node.allocatable, kEpcResource); epc > 0) at(node.name).epc += epc;
    for (const auto& [name, mib] : cluster.offered_to_claims)
      if (mib > 0) at(name).epc += mib;
    for (const Pod& pod : cluster.pods) put(pod);
    for (const Claim& claim : cluster.claims) put(claim);
  }

  void put(const Said& said) {
    if (!said.trouble.empty()) {
      troubles_[(said.app == kHelper ? "quote helpers on " : "device plugins on ") + std::string(kWhere) + " " +
                said.trouble]
          .push_back(said.node);
      return;
    }
    ++usage_.answered;
    NodeUse& node = at(said.node);
    const Figures& now = said.now->figures;
    if (now.mapped) add(node.mapped, *now.mapped / kMiB);
    for (const auto& [uid, bytes] : now.mapped_by_pod)
      if (const auto pod = by_uid_.find(uid); pod != by_uid_.end() && pod->second.first == said.node)
        add(pod_at(said.node, pod->second.second).mapped, bytes / kMiB);
    if (!now.open_by_pod.empty()) put_open(node, now);
    if (now.serves.value_or(false)) {
      add(node.waiting, now.waiting);
      if (said.before) put_quotes(node, *said.before, *said.now);
    }
  }

  Usage done() {
    for (auto& [name, node] : nodes_) {
      if (!node.open.seen)
        for (const PodUse& pod : node.pods) node.open.pods.push_back(pod.name_space + "/" + pod.name);
      std::sort(node.open.pods.begin(), node.open.pods.end());
      usage_.nodes.push_back(std::move(node));
    }
    std::vector<std::pair<std::string, std::vector<std::string>>> sorted(troubles_.begin(), troubles_.end());
    std::stable_sort(sorted.begin(), sorted.end(),
                     [](const auto& a, const auto& b) { return a.second.size() > b.second.size(); });
    for (auto& [text, where] : sorted)
      usage_.notes.push_back(std::string(text).replace(text.find(kWhere), kWhere.size(), in_words(where)));
    for (const std::string& text : cluster_.not_seen) usage_.notes.push_back(text);
    return std::move(usage_);
  }

 private:
  static constexpr double kMiB = 1 << 20;
  static constexpr std::string_view kWhere = "\n";  // for the nodes, in a text that has no line feed

  NodeUse& at(const std::string& name) {
    NodeUse& node = nodes_[name];
    node.name = name;
    return node;
  }
  PodUse& pod_at(const std::string& node, const std::string& full_name) {
    auto [found, is_new] = places_.try_emplace({node, full_name}, at(node).pods.size());
    if (is_new) {
      PodUse& pod = at(node).pods.emplace_back();
      pod.name_space = full_name.substr(0, full_name.find('/'));
      pod.name = full_name.substr(pod.name_space.size() + 1);
    }
    return at(node).pods[found->second];
  }

  void put(const Pod& pod) {
    const std::int64_t epc = amount(pod.requests, kEpcResource);
    if (pod.node.empty() && pod.phase == "Pending" && epc > 0) {
      ++usage_.pending;
      usage_.pending_mib += epc;
    }
    if (!pod.holds_sgx()) return;
    if (!pod.uid.empty()) by_uid_[pod.uid] = {pod.node, pod.full_name()};
    at(pod.node).asked += epc;
    PodUse& use = pod_at(pod.node, pod.full_name());
    use.asked = epc;
    for (const Container& container : pod.containers) {
      if (container.requests.empty()) continue;
      ContainerUse& one = use.containers.emplace_back();
      one.name = container.name;
      one.asked = amount(container.requests, kEpcResource);
      if (amount(container.requests, kQuoteResource) > 0)
        slots_[pod.node].emplace_back(places_.at({pod.node, pod.full_name()}), use.containers.size() - 1);
    }
  }
  void put(const Claim& claim) {
    if (claim.mib == 0) return;
    at(claim.node).claimed += claim.mib;  // once, however many pods share it
    for (std::size_t i = 0; i < claim.pods.size(); ++i) {
      const std::string pod = claim.name_space + "/" + claim.pods[i];
      pod_at(claim.node, pod).claimed += claim.mib;
      if (i < claim.uids.size()) by_uid_[claim.uids[i]] = {claim.node, pod};
    }
  }

  void put_open(NodeUse& node, const Figures& now) {
    node.open = {.seen = true, .unread_processes = now.unread};
    for (const auto& [uid, count] : now.open_by_pod) {
      if (count == 0) continue;
      const auto pod = by_uid_.find(uid);
      if (uid == "host")
        node.open.host_processes = count;
      else if (pod != by_uid_.end() && pod->second.first == node.name)
        node.open.pods.push_back(pod->second.second);
      else
        ++node.open.unnamed;
    }
  }

  static QuoteCounts sum(const Figures& figures) {
    QuoteCounts out;
    for (const auto& [holder, counts] : figures.quotes) {
      out.made += counts.made;
      out.refused += counts.refused;
    }
    return out;
  }
  void put_quotes(NodeUse& node, const Look& before, const Look& now) {
    const auto between = now.when - before.when;
    auto rate = [&](const QuoteCounts& was, const QuoteCounts& is) {
      Use use;
      use.quotes = per_minute(was.made, is.made, between);
      use.refused = per_minute(was.refused, is.refused, between);
      return use;
    };
    // By the sums: what a slot's holder had is moved to slot gone with it, and was not made since.
    node.add(rate(sum(before.figures), sum(now.figures)));
    for (const auto& [pod, container] : slots_[node.name]) {
      node.pods[pod].add(rate({}, {}));
      node.pods[pod].containers[container].add(rate({}, {}));
    }
    for (const auto& [holder, counts] : now.figures.quotes) {
      const auto found = before.figures.quotes.find(holder);
      const Use use = rate(found == before.figures.quotes.end() ? QuoteCounts{} : found->second, counts);
      const auto place = places_.find({node.name, holder.name_space + "/" + holder.pod});
      if (place == places_.end()) continue;
      PodUse& pod = node.pods[place->second];
      pod.add(use);
      for (ContainerUse& container : pod.containers)
        if (container.name == holder.container) container.add(use);
    }
    if (auto wait = wait_of_99(before.figures.waited, now.figures.waited))
      node.wait = std::max(node.wait.value_or(0), *wait);
  }

  const Cluster& cluster_;
  Usage usage_;
  std::map<std::string, NodeUse> nodes_;
  std::map<std::pair<std::string, std::string>, std::size_t> places_;  // node, full name -> which of its pods
  std::map<std::string, std::pair<std::string, std::string>> by_uid_;  // -> node, full name
  std::map<std::string, std::vector<std::pair<std::size_t, std::size_t>>> slots_;  // node -> pod, container of it
  std::map<std::string, std::vector<std::string>> troubles_;                       // with kWhere in them -> nodes
};

// ---- As JSON ----

template <class T>
ordered_json named(const T& of) {
  return {{"name", of.name},
          {"asked_mib", of.asked},
          {"claimed_mib", of.claimed},
          {"mapped_mib", number_or_null(of.mapped)},
          {"quotes_per_minute", number_or_null(of.quotes)},
          {"refused_per_minute", number_or_null(of.refused)}};
}

// Where nobody has looked, those that may are the node's pods.
ordered_json json_of(const OpenEpc& open) {
  if (!open.seen) return nullptr;
  return {{"pods", open.pods},
          {"unnamed_pods", open.unnamed},
          {"host_processes", open.host_processes},
          {"unread_processes", open.unread_processes}};
}

// ---- As a table ----

struct Row {
  Use use;
  const NodeUse* node = nullptr;  // nullptr: of several
  std::int64_t epc = 0;
  std::optional<double> wait;
  std::vector<std::string> names;
};

std::vector<Row> rows(const Usage& usage, const View& view) {
  std::vector<Row> out;
  for (const NodeUse& node : usage.nodes) {
    auto add = [&](const Use& use, std::vector<std::string> names) {
      out.push_back({use, &node, node.epc, node.wait, std::move(names)});
    };
    if (view.by == By::kNode) add(node, {node.name});
    if (view.by == By::kNode) continue;
    for (const PodUse& pod : node.pods) {
      const std::string name = pod.name_space + "/" + pod.name;
      if (view.by == By::kPod) add(pod, {name, node.name});
      if (view.by == By::kPod) continue;
      for (const ContainerUse& container : pod.containers) add(container, {container.name, name, node.name});
      if (Use of_pod; (of_pod.claimed = pod.claimed) > 0) add(of_pod, {"(claims)", name, node.name});
    }
  }
  auto key = [&](const Row& row) -> double {
    switch (view.order) {
      case Order::kAsked: return static_cast<double>(row.use.asked + row.use.claimed);
      case Order::kMapped: return row.use.mapped.value_or(-1);
      case Order::kQuotes: return row.use.quotes.value_or(-1);
      case Order::kWait: return row.wait.value_or(-1);
      case Order::kName: break;
    }
    return 0;
  };
  std::sort(out.begin(), out.end(), [&](const Row& a, const Row& b) {
    const double of_a = key(a), of_b = key(b);
    return of_a != of_b ? of_a > of_b : a.names < b.names;
  });
  return out;
}

// How many rows have room below the sums and the head, and above what stands for the others.
std::size_t shown(std::size_t rows, const View& view) {
  constexpr std::size_t kAbove = 3;
  return view.lines == 0 || rows + kAbove <= view.lines ? rows : std::max(view.lines, kAbove + 1) - kAbove - 1;
}

template <class Number>
std::string whole(Number value) {
  std::string digits = std::to_string(static_cast<std::int64_t>(std::llround(std::min<double>(value, 1e15))));
  for (std::size_t at = digits.size(); at > 3;) digits.insert(at -= 3, ",");
  return digits;
}
std::string whole(std::optional<double> value) { return value ? whole(*value) : "-"; }

std::string duration(std::optional<double> seconds) {
  if (!seconds) return "-";
  if (*seconds < 0.001) return "<1 ms";
  return *seconds < 1 ? whole(*seconds * 1000) + " ms" : whole(*seconds) + " s";
}

std::vector<std::string> cells(const Row& row) {
  const Use& use = row.use;
  return {whole(row.epc),    whole(use.asked),   whole(use.claimed), whole(use.mapped),
          whole(use.quotes), whole(use.refused), duration(row.wait)};
}

std::vector<std::string> sums(const Usage& usage) {
  NodeUse all;
  for (const NodeUse& node : usage.nodes) {
    all.epc += node.epc;
    all.add(node);
    add(all.waiting, node.waiting);
  }
  std::string epc = whole(usage.nodes.size()) + (usage.nodes.size() == 1 ? " node" : " nodes") + " with " +
                    whole(all.epc) + " MiB of EPC: " + whole(all.asked) + " asked for, " + whole(all.claimed) +
                    " by claims, " + whole(all.mapped) + " mapped";
  if (usage.pending > 0)
    epc += "; " + whole(usage.pending) + " pods with " + whole(usage.pending_mib) + " MiB are on no node yet";
  return {epc, "quotes a minute: " + whole(all.quotes) + ", refused " + whole(all.refused) +
                   "; requests that wait now: " + whole(all.waiting)};
}

}  // namespace

void Use::add(const Use& more) {
  asked += more.asked;
  claimed += more.claimed;
  addon::add(mapped, more.mapped);
  addon::add(quotes, more.quotes);
  addon::add(refused, more.refused);
}

Usage usage(const Cluster& cluster, const std::map<std::string, Said>& said) {
  Account account(cluster);
  for (const auto& [name, one] : said) account.put(one);
  return account.done();
}

ordered_json number_or_null(std::optional<double> value) { return value ? ordered_json(*value) : ordered_json(); }

std::string to_json(const Usage& usage, int indent) {
  ordered_json nodes = ordered_json::array();
  for (const NodeUse& node : usage.nodes) {
    ordered_json pods = ordered_json::array();
    for (const PodUse& pod : node.pods) {
      ordered_json one = {{"namespace", pod.name_space}}, containers = ordered_json::array();
      one.update(named(pod));
      for (const ContainerUse& container : pod.containers) containers.push_back(named(container));
      one["containers"] = std::move(containers);
      pods.push_back(std::move(one));
    }
    ordered_json one = named(node);
    one.update({{"epc_mib", node.epc},
                {"wait_p99_seconds", number_or_null(node.wait)},
                {"waiting", number_or_null(node.waiting)},
                {"epc_open", json_of(node.open)},
                {"pods", std::move(pods)}});
    nodes.push_back(std::move(one));
  }
  return ordered_json{{"nodes", std::move(nodes)},
                      {"pending", {{"pods", usage.pending}, {"asked_mib", usage.pending_mib}}},
                      {"daemons", {{"asked", usage.daemons}, {"answered", usage.answered}}},
                      {"age_seconds", usage.age ? ordered_json(usage.age->count()) : ordered_json()},
                      {"notes", usage.notes}}
      .dump(indent, ' ', false, ordered_json::error_handler_t::replace);
}

std::string in_words(const OpenEpc& open) {
  std::vector<std::string> parts;
  auto count = [&](double number, const std::string& one, const std::string& many) {
    if (number > 0) parts.push_back(whole(number) + " " + (number == 1 ? one : many));
  };
  if (!open.pods.empty()) parts.push_back((open.pods.size() == 1 ? "pod " : "pods ") + in_words(open.pods));
  count(static_cast<double>(open.unnamed), "pod that has no name here", "pods that have no names here");
  count(open.host_processes, "process of the host", "processes of the host");
  count(open.unread_processes, "process that could not be looked at, perhaps",
        "processes that could not be looked at, perhaps");
  std::string out;
  for (const std::string& part : parts) out += (out.empty() ? "" : ", ") + part;
  return out.empty() ? "nobody" : out;
}

std::vector<std::string> table(const Usage& usage, const View& view) {
  const std::vector<Row> all = rows(usage, view);
  const std::size_t room = shown(all.size(), view);
  std::vector<std::vector<std::string>> lines = {
      {"EPC MiB", "ASKED", "CLAIMED", "MAPPED", "QUOTES", "REFUSED", "WAIT"}};
  std::vector<std::string> names = {view.by == By::kNode  ? "NODE"
                                    : view.by == By::kPod ? "POD  NODE"
                                                          : "CONTAINER  POD  NODE"};
  Row rest;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (i >= room) {
      rest.use.add(all[i].use);
      rest.epc += all[i].epc;
      if (all[i].wait) rest.wait = std::max(rest.wait.value_or(0), *all[i].wait);
      continue;
    }
    lines.push_back(cells(all[i]));
    std::string& name = names.emplace_back();
    for (const std::string& part : all[i].names) name += (name.empty() ? "" : "  ") + base::printable(part, 253);
  }
  if (room < all.size()) {
    lines.push_back(cells(rest));
    names.push_back("and " + whole(all.size() - room) + " more");
  }
  std::vector<std::string> out = sums(usage);
  // EPC is a node's: elsewhere it would be taken for the pod's.
  for (std::size_t row = 0; row < lines.size(); ++row) {
    std::string line;
    for (std::size_t column = view.by == By::kNode ? 0 : 1; column < lines[row].size(); ++column) {
      std::size_t width = 0;
      for (const auto& one : lines) width = std::max(width, one[column].size());
      line += std::string(width - lines[row][column].size(), ' ') + lines[row][column] + "  ";
    }
    out.push_back(line + names[row]);
  }
  if (view.columns > 0)
    for (std::string& line : out) line.resize(std::min(line.size(), view.columns));
  return out;
}

std::vector<std::string> nodes_shown(const Usage& usage, const View& view) {
  std::vector<std::string> out;
  const std::vector<Row> all = rows(usage, view);
  for (std::size_t i = 0; i < shown(all.size(), view); ++i) out.push_back(all[i].node->name);
  return out;
}

}  // namespace enclayer::addon
