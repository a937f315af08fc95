// SPDX-License-Identifier: Apache-2.0
#include "servers.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>

#include "aesm/client.h"
#include "fake/aesm_frames.h"
#include "fake/framed.h"
#include "load.h"
#include "sgx/report.h"
#include "sim/enclave.h"

namespace enclayer::bench {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail(const Server& server, const char* what) {
  std::fprintf(stderr, "%s %s:\n%s\n", server.name.c_str(), what, server.process->output().c_str());
  std::exit(1);
}

void start(Server& server, const std::vector<std::string>& command) {
  server.process = std::make_shared<fake::Process>(command);
  if (!server.process->wait_for_output("serving", std::chrono::seconds(20))) fail(server, "does not serve");
}

// The number behind `key` in one of its files below /proc.
double number_of(const fs::path& file, const std::string& key) {
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);)
    if (line.starts_with(key)) return std::atof(line.c_str() + key.size());
  return 0;
}

template <class Figure>
double sum_of_threads(pid_t pid, Figure figure) {
  double sum = 0;
  for (const auto& task : fs::directory_iterator("/proc/" + std::to_string(pid) + "/task")) sum += figure(task.path());
  return sum;
}

}  // namespace

std::vector<std::string> Server::slots(int count) const {
  std::vector<std::string> all;
  for (int i = 0; i < count; ++i) all.push_back(slot("p" + std::to_string(i)));
  return all;
}

std::string own_program(const char* name) { return (fs::canonical("/proc/self/exe").parent_path() / name).string(); }

Bytes cheapest_frame() { return fake::aesm_frame("quote_ex-num.req"); }

Server start_floor() {
  Server server{"floor"};
  server.frame = fake::aesm_frame("quote_ex-quote.req");
  server.reply_size = 4600;
  start(server, {own_program("aesm_floor_server"), server.legacy()});
  return server;
}

Server start_instant(const std::string& name, const Instant& instant) {
  Server server{name};
  const fs::path& folder = server.folder->path();
  start(server, {instant.program, server.legacy(), folder / "state", std::to_string(instant.takes.count()),
                 folder / "slots", std::to_string(instant.slots)});
  server.frame = fake::aesm_frame("quote_ex-quote.req");
  server.reply_size = ask(server.legacy(), server.frame).size();
  return server;
}

Server start_helper(const std::string& program, int slots) {
  Server server{"helper, sim"};
  const fs::path& folder = server.folder->path();
  for (const std::string& socket : server.slots(slots)) fs::create_directories(fs::path(socket).parent_path());
  start(server, {program, "--platform", "sim", "--socket", server.legacy(), "--slots-dir", folder / "slots",
                 "--state-dir", folder / "state", "--log-level", "info"});
  Bytes init = ask(server.legacy(), fake::framed(aesm::init_request()));
  auto target = aesm::read_init_reply(ByteView(init).subspan(std::min<std::size_t>(4, init.size())));
  if (!target) fail(server, "does not answer");
  auto report = sim::ereport(sim::enclave_body({}), target->qe);
  server.frame = fake::framed(aesm::quote_request(report, 8192, std::nullopt));
  server.reply_size = ask(server.legacy(), server.frame).size();
  return server;
}

double cpu_seconds(pid_t pid) {
  return sum_of_threads(pid, [](const fs::path& task) {
    std::ifstream in(task / "schedstat");
    double nanoseconds = 0;
    in >> nanoseconds;
    return nanoseconds / 1e9;
  });
}

double wake_ups(pid_t pid) {
  return sum_of_threads(pid,
                        [](const fs::path& task) { return number_of(task / "status", "voluntary_ctxt_switches:"); });
}

double resident_mib(pid_t pid) { return number_of("/proc/" + std::to_string(pid) + "/status", "VmRSS:") / 1024; }
double anonymous_mib(pid_t pid) { return number_of("/proc/" + std::to_string(pid) + "/status", "RssAnon:") / 1024; }

int descriptors(pid_t pid) {
  auto all = fs::directory_iterator("/proc/" + std::to_string(pid) + "/fd");
  return static_cast<int>(std::distance(fs::begin(all), fs::end(all)));
}

}  // namespace enclayer::bench
