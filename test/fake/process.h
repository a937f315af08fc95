// SPDX-License-Identifier: Apache-2.0
// A program run by a test or by the demo: the real binary, its output kept, its end waited for with a deadline.
//
//   auto finished = fake::run({bin + "/enclayer", "--version"});
//   fake::Process daemon({bin + "/enclayer-quote-helper", "--platform", "sim", ...});
//   ASSERT_TRUE(daemon.wait_for_output("serving", 10s)) << daemon.output();
//   daemon.signal(SIGTERM);
//   EXPECT_EQ(daemon.wait(10s), 0);
#pragma once

#include <sys/types.h>

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/child_process.h"

namespace enclayer::fake {

class Process {
 public:
  // Starts argv[0] (a path) with this environment plus `environment`. Standard input is empty. A program that cannot be
  // started ends with 127. It is killed when the thread that started it ends, so that nothing stays behind.
  explicit Process(const std::vector<std::string>& argv, const std::map<std::string, std::string>& environment = {});

  pid_t pid() const { return child_ ? child_->pid() : -1; }
  void signal(int number);

  // All that it wrote so far.
  std::string out() const;  // to standard output
  std::string err() const;  // to standard error
  std::string output() const { return out() + err(); }

  // Until output() holds `text`; false when the deadline passes or the program ends without it.
  bool wait_for_output(std::string_view text, std::chrono::milliseconds timeout);

  // The exit code, 128 + N where signal N ended it; nullopt when it still runs after `timeout`.
  std::optional<int> wait(std::chrono::milliseconds timeout);

 private:
  base::UniqueFd out_, err_;
  std::unique_ptr<base::ChildProcess> child_;
};

struct Finished {
  int exit_code = -1;  // -1: did not end in time and was killed
  std::string out, err;
};

// Runs a program to its end.
Finished run(const std::vector<std::string>& argv, std::chrono::milliseconds timeout = std::chrono::seconds(60),
             const std::map<std::string, std::string>& environment = {});

}  // namespace enclayer::fake
