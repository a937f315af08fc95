// SPDX-License-Identifier: Apache-2.0
#include "fake/process.h"

#include <signal.h>
#include <unistd.h>

namespace enclayer::fake {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

std::string content(int fd) {
  std::string text;
  char chunk[65536];
  for (ssize_t n; (n = ::pread(fd, chunk, sizeof chunk, static_cast<off_t>(text.size()))) > 0;)
    text.append(chunk, static_cast<std::size_t>(n));
  return text;
}

std::vector<std::string> merged_environment(const std::map<std::string, std::string>& extra) {
  std::vector<std::string> all;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    std::string text = *entry;
    if (!extra.contains(text.substr(0, text.find('=')))) all.push_back(text);
  }
  for (const auto& [name, value] : extra) all.push_back(name + "=" + value);
  return all;
}

}  // namespace

// Output goes to a file in memory rather than to a pipe: a program that talks a lot never waits for us.
Process::Process(const std::vector<std::string>& argv, const std::map<std::string, std::string>& environment)
    : out_(base::memory_file({}).value()), err_(base::memory_file({}).value()) {
  auto started = base::ChildProcess::start({.command = argv,
                                            .environment = merged_environment(environment),
                                            .output = out_.get(),
                                            .error = err_.get(),
                                            .dies_with_thread = true,
                                            .own_group = true});  // Ctrl-C is for whoever started us to pass on
  if (started) child_ = std::move(*started);
}

void Process::signal(int number) {
  if (child_) child_->signal(number);
}

std::string Process::out() const { return content(out_.get()); }
std::string Process::err() const { return content(err_.get()); }

bool Process::wait_for_output(std::string_view text, milliseconds timeout) {
  auto deadline = steady_clock::now() + timeout;
  while (true) {
    bool ended = wait(milliseconds(0)).has_value();
    if (output().find(text) != std::string::npos) return true;
    if (ended || steady_clock::now() >= deadline) return false;
    wait(milliseconds(5));  // a file cannot be waited for, its writer can
  }
}

std::optional<int> Process::wait(milliseconds timeout) {
  if (!child_) return 127;
  auto ending = child_->wait(timeout);
  if (!ending) return std::nullopt;
  return ending->exit_code();
}

Finished run(const std::vector<std::string>& argv, milliseconds timeout,
             const std::map<std::string, std::string>& environment) {
  Process process(argv, environment);
  auto exit_code = process.wait(timeout);
  if (!exit_code) {
    process.signal(SIGKILL);
    process.wait(std::chrono::seconds(10));
  }
  return {exit_code.value_or(-1), process.out(), process.err()};
}

}  // namespace enclayer::fake
