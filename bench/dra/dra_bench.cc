// SPDX-License-Identifier: Apache-2.0
// How long a kubelet waits for the DRA driver: claims one after the other, and 200 at once, with an API server that takes
// 5 ms for an answer and gives one at a time.
//
//   dra_bench build/release/bin/enclayer-dra-driver
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "fake/claims.h"
#include "fake/dra_api_server.h"
#include "fake/memory.h"
#include "fake/process.h"
#include "fake/temp_folder.h"

namespace enclayer {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
constexpr unsigned kOneByOne = 500, kAtOnce = 200;
constexpr unsigned kPods = 110;  // of a node, as the kubelet has it by default

class Node {
 public:
  explicit Node(const std::string& program)
      : kubelet_(folder_.path() / "kubelet"),
        driver_({program,
                 "--node",
                 "n1",
                 "--platform",
                 "sim",
                 "--sim-epc",
                 "1024Gi",
                 "--sim-device",
                 "/dev/null",
                 "--dra-epc",
                 "100%",
                 "--kubelet-dir",
                 folder_.path() / "kubelet",
                 "--slots-dir",
                 folder_.path() / "slots",
                 "--cdi-dir",
                 folder_.path() / "cdi",
                 "--account-dir",
                 api_.account(),
                 "--sysfs-root",
                 folder_.path() / "sys"},
                api_.environment()) {
    // What enclayer-device-plugin writes, in MiB.
    folder_.write("kubelet/plugins/sgx.enclayer.io/plugin", "1\n");
    if (auto registered = kubelet_.register_driver(30s); !registered)
      throw std::runtime_error(registered.error().message() + "\n" + driver_.output());
  }

  void allocate(unsigned claim) { api_.put_claim(fake::allocated_claim(claim, 1024, fake::quotes_by_socket())); }

  // In seconds.
  double prepare(unsigned claim) {
    const auto begin = Clock::now();
    auto prepared = kubelet_.prepare({fake::claim_name(claim)});
    const std::chrono::duration<double> took = Clock::now() - begin;
    const std::string error = prepared ? prepared->at(fake::claim_uid(claim)).error : prepared.error().message();
    if (!error.empty()) throw std::runtime_error(fake::claim_name(claim).name + ": " + error);
    return took.count();
  }

  double resident_mib() const { return fake::memory_mib(driver_.pid(), "VmRSS"); }

 private:
  fake::TempFolder folder_;
  fake::DraApiServer api_{5ms};
  fake::DraKubelet kubelet_;
  fake::Process driver_;
};

double percentile(std::vector<double> all, double part) {
  std::sort(all.begin(), all.end());
  return all[std::min(all.size() - 1, static_cast<std::size_t>(static_cast<double>(all.size()) * part))];
}

void run(const std::string& program) {
  Node node(program);
  std::vector<double> seconds;
  double resident = 0;
  for (unsigned claim = 0; claim < kOneByOne; ++claim) {
    node.allocate(claim);
    seconds.push_back(node.prepare(claim));
    if (claim + 1 == kPods) resident = node.resident_mib();
  }
  std::printf("one after the other, %u claims of 1 GiB with quotes: p50 %.1f ms, p99 %.1f ms (goal 50)\n", kOneByOne,
              percentile(seconds, 0.5) * 1e3, percentile(seconds, 0.99) * 1e3);

  for (unsigned i = 0; i < kAtOnce; ++i) node.allocate(kOneByOne + i);
  std::vector<std::string> errors(kAtOnce);
  std::vector<std::thread> pods;
  const auto begin = Clock::now();
  for (unsigned i = 0; i < kAtOnce; ++i)
    pods.emplace_back([&, i] {
      try {
        node.prepare(kOneByOne + i);
      } catch (const std::exception& why) {
        errors[i] = why.what();
      }
    });
  for (std::thread& pod : pods) pod.join();
  const std::chrono::duration<double> took = Clock::now() - begin;
  const auto refused = std::count_if(errors.begin(), errors.end(), [](const std::string& one) { return !one.empty(); });
  std::printf("at once, %u claims: %.2f s (goal 10), %td refused (goal 0)%s\n", kAtOnce, took.count(), refused,
              refused > 0 ? (", for example " + errors[0]).c_str() : "");
  std::printf("resident with %u claims prepared: %.1f MiB (goal 15); with %u, after those at once: %.1f MiB\n", kPods,
              resident, kOneByOne + kAtOnce, node.resident_mib());
}

}  // namespace
}  // namespace enclayer

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: %s ENCLAYER-DRA-DRIVER\n", argv[0]);
    return 1;
  }
  try {
    enclayer::run(argv[1]);
  } catch (const std::exception& why) {
    std::fprintf(stderr, "dra_bench: %s\n", why.what());
    return 2;
  }
  return 0;
}
