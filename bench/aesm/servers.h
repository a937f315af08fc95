// SPDX-License-Identifier: Apache-2.0
// The servers that are measured, each a process of its own, and what the machine says of them.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "enclayer/bytes.h"
#include "fake/process.h"
#include "fake/temp_folder.h"

namespace enclayer::bench {

struct Server {
  std::string name;
  std::shared_ptr<fake::TempFolder> folder = std::make_shared<fake::TempFolder>();
  std::shared_ptr<fake::Process> process{};
  Bytes frame{};  // a request for a quote
  std::size_t reply_size = 0;

  pid_t pid() const { return process->pid(); }
  std::string legacy() const { return (folder->path() / "aesm.socket").string(); }
  std::string slot(const std::string& name_of_slot) const {
    return (folder->path() / "slots" / name_of_slot / "aesm.socket").string();
  }
  std::vector<std::string> slots(int count) const;  // p0, p1, ...
};

// They end with the benchmark where a server does not come up.
Server start_floor();
// `program` is an aesm_instant_server.
struct Instant {
  std::string program;
  std::chrono::microseconds takes{0};  // a quote
  int slots = 1;
};
Server start_instant(const std::string& name, const Instant& instant);
// The real helper on a simulated platform.
Server start_helper(const std::string& program, int slots);

// A recorded request of a client that Intel made: the cheapest one.
Bytes cheapest_frame();

std::string own_program(const char* name);

double cpu_seconds(pid_t pid);   // of all its threads
double wake_ups(pid_t pid);      // how often its threads waited for something
double resident_mib(pid_t pid);  // and how much of it is no file
double anonymous_mib(pid_t pid);
int descriptors(pid_t pid);

}  // namespace enclayer::bench
