// SPDX-License-Identifier: Apache-2.0
// What a token costs beside what it is made of: the library's verification and one signature. In one run, on one core,
// over TLS on connections that are kept, collateral at hand.
//
//   attest_bench build/release/bin/enclayer-attest [SECONDS]
#include <sched.h>
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <functional>
#include <iterator>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "attest/base64url.h"
#include "attest/evidence_claims.h"
#include "attest/jws.h"
#include "enclayer/policy.h"
#include "enclayer/verifier.h"
#include "fake/http_service.h"
#include "fake/process.h"
#include "fake/raw_client.h"
#include "fake/temp_folder.h"
#include "http/client.h"
#include "sim/case.h"

namespace enclayer {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr std::string_view kPolicy =
    "version=1.0;\nauthorizationrules { [type==\"x-ms-sgx-is-debuggable\", value==false] => permit(); };\n"
    "issuancerules { };\n";
constexpr int kClients = 8;

template <class T>
T must(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message());
  return std::move(*result);
}

void on_core(int core) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(core, &set);
  ::sched_setaffinity(0, sizeof set, &set);
}

// CPU time of one call, in microseconds: the median of rounds.
double cost(const std::function<void()>& call) {
  auto cpu = [] {
    timespec now{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) / 1e3;
  };
  for (int i = 0; i < 20; ++i) call();
  std::vector<double> rounds;
  for (int round = 0; round < 11; ++round) {
    const double begin = cpu();
    for (int i = 0; i < 50; ++i) call();
    rounds.push_back((cpu() - begin) / 50);
  }
  std::nth_element(rounds.begin(), rounds.begin() + 5, rounds.end());
  return rounds[5];
}

class Service {
 public:
  Service(const std::string& program, const sim::Evidence& evidence) {
    const auto tls = fake::make_tls_identity();
    authority_ = tls.authority;
    folder_.write("tls.crt", tls.certificate);
    folder_.write("tls.key", tls.key);
    folder_.write("root.pem", evidence.root);
    folder_.write("collateral.json", to_json(evidence.collateral));
    folder_.write("policy.txt", std::string(kPolicy));
    auto path = [&](const char* name) { return (folder_.path() / name).string(); };
    const std::vector<std::string> argv = {"/usr/bin/taskset",
                                           "-c",
                                           "1",
                                           program,
                                           "--listen",
                                           "127.0.0.1:0",
                                           "--issuer",
                                           "https://127.0.0.1/simulated",
                                           "--policy",
                                           path("policy.txt"),
                                           "--state-dir",
                                           path("state"),
                                           "--simulated-root",
                                           path("root.pem"),
                                           "--collateral",
                                           path("collateral.json"),
                                           "--tls-cert",
                                           path("tls.crt"),
                                           "--tls-key",
                                           path("tls.key"),
                                           "--audience",
                                           "bench",
                                           "--log-level",
                                           "warn"};
    auto start = [&] {
      const auto begin = Clock::now();
      std::vector<std::string> with_log = argv;
      with_log.back() = "info";  // which says when it serves
      process_ = std::make_unique<fake::Process>(with_log);
      if (!process_->wait_for_output(" serving ", 60s)) throw std::runtime_error(process_->output());
      ready = std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
    };
    start();  // makes its keys
    process_->signal(SIGTERM);
    process_->wait(30s);
    start();
    const std::string log = process_->output();
    const std::size_t at = log.find("address=", log.find(" serving ")) + 8;
    address_ = log.substr(at, log.find(' ', at) - at);
  }

  http::Client client() const {
    http::Options options;
    options.ca_pem = authority_;
    options.limits.total = std::chrono::hours(1);
    return http::Client(std::move(options));
  }
  std::string url(const char* target) const { return "https://" + address_ + target; }

  double cpu_seconds() const {
    std::ifstream stat("/proc/" + std::to_string(process_->pid()) + "/stat");
    const std::string text((std::istreambuf_iterator<char>(stat)), {});
    std::size_t at = text.rfind(')');
    for (int field = 2; field < 13; ++field) at = text.find(' ', at + 1);
    std::size_t next = 0;
    const double user = std::stod(text.substr(at + 1), &next);
    return (user + std::stod(text.substr(at + 1 + next))) / static_cast<double>(::sysconf(_SC_CLK_TCK));
  }
  double resident_mib() const {
    std::ifstream status("/proc/" + std::to_string(process_->pid()) + "/status");
    for (std::string line; std::getline(status, line);)
      if (line.starts_with("VmRSS:")) return std::stod(line.substr(6)) / 1024;
    return 0;
  }

  double ready = 0;  // ms from its start

 private:
  fake::TempFolder folder_;
  std::string authority_, address_;
  std::unique_ptr<fake::Process> process_;
};

// Tokens, and the service's CPU time for one in microseconds.
std::pair<double, double> throughput(const Service& service, const http::Request& request, std::chrono::seconds time) {
  std::atomic<int> made = 0;
  std::atomic<bool> stop = false;
  std::vector<std::thread> clients;
  for (int i = 0; i < kClients; ++i)
    clients.emplace_back([&] {
      http::Client client = service.client();
      while (!stop) made += must(client.send(request)).status == 200 ? 1 : 0;
    });
  while (made < 100) std::this_thread::sleep_for(1ms);
  const int before = made;
  const double cpu = service.cpu_seconds();
  const auto begin = Clock::now();
  std::this_thread::sleep_for(time);
  const double tokens = made - before, used = service.cpu_seconds() - cpu;
  const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  stop = true;
  for (auto& client : clients) client.join();
  return {tokens / seconds, used * 1e6 / tokens};
}

// Milliseconds that 50 and 99 of 100 take, at a steady rate.
std::pair<double, double> latency(const Service& service, const http::Request& request, int per_second,
                                  std::chrono::seconds time) {
  std::vector<std::vector<double>> of(4);
  std::vector<std::thread> clients;
  const auto begin = Clock::now();
  for (std::size_t i = 0; i < of.size(); ++i)
    clients.emplace_back([&, i] {
      http::Client client = service.client();
      must(client.send(request));
      const auto pause = std::chrono::nanoseconds(1s) * static_cast<int>(of.size()) / per_second;
      for (auto due = begin + 200ms + pause * static_cast<int>(i) / 4; due < begin + time; due += pause) {
        std::this_thread::sleep_until(due);
        must(client.send(request));
        of[i].push_back(std::chrono::duration<double, std::milli>(Clock::now() - due).count());
      }
    });
  for (auto& client : clients) client.join();
  std::vector<double> all;
  for (const auto& one : of) all.insert(all.end(), one.begin(), one.end());
  std::sort(all.begin(), all.end());
  return {all[all.size() / 2], all[all.size() * 99 / 100]};
}

int run(const std::string& program, std::chrono::seconds time) {
  on_core(0);
  ::signal(SIGPIPE, SIG_IGN);
  fake::allow_descriptors(4096);
  const Time now = std::chrono::time_point_cast<std::chrono::seconds>(std::chrono::system_clock::now());
  const auto evidence = must(sim::make_evidence(sim::cases().front(), now));
  const auto root = must(TrustedRoot::from_pem(evidence.root));
  Verifier verifier;
  const double verify = cost([&] { (void)verifier.verify(evidence.quote, evidence.collateral, root, now); });
  const std::string claims(1500, 'x');
  const auto rs256 = must(attest::TokenKey::generate(attest::Algorithm::kRs256, true, now));
  const auto es256 = must(attest::TokenKey::generate(attest::Algorithm::kEs256, true, now));
  const double rsa = cost([&] { must(rs256.sign(claims)); }), ecdsa = cost([&] { must(es256.sign(claims)); });
  std::printf("verification %.0f us, RS256 %.0f us, ES256 %.0f us (CPU time, in this process)\n", verify, rsa, ecdsa);

  const Service service(program, evidence);
  const std::string quote = attest::to_base64url(evidence.quote);
  const http::Request azure{
      service.url("/attest/SgxEnclave?api-version=2020-10-01"), "POST", {}, R"({"quote":")" + quote + R"("})"};
  const http::Request ear{service.url("/ear"), "POST", {}, R"({"audience":"bench","quote":")" + quote + R"("})"};
  std::printf("start to ready %.0f ms, resident %.1f MiB\n", service.ready, service.resident_mib());
  for (const auto& [name, request, floor] :
       {std::tuple("A, RS256", azure, verify + rsa), std::tuple("R, ES256", ear, verify + ecdsa)}) {
    const auto [rate, each] = throughput(service, request, time);
    const auto [half, most] = latency(service, request, 200, time);
    std::printf(
        "door %s: %.0f tokens/s on one core; %.0f us of CPU each, %.0f %% of the floor's rate (%.0f us); at 200/s "
        "p50 %.2f ms, p99 %.2f ms\n",
        name, rate, each, 100 * floor / each, floor, half, most);
  }
  std::vector<http::Client> idle;
  for (int i = 0; i < 1000; ++i) {
    idle.push_back(service.client());
    must(idle.back().get(service.url("/certs")));
  }
  std::printf("resident with 1,000 open connections %.1f MiB\n", service.resident_mib());
  return 0;
}

}  // namespace
}  // namespace enclayer

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: attest_bench ENCLAYER-ATTEST [SECONDS]\n");
    return 1;
  }
  try {
    return enclayer::run(argv[1], std::chrono::seconds(argc > 2 ? std::stoi(argv[2]) : 5));
  } catch (const std::exception& failed) {
    std::fprintf(stderr, "attest_bench: %s\n", failed.what());
    return 1;
  }
}
