// SPDX-License-Identifier: Apache-2.0
// aesm_bench: measures the quote helper's front end against the floor, and what it is worth to an honest client beside
// greedy ones; prints tables for people and for the README. bench/aesm/run builds and starts it.
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "greedy.h"
#include "load.h"
#include "servers.h"

namespace {

using namespace enclayer;
using namespace enclayer::bench;
using std::chrono::milliseconds;
using Sockets = std::vector<std::string>;

constexpr int kSlots = 110, kSlotsThatAsk = 20;

// A server, and the sockets that its clients are spread over.
struct Contender {
  std::string name;
  const Server* server;
  Sockets sockets;
};

Group requests(const Server& server, int clients, const Sockets& sockets) {
  Group group;
  group.clients = clients;
  group.sockets = sockets;
  group.frame = server.frame;
  group.reply_size = server.reply_size;
  return group;
}

struct Figures {
  double per_second = 0, cpu_us = 0, wake_ups = 0;
  std::uint32_t p50 = 0, p99 = 0, p999 = 0;
  std::uint64_t errors = 0;
};

Figures measure(const Contender& contender, int clients, milliseconds duration) {
  const pid_t pid = contender.server->pid();
  std::vector<Group> groups = {requests(*contender.server, clients, contender.sockets)};
  // What the server spent includes the warm-up; so does the number of requests that it is divided by, nearly.
  double cpu = -cpu_seconds(pid), waits = -wake_ups(pid);
  milliseconds warm_up = duration / 10;
  double seconds = run_load(groups, duration, warm_up);
  cpu += cpu_seconds(pid);
  waits += wake_ups(pid);
  Figures figures;
  auto replies = static_cast<double>(std::max<std::uint64_t>(groups[0].replies, 1));
  double with_warm_up = replies * (1 + std::chrono::duration<double>(warm_up).count() / seconds);
  figures.per_second = replies / seconds;
  figures.cpu_us = cpu * 1e6 / with_warm_up;
  figures.wake_ups = waits / with_warm_up;
  figures.p50 = quantile(groups[0].latencies_us, 0.5);
  figures.p99 = quantile(groups[0].latencies_us, 0.99);
  figures.p999 = quantile(groups[0].latencies_us, 0.999);
  figures.errors = groups[0].errors;
  return figures;
}

// The figures of the round with the median throughput.
Figures median(std::vector<Figures> rounds) {
  std::sort(rounds.begin(), rounds.end(), [](auto& a, auto& b) { return a.per_second < b.per_second; });
  Figures middle = rounds[rounds.size() / 2];
  for (const Figures& round : rounds)
    if (&round != &rounds[rounds.size() / 2]) middle.errors += round.errors;
  return middle;
}

// System calls for each request by name, and "total"; counted by strace, which makes everything slower, so nothing else
// is taken from this run. Empty where there is no strace.
std::map<std::string, double> system_calls(const Contender& contender, int clients) {
  if (::access("/usr/bin/strace", X_OK) != 0) return {};
  fake::TempFolder folder;
  std::string out = (folder.path() / "calls").string();
  fake::Process strace(
      {"/usr/bin/strace", "-f", "-c", "-U", "name,calls", "-o", out, "-p", std::to_string(contender.server->pid())});
  if (!strace.wait_for_output("attached", std::chrono::seconds(10))) return {};
  std::vector<Group> groups = {requests(*contender.server, clients, contender.sockets)};
  run_load(groups, milliseconds(1500), milliseconds(0));
  strace.signal(SIGINT);
  strace.wait(std::chrono::seconds(10));
  std::map<std::string, double> calls;
  std::ifstream in(out);
  for (std::string line; std::getline(in, line);) {
    char name[64];
    double count = 0;
    if (std::sscanf(line.c_str(), "%63s %lf", name, &count) == 2 && groups[0].replies > 0)
      calls[name] = count / static_cast<double>(groups[0].replies);
  }
  return calls;
}

// Those that matter, "accept4 1.06, close 1.00".
std::string in_words(const std::map<std::string, double>& calls) {
  std::string words;
  for (const auto& [name, count] : calls) {
    if (name == "total" || count < 0.05) continue;
    char one[96];
    std::snprintf(one, sizeof one, "%s%s %.2f", words.empty() ? "" : ", ", name.c_str(), count);
    words += one;
  }
  return words;
}

const char* verdict(bool good) { return good ? "" : "  <-- misses the goal"; }

struct Options {
  std::string only;       // one of the tables
  std::string helper;     // the real binary; empty: leave it out
  std::string front_end;  // another instant_server, for trying out variants
  milliseconds duration{1000};
  int rounds = 3;

  Instant instant(std::chrono::microseconds takes = {}, int slots = 1) const { return {front_end, takes, slots}; }
};

void throughput(const Options& options) {
  const Server floor = start_floor(), one = start_instant("front end", options.instant()),
               many = start_instant("front end", options.instant({}, kSlots));
  std::optional<Server> helper;
  const std::string spread = std::to_string(kSlotsThatAsk) + " of " + std::to_string(kSlots) + " slots";
  std::vector<Contender> contenders = {{"floor", &floor, {floor.legacy()}},
                                       {"front end, legacy socket", &one, {one.legacy()}},
                                       {"front end, a slot", &one, one.slots(1)},
                                       {"front end, " + spread, &many, many.slots(kSlotsThatAsk)}};
  if (!options.helper.empty()) {
    helper = start_helper(options.helper, kSlots);
    contenders.push_back({"helper, sim, " + spread, &*helper, helper->slots(kSlotsThatAsk)});
  }
  std::printf(
      "Requests with a quote, a connection for each; median of %d rounds of %lld ms; load and server share %ld "
      "CPUs.\n\n"
      "| clients | server | requests/s | of the floor | CPU a request | of the floor | p50 | p99 | p99.9 | errors |\n"
      "|---|---|---|---|---|---|---|---|---|---|\n",
      options.rounds, static_cast<long long>(options.duration.count()), ::sysconf(_SC_NPROCESSORS_ONLN));
  for (int clients : {1, 4, 16, 64, 200}) {
    std::vector<std::vector<Figures>> rounds(contenders.size());
    for (int round = 0; round < options.rounds; ++round)
      for (std::size_t i = 0; i < contenders.size(); ++i)
        rounds[i].push_back(measure(contenders[i], clients, options.duration));
    Figures best = median(rounds[0]);
    for (std::size_t i = 0; i < contenders.size(); ++i) {
      Figures figures = median(rounds[i]);
      double speed = figures.per_second / best.per_second, cost = figures.cpu_us / best.cpu_us;
      bool has_goal = i >= 1 && i <= 3 && (clients == 16 || clients == 200);
      bool good = !has_goal || (speed >= 0.7 && cost <= 1.7 && figures.errors == 0);
      std::printf("| %d | %s | %.0f | %.0f %% | %.1f us | %.2fx | %u us | %u us | %u us | %llu |%s\n", clients,
                  contenders[i].name.c_str(), figures.per_second, 100 * speed, figures.cpu_us, cost, figures.p50,
                  figures.p99, figures.p999, static_cast<unsigned long long>(figures.errors), verdict(good));
      std::fflush(stdout);
    }
  }
  std::printf(
      "\nGoals at 16 and 200 clients: the front end has >= 70 %% of the floor's requests/s, <= 1.7x its CPU, no "
      "errors.\n");
  for (int clients : {16, 200})
    for (std::size_t i = 0; i <= 3; ++i) {
      auto calls = system_calls(contenders[i], clients);
      if (calls.empty()) return static_cast<void>(std::printf("System calls are not counted: no strace.\n\n"));
      std::printf("System calls a request, %d clients, %s: %.1f (%s)%s\n", clients, contenders[i].name.c_str(),
                  calls["total"], in_words(calls).c_str(), i == 0 ? "" : verdict(calls["total"] <= 6.05));
    }
  std::printf("Goal: <= 6.\n\n");
}

// What a simulated quote costs, and of what that is made.
void simulated(const Options& options) {
  if (options.helper.empty()) return;
  const Server helper = start_helper(options.helper, kSlots);
  const std::vector<Contender> contenders = {{"legacy socket", &helper, {helper.legacy()}},
                                             {"a slot", &helper, helper.slots(1)}};
  std::vector<std::vector<Figures>> rounds(contenders.size());
  for (int round = 0; round < options.rounds; ++round)
    for (std::size_t i = 0; i < contenders.size(); ++i)
      rounds[i].push_back(measure(contenders[i], 16, options.duration));
  std::printf(
      "The helper with simulated quotes, 16 clients.\n\n| | requests/s | CPU a request | wake-ups a request | system "
      "calls a request | of these |\n|---|---|---|---|---|---|\n");
  for (std::size_t i = 0; i < contenders.size(); ++i) {
    Figures figures = median(rounds[i]);
    auto calls = system_calls(contenders[i], 16);
    std::printf("| %s | %.0f | %.1f us | %.2f | %.1f | %s |\n", contenders[i].name.c_str(), figures.per_second,
                figures.cpu_us, figures.wake_ups, calls["total"], in_words(calls).c_str());
  }
  std::printf("\n");
}

void memory(const Options& options) {
  auto say = [](const Server& server, const std::string& when, double goal) {
    double all = resident_mib(server.pid());
    std::printf("Resident memory of %s, %s: %.1f MiB, of it %.1f MiB in no file (goal <= %.0f)%s\n",
                server.name.c_str(), when.c_str(), all, anonymous_mib(server.pid()), goal, verdict(all <= goal));
  };
  auto one = [&](const Server& fresh, const Sockets& sockets) {
    say(fresh, "idle", 10);
    const int idle = descriptors(fresh.pid());
    {
      SilentConnections silent(sockets, 2000);
      std::this_thread::sleep_for(milliseconds(300));
      say(fresh, "with " + std::to_string(descriptors(fresh.pid()) - idle) + " open connections", 24);
    }
    for (auto [kind, connections] : {std::pair("flood", 2000), std::pair("quotes", 1500), std::pair("churn", 5000)}) {
      Attack attack(kind, connections, sockets[0], std::string(kind) == "quotes" ? fresh.frame : cheapest_frame());
      std::this_thread::sleep_for(options.duration);
      attack.end(fresh.pid(), idle);
    }
    say(fresh, "after the floods", 12);
  };
  Server instant = start_instant("the front end", options.instant({}, kSlots));
  one(instant, instant.slots(4));
  if (!options.helper.empty()) {
    Server helper = start_helper(options.helper, kSlots);
    one(helper, helper.slots(4));
  }
  std::printf("\n");
}

void cheap_calls(const Options& options) {
  const Server slow = start_instant("slow quotes", options.instant(milliseconds(500)));
  auto cheap_p99 = [&](int quoting_clients) {
    Group cheap = requests(slow, 1, {slow.legacy()});
    cheap.frame = cheapest_frame();
    cheap.reply_size = ask(slow.legacy(), cheap.frame).size();
    std::vector<Group> groups = {cheap};
    if (quoting_clients > 0) groups.push_back(requests(slow, quoting_clients, cheap.sockets));
    run_load(groups, milliseconds(4000), milliseconds(1000));
    if (groups[0].latencies_us.empty()) return std::uint32_t{4'000'000};  // not one was answered
    return quantile(groups[0].latencies_us, 0.99);
  };
  std::uint32_t idle = cheap_p99(0), busy = cheap_p99(200);
  std::uint32_t goal = std::max<std::uint32_t>(2 * idle, 2000);
  std::printf(
      "p99 of a cheap call: %u us idle; %u us with 200 clients of the same socket waiting for quotes of 500 ms (goal "
      "<= "
      "%u us)%s\n\n",
      idle, busy, goal, verdict(busy <= goal));
}

void abuse(const Options& options) {
  const Server front_end = start_instant("front end", options.instant());
  auto honest = [&](bool with_abuse) {
    std::vector<Group> groups = {requests(front_end, 16, {front_end.legacy()})};
    if (with_abuse)  // together fewer than the quarter of all places that one process may have
      for (auto kind : {Group::Kind::kSilent, Group::Kind::kOneByte}) {
        groups.push_back(requests(front_end, 400, groups[0].sockets));
        groups.back().kind = kind;
      }
    double seconds = run_load(groups, options.duration * 2, milliseconds(500));
    return static_cast<double>(groups[0].replies) / seconds;
  };
  std::vector<double> alone, beset;
  for (int round = 0; round < options.rounds; ++round) {
    alone.push_back(honest(false));
    beset.push_back(honest(true));
  }
  std::sort(alone.begin(), alone.end());
  std::sort(beset.begin(), beset.end());
  double a = alone[alone.size() / 2], b = beset[beset.size() / 2];
  std::printf(
      "16 honest clients: %.0f requests/s alone, %.0f beside 400 silent and 400 one-byte connections: %+.1f %% "
      "(goal: falls by less than 10 %%)%s\n\n",
      a, b, 100 * (b / a - 1), verdict(b > 0.9 * a));
}

void greedy(const Options& options) {
  for (std::chrono::microseconds takes : {std::chrono::microseconds(80), std::chrono::microseconds(20'000)})
    beside_greedy_pods(options.instant(takes), options.rounds, options.duration);
}

constexpr std::pair<const char*, void (*)(const Options&)> kTables[] = {
    {"throughput", throughput},   {"simulated", simulated}, {"memory", memory},
    {"cheap-calls", cheap_calls}, {"abuse", abuse},         {"greedy", greedy}};

}  // namespace

int main(int argc, char** argv) {
  // Thousands of connections are ours, and the servers' too.
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);

  Options options;
  options.front_end = own_program("aesm_instant_server");
  bool is_misused = false;
  for (int i = 1; i < argc; ++i) {
    std::string flag = argv[i];
    if (flag == "--only" && i + 1 < argc)
      options.only = argv[++i];
    else if (flag == "--front-end" && i + 1 < argc)
      options.front_end = std::filesystem::absolute(argv[++i]).string();
    else if (flag == "--milliseconds" && i + 1 < argc)
      options.duration = milliseconds(std::atoi(argv[++i]));
    else if (flag == "--rounds" && i + 1 < argc)
      options.rounds = std::max(1, std::atoi(argv[++i]));
    else if (!flag.starts_with("-") && options.helper.empty())
      options.helper = std::filesystem::absolute(flag).string();
    else
      is_misused = true;
  }
  bool has_table = options.only.empty() || std::any_of(std::begin(kTables), std::end(kTables),
                                                       [&](const auto& table) { return options.only == table.first; });
  if (is_misused || !has_table)
    return std::fprintf(stderr,
                        "usage: %s [--only throughput|simulated|memory|cheap-calls|abuse|greedy] [--front-end SERVER] "
                        "[--milliseconds N] [--rounds N] [HELPER]\n",
                        argv[0]),
           1;
  for (const auto& [name, table] : kTables)
    if (options.only.empty() || options.only == name) table(options);
  return 0;
}
