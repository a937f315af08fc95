// aesm_bench: measures the quote helper's front end against the floor, prints tables for people and for the README.
// bench/aesm/run builds and starts it.
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "aesm/client.h"
#include "base/bytes.h"
#include "base/file.h"
#include "base/hex.h"
#include "fake/framed.h"
#include "fake/process.h"
#include "fake/temp_folder.h"
#include "load.h"
#include "quoting/sim_enclave.h"
#include "sgx/report.h"

namespace {

using namespace enclayer;
using namespace enclayer::bench;
using std::chrono::milliseconds;
namespace fs = std::filesystem;

// CPU time of all threads of a process, in seconds.
double cpu_seconds(pid_t pid) {
  double nanoseconds = 0;
  for (const auto& task : fs::directory_iterator("/proc/" + std::to_string(pid) + "/task")) {
    std::ifstream in(task.path() / "schedstat");
    double running = 0;
    in >> running;
    nanoseconds += running;
  }
  return nanoseconds / 1e9;
}

double resident_mib(pid_t pid) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(in, line);)
    if (line.starts_with("VmRSS:")) return std::atof(line.c_str() + 6) / 1024;
  return 0;
}

Bytes golden(const char* name) {
  std::string digits = base::read_text(fs::path(ENCLAYER_TEST_DATA) / "aesm" / name, 1 << 20).value();
  while (!digits.empty() && digits.back() == '\n') digits.pop_back();
  return base::from_hex(digits).value();
}

// A server under measurement: its process, its socket, and a request with the size of the reply to it.
struct Server {
  std::string name;
  std::unique_ptr<fake::Process> process;
  std::string socket;
  Bytes frame;
  std::size_t reply_size = 0;
};

void wait_until_served(Server& server) {
  if (server.process->wait_for_output("serving", std::chrono::seconds(20))) return;
  std::fprintf(stderr, "%s does not serve:\n%s\n", server.name.c_str(), server.process->output().c_str());
  std::exit(1);
}

struct Figures {
  double per_second = 0, cpu_us = 0;
  std::uint32_t p50 = 0, p99 = 0, p999 = 0;
  std::uint64_t errors = 0, queue_full = 0;
};

Figures measure(const Server& server, int clients, milliseconds duration) {
  std::vector<Group> groups(1);
  groups[0].clients = clients;
  groups[0].frame = server.frame;
  groups[0].reply_size = server.reply_size;
  // The server's CPU time includes the warm-up; so does the number of requests that it is divided by, nearly.
  double before = cpu_seconds(server.process->pid());
  milliseconds warm_up = duration / 10;
  double seconds = run_load(server.socket, groups, duration, warm_up);
  double cpu = cpu_seconds(server.process->pid()) - before;
  Figures figures;
  auto replies = static_cast<double>(std::max<std::uint64_t>(groups[0].replies, 1));
  figures.per_second = replies / seconds;
  figures.cpu_us = cpu * 1e6 / (replies * (1 + std::chrono::duration<double>(warm_up).count() / seconds));
  figures.p50 = quantile(groups[0].latencies_us, 0.5);
  figures.p99 = quantile(groups[0].latencies_us, 0.99);
  figures.p999 = quantile(groups[0].latencies_us, 0.999);
  figures.errors = groups[0].errors;
  figures.queue_full = groups[0].queue_full;
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

// System calls for each request, counted by strace (which makes everything slower, so nothing else is taken from this
// run).
double system_calls(const Server& server, int clients) {
  fake::TempFolder folder;
  std::string out = (folder.path() / "calls").string();
  fake::Process strace(
      {"/usr/bin/strace", "-f", "-c", "-S", "calls", "-o", out, "-p", std::to_string(server.process->pid())});
  if (!strace.wait_for_output("attached", std::chrono::seconds(10))) return -1;
  std::vector<Group> groups(1);
  groups[0].clients = clients;
  groups[0].frame = server.frame;
  groups[0].reply_size = server.reply_size;
  run_load(server.socket, groups, milliseconds(1500), milliseconds(0));
  strace.signal(SIGINT);
  strace.wait(std::chrono::seconds(10));
  std::ifstream in(out);
  double total = 0;
  for (std::string line; std::getline(in, line);)
    if (line.find(" total") != std::string::npos) {
      double percent, seconds, per_call;
      std::sscanf(line.c_str(), "%lf %lf %lf %lf", &percent, &seconds, &per_call, &total);
    }
  if (std::getenv("BENCH_VERBOSE")) {
    std::ifstream again(out);
    for (std::string line; std::getline(again, line);) std::printf("    %s\n", line.c_str());
    std::printf("    requests: %llu\n", static_cast<unsigned long long>(groups[0].replies));
  }
  return groups[0].replies == 0 ? -1 : total / static_cast<double>(groups[0].replies);
}

const char* verdict(bool good) { return good ? "" : "  <-- misses the goal"; }

struct Options {
  std::string helper;     // the real binary; empty: leave it out
  std::string front_end;  // another instant_server, for trying out variants
  std::string threads = "0";
  milliseconds duration{1500};
  int rounds = 3;
};

class Bench {
 public:
  explicit Bench(const Options& options)
      : options_(options), own_folder_(fs::canonical("/proc/self/exe").parent_path()) {
    Bytes frame = golden("quote_ex-quote.req.hex");
    floor_ = {"floor", nullptr, (folder_.path() / "floor.socket").string(), frame, 4600};
    floor_.process = std::make_unique<fake::Process>(
        std::vector<std::string>{(own_folder_ / "aesm_floor_server").string(), floor_.socket});
    wait_until_served(floor_);
    front_end_ = start_instant("instant", 0);
    if (!options_.helper.empty()) start_helper();
  }

  void throughput();
  void memory();
  void cheap_calls();
  void abuse();

 private:
  Server start_instant(const std::string& name, int milliseconds_a_quote) {
    std::string threads = options_.threads;
    if (threads == "0")
      threads =
          std::to_string(std::clamp(static_cast<int>(::sysconf(_SC_NPROCESSORS_ONLN)), 2, 8));  // as the helper does
    Server server{name, nullptr, (folder_.path() / (name + ".socket")).string(), golden("quote_ex-quote.req.hex"), 0};
    server.process = std::make_unique<fake::Process>(std::vector<std::string>{options_.front_end, server.socket,
                                                                              (folder_.path() / name).string(), threads,
                                                                              std::to_string(milliseconds_a_quote)});
    wait_until_served(server);
    server.reply_size = ask(server.socket, server.frame).size();
    return server;
  }

  void start_helper() {
    helper_ = {"helper, sim", nullptr, (folder_.path() / "helper.socket").string(), {}, 0};
    helper_.process = std::make_unique<fake::Process>(
        std::vector<std::string>{options_.helper, "--platform", "sim", "--socket", helper_.socket, "--state-dir",
                                 (folder_.path() / "state").string()});
    wait_until_served(helper_);
    Bytes init = ask(helper_.socket, fake::framed(aesm::init_request()));
    auto target = aesm::read_init_reply(ByteView(init).subspan(std::min<std::size_t>(4, init.size())));
    if (!target) {
      std::fprintf(stderr, "the helper does not answer: %s\n%s\n", target.error().message().c_str(),
                   helper_.process->output().c_str());
      std::exit(1);
    }
    auto report = sgx::sim::ereport(quoting::sim_enclave_body({}), target->qe);
    helper_.frame = fake::framed(aesm::quote_request(report, 8192, std::nullopt));
    helper_.reply_size = ask(helper_.socket, helper_.frame).size();
  }

  const Options options_;
  fs::path own_folder_;
  fake::TempFolder folder_;
  Server floor_, front_end_, helper_;
};

void Bench::throughput() {
  std::printf(
      "Requests with a quote, a connection for each; median of %d rounds of %lld ms; load and server share %ld "
      "CPUs.\n\n",
      options_.rounds, static_cast<long long>(options_.duration.count()), ::sysconf(_SC_NPROCESSORS_ONLN));
  std::printf(
      "| clients | server | requests/s | of the floor | CPU a request | of the floor | p50 | p99 | p99.9 | errors |\n");
  std::printf("|---|---|---|---|---|---|---|---|---|---|\n");
  bool all_good = true;
  for (int clients : {1, 4, 16, 64, 200}) {
    std::vector<Server*> servers = {&floor_, &front_end_};
    if (helper_.process) servers.push_back(&helper_);
    std::vector<std::vector<Figures>> rounds(servers.size());
    for (int round = 0; round < options_.rounds; ++round)
      for (std::size_t i = 0; i < servers.size(); ++i)
        rounds[i].push_back(measure(*servers[i], clients, options_.duration));
    Figures floor = median(rounds[0]);
    for (std::size_t i = 0; i < servers.size(); ++i) {
      Figures figures = median(rounds[i]);
      double speed = figures.per_second / floor.per_second, cost = figures.cpu_us / floor.cpu_us;
      bool good = i != 1 || (clients != 16 && clients != 200) || (speed >= 0.7 && cost <= 1.7 && figures.errors == 0);
      all_good = all_good && good;
      std::printf("| %d | %s | %.0f | %.0f %% | %.1f us | %.2fx | %u us | %u us | %u us | %llu |%s\n", clients,
                  servers[i]->name.c_str(), figures.per_second, 100 * speed, figures.cpu_us, cost, figures.p50,
                  figures.p99, figures.p999, static_cast<unsigned long long>(figures.errors), verdict(good));
      std::fflush(stdout);
    }
  }
  std::printf(
      "\nGoals at 16 and 200 clients: instant >= 70 %% of the floor's requests/s, <= 1.7x its CPU, no errors.\n");
  if (::access("/usr/bin/strace", X_OK) != 0) {
    std::printf("System calls are not counted: strace is not installed.\n\n");
    return;
  }
  for (int clients : {16, 200}) {
    double calls = system_calls(front_end_, clients);
    std::printf("System calls a request, %d clients: %.1f (floor %.1f; goal <= 10)%s\n", clients, calls,
                system_calls(floor_, clients), verdict(calls > 0 && calls <= 10));
  }
  std::printf("\n");
}

void Bench::memory() {
  auto one = [&](Server fresh) {
    double idle = resident_mib(fresh.process->pid());
    SilentConnections silent(fresh.socket, 2000);
    ::usleep(300'000);
    double busy = resident_mib(fresh.process->pid());
    std::printf(
        "Resident memory of %s: %.1f MiB idle (goal <= 10)%s, %.1f MiB with %d open connections (goal <= 24)%s\n",
        fresh.name.c_str(), idle, verdict(idle <= 10), busy, silent.count(), verdict(busy <= 24));
  };
  one(start_instant("instant-memory", 0));
  if (helper_.process) {
    helper_.process.reset();
    start_helper();  // afresh: what a load leaves behind in the heap is not "idle"
    one(std::move(helper_));
  }
  std::printf("\n");
}

void Bench::cheap_calls() {
  Server slow = start_instant("slow-quotes", 500);
  auto cheap_p99 = [&](int quoting_clients) {
    std::vector<Group> groups(quoting_clients > 0 ? 2 : 1);
    groups[0].clients = 1;
    groups[0].frame = golden("quote_ex-num.req.hex");
    groups[0].reply_size = ask(slow.socket, groups[0].frame).size();
    if (quoting_clients > 0) {
      groups[1].clients = quoting_clients;
      groups[1].frame = slow.frame;
      groups[1].reply_size = slow.reply_size;
    }
    run_load(slow.socket, groups, milliseconds(4000), milliseconds(1000));
    if (groups[0].latencies_us.empty()) return std::uint32_t{4'000'000};  // not one was answered
    return quantile(groups[0].latencies_us, 0.99);
  };
  std::uint32_t idle = cheap_p99(0), busy = cheap_p99(200);
  std::uint32_t goal = std::max<std::uint32_t>(2 * idle, 2000);
  std::printf(
      "p99 of a cheap call: %u us idle; %u us with 200 clients waiting for quotes of 500 ms (goal <= %u us)%s\n\n",
      idle, busy, goal, verdict(busy <= goal));
}

void Bench::abuse() {
  auto honest = [&](bool with_abuse) {
    std::vector<Group> groups(with_abuse ? 3 : 1);
    groups[0].clients = 16;
    groups[0].frame = front_end_.frame;
    groups[0].reply_size = front_end_.reply_size;
    if (with_abuse) {
      groups[1].kind = Group::Kind::kSilent;
      groups[2].kind = Group::Kind::kOneByte;
      groups[1].clients = groups[2].clients = 500;
    }
    double seconds = run_load(front_end_.socket, groups, options_.duration * 2, milliseconds(500));
    return static_cast<double>(groups[0].replies) / seconds;
  };
  std::vector<double> alone, beset;
  for (int round = 0; round < options_.rounds; ++round) {
    alone.push_back(honest(false));
    beset.push_back(honest(true));
  }
  std::sort(alone.begin(), alone.end());
  std::sort(beset.begin(), beset.end());
  double a = alone[alone.size() / 2], b = beset[beset.size() / 2];
  std::printf(
      "16 honest clients: %.0f requests/s alone, %.0f beside 500 silent and 500 one-byte connections: %+.1f %% "
      "(goal: falls by less than 10 %%)%s\n\n",
      a, b, 100 * (b / a - 1), verdict(b > 0.9 * a));
}

}  // namespace

int main(int argc, char** argv) {
  // Thousands of connections are ours, and the servers' too.
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);

  Options options;
  for (int i = 1; i < argc; ++i) {
    std::string flag = argv[i];
    if (flag == "--threads" && i + 1 < argc)
      options.threads = argv[++i];
    else if (flag == "--front-end" && i + 1 < argc)
      options.front_end = fs::absolute(argv[++i]).string();
    else if (flag == "--milliseconds" && i + 1 < argc)
      options.duration = milliseconds(std::atoi(argv[++i]));
    else if (flag == "--rounds" && i + 1 < argc)
      options.rounds = std::max(1, std::atoi(argv[++i]));
    else if (!flag.starts_with("-") && options.helper.empty())
      options.helper = fs::absolute(flag).string();
    else
      return std::fprintf(stderr,
                          "usage: %s [--front-end SERVER] [--threads N] [--milliseconds N] [--rounds N] [HELPER]\n",
                          argv[0]),
             1;
  }
  if (options.front_end.empty())
    options.front_end = (fs::canonical("/proc/self/exe").parent_path() / "aesm_instant_server").string();
  Bench bench(std::move(options));
  bench.throughput();
  bench.memory();
  bench.cheap_calls();
  bench.abuse();
  return 0;
}
