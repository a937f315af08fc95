// SPDX-License-Identifier: Apache-2.0
#include "greedy.h"

#include <sched.h>
#include <signal.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <thread>
#include <vector>

#include "load.h"

namespace enclayer::bench {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr auto kLongest = "60";  // seconds that an attack goes on if nobody ends it
constexpr int kSlots = 110;

struct Row {
  const char* name;
  std::string_view kind;
  int connections;
};
constexpr Row kRows[] = {{"2 threads that only compute, and ask nothing", "spin", 2},
                         {"10 connections, pipelined", "flood", 10},
                         {"200 connections, pipelined", "flood", 200},
                         {"2,000 connections, pipelined", "flood", 2000},
                         {"4,000 connections, pipelined", "flood", 4000},
                         {"100 quotes in flight", "quotes", 100},
                         {"600 quotes in flight", "quotes", 600},
                         {"1,500 quotes in flight", "quotes", 1500},
                         {"a ring of 5,000 connections, replaced", "churn", 5000},
                         {"100 descriptors that linger", "linger", 100}};

// Of one round; times in milliseconds.
struct Seen {
  double p50 = 0, p99 = 0;
};
struct Honest {
  std::vector<Seen> cheap, quote;
  std::uint64_t refused = 0, closed = 0;
};

Seen seen(Polite& polite) {
  return {quantile(polite.latencies_us, 0.5) / 1000.0, quantile(polite.latencies_us, 0.99) / 1000.0};
}

// The helper is what is measured, not how long the client waits for a CPU itself: it comes first where that is allowed.
void come_first() {
  sched_param first{.sched_priority = 1};
  static_cast<void>(::sched_setscheduler(0, SCHED_RR, &first));
}

// Both kinds of requests go on at once, each from one client.
void ask_once_more(const Server& server, std::size_t cheap_size, milliseconds duration, Honest& honest) {
  const std::string socket = server.slot("p1");
  Polite cheap, quotes;
  auto ask = [&](const Bytes& frame, std::size_t reply_size, milliseconds pause, Polite& polite) {
    return std::thread([&, reply_size, pause] {
      come_first();
      polite = ask_politely(socket, frame, reply_size, pause, duration);
    });
  };
  const Bytes cheapest = cheapest_frame();
  std::thread one = ask(cheapest, cheap_size, milliseconds(2), cheap);
  std::thread other = ask(server.frame, server.reply_size, milliseconds(3), quotes);
  one.join();
  other.join();
  honest.cheap.push_back(seen(cheap));
  honest.quote.push_back(seen(quotes));
  honest.refused += cheap.refused + quotes.refused;
  honest.closed += cheap.closed + quotes.closed;
}

std::string file_of(const fake::TempFolder& folder, const Bytes& request) {
  folder.write("request", {request.begin(), request.end()});
  return (folder.path() / "request").string();
}

double median(const std::vector<Seen>& rounds, double Seen::*which) {
  std::vector<double> all;
  for (const Seen& round : rounds) all.push_back(round.*which);
  std::sort(all.begin(), all.end());
  return all[all.size() / 2];
}

}  // namespace

Attack::Attack(const std::string& kind, int connections, const std::string& socket, const Bytes& request)
    : process_({own_program("aesm_attack"), kind, socket, std::to_string(connections), kLongest,
                file_of(folder_, request)}) {
  if (process_.wait_for_output("attacking", std::chrono::seconds(20))) return;
  std::fprintf(stderr, "the attack %s does not begin: %s\n", kind.c_str(), process_.output().c_str());
  std::exit(1);
}

void Attack::end(pid_t server, int descriptors_before) {
  process_.signal(SIGKILL);
  process_.wait(std::chrono::seconds(5));
  auto patience = steady_clock::now() + std::chrono::seconds(10);
  while (descriptors(server) > descriptors_before && steady_clock::now() < patience)
    std::this_thread::sleep_for(milliseconds(20));
}

void beside_greedy_pods(const Instant& instant, int rounds, milliseconds duration) {
  Instant with_slots = instant;
  with_slots.slots = kSlots;
  Server server = start_instant("front end", with_slots);
  const std::size_t cheap_size = ask(server.legacy(), cheapest_frame()).size();
  const int descriptors_idle = descriptors(server.pid());
  struct Line {
    const Row& row;
    const char* where;
    std::string socket;
    Honest honest{};
  };
  std::vector<Line> lines;
  for (const Row& row : kRows) {
    if (row.kind == "spin") {
      lines.push_back({row, "", server.legacy()});
      continue;
    }
    if (row.kind == "linger")  // this kernel may refuse descriptors everywhere else, and that is that
      lines.push_back({row, "another slot, older kernel", server.slot("older")});
    else
      lines.push_back({row, "another slot", server.slot("p0")});
    lines.push_back({row, "legacy socket", server.legacy()});
  }
  Honest idle;
  for (int round = 0; round < rounds; ++round) {
    ask_once_more(server, cheap_size, duration, idle);
    for (Line& line : lines) {
      Attack attack(std::string(line.row.kind), line.row.connections, line.socket,
                    line.row.kind == "quotes" ? server.frame : cheapest_frame());
      ask_once_more(server, cheap_size, duration, line.honest);
      attack.end(server.pid(), descriptors_idle);
    }
  }

  double takes = static_cast<double>(instant.takes.count()) / 1000;
  double cheap_goal = 2 * median(idle.cheap, &Seen::p99) + 2, quote_goal = 2 * takes + median(idle.quote, &Seen::p99);
  std::printf(
      "An honest client in a slot of its own, beside a greedy one; %g ms a quote, one at once; medians of %d "
      "rounds of %lld ms, times in ms; %d slots.\n\n",
      takes, rounds, static_cast<long long>(duration.count()), kSlots);
  std::printf(
      "| the greedy one | where | cheapest call, p50 / p99 (goal %.1f) | quote, p50 / p99 (goal %.1f) | refused | "
      "closed |\n|---|---|---|---|---|---|\n",
      cheap_goal, quote_goal);
  auto print = [&](const char* name, const char* where, const Honest& honest, bool is_reference) {
    double cheap = median(honest.cheap, &Seen::p99), quote = median(honest.quote, &Seen::p99);
    bool good =
        is_reference || (cheap <= cheap_goal && quote <= quote_goal && honest.refused == 0 && honest.closed == 0);
    std::printf("| %s | %s | %.2f / %.2f | %.2f / %.2f | %llu | %llu |%s\n", name, where,
                median(honest.cheap, &Seen::p50), cheap, median(honest.quote, &Seen::p50), quote,
                static_cast<unsigned long long>(honest.refused), static_cast<unsigned long long>(honest.closed),
                good ? "" : "  <-- misses a goal");
  };
  print("none", "", idle, true);
  for (const Line& line : lines) print(line.row.name, line.where, line.honest, line.row.kind == "spin");
  std::printf("\n");
}

}  // namespace enclayer::bench
