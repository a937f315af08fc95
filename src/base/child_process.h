// SPDX-License-Identifier: Apache-2.0
// A child process: started, watched, ended. No shell is in between.
//
//   ENCLAYER_TRY(base::Pipe pipe, base::make_pipe());
//   ENCLAYER_TRY(auto child, base::ChildProcess::start({.command = {"/usr/bin/kubectl", "version"},
//                                                       .output = pipe.write.get()}));
//   pipe.write.reset();                      // or the pipe has no end
//   ... poll() pipe.read, child->fd() and whatever else there is; keep_output(pipe.read, text, 64 << 10) ...
//   if (auto ending = child->wait(10s)) ...  // nullopt: it still runs
//
// What it inherits: our working directory, user and limits; our environment unless another is given; the descriptors
// that are named, as 0, 1, 2 and 3, and no others. No signal is blocked in it.
// Where its output goes: where ours goes, unless it is given the end of a pipe or a file. keep_output() bounds what is
// kept of a pipe.
// How it ends: the destructor sends SIGKILL and waits, so that neither a process nor a zombie is left.
// What a failure says: the command, where it cannot be started; Ending::text() says of what it ended.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "enclayer/error.h"

namespace enclayer::base {

struct Program {
  std::vector<std::string> command;                          // a path, and the arguments
  std::optional<std::vector<std::string>> environment = {};  // NAME=VALUE; nullopt: ours
  int input = -1;                                            // -1: empty
  int output = 1, error = 2;                                 // ours, unless others are named
  int further = -1;                                          // becomes 3; -1: no such descriptor
  bool dies_with_thread = false;  // SIGKILL when the thread that started it ends, and so when we are killed
  bool own_group = false;         // Ctrl-C at our terminal is not for it; nor can it read from the terminal
  std::vector<int> ignored_signals = {};
};

struct Ending {
  int status = 0;  // as waitpid() gives it

  int exit_code() const;     // 128 + N where signal N ended it, as shells say it
  std::string text() const;  // "ended with exit code 3", "was killed by SIGSEGV"
};

class ChildProcess {
 public:
  // An error has the command in it, and the reason why it cannot be started: no such file, no right to execute it.
  static Result<std::unique_ptr<ChildProcess>> start(const Program& program);
  ChildProcess(const ChildProcess&) = delete;
  ~ChildProcess() { kill(); }

  pid_t pid() const { return pid_; }
  int fd() const { return pidfd_.get(); }  // readable once it has ended
  bool running() const;
  void signal(int number);  // nothing, once wait() has told the ending

  // How it ended; nullopt when it still runs after `timeout`.
  std::optional<Ending> wait(std::chrono::milliseconds timeout);

  // SIGKILL, then two seconds. A process that is stuck in the kernel does not die of it, and waiting for it for ever
  // would make two of us: it is left behind, which is logged, and there is no ending.
  std::optional<Ending> kill();

 private:
  ChildProcess() = default;
  pid_t pid_ = -1;  // -1: none, or it was left behind
  UniqueFd pidfd_;
  std::optional<Ending> ending_;
};

// For output; reading from it never waits.
struct Pipe {
  UniqueFd read, write;
};
Result<Pipe> make_pipe();

// For input: a file in memory, because a program that ends before it has read all of a pipe would make us a SIGPIPE.
Result<UniqueFd> memory_file(std::string_view content);

// Appends to `text` what can be read now, and keeps `most` bytes of it all: the first, or the last. Closes `fd` at its
// end. False when bytes were dropped; of the first ones nothing more is read then, until the next call.
enum class Keep { kFirst, kLast };
bool keep_output(UniqueFd& fd, std::string& text, std::size_t most, Keep keep = Keep::kFirst);

struct Completed {
  Ending ending;
  std::string out, err;
};

struct CompletedWithin {
  std::size_t out = 64 << 20;  // bytes; more are kExhausted
  std::size_t err = 64 << 10;  // bytes; what comes after them is not kept
  std::chrono::milliseconds time{60'000};
  int stop = -1;  // a descriptor: once it is readable, the program is ended
};

// Runs `program` to its end, its output and errors kept. Errors begin with `name`: kExhausted; kTimedOut; kUnavailable,
// it was stopped. It is told to end then (SIGTERM), and killed two seconds later. Also the errors of start().
Result<Completed> run_to_end(Program program, const std::string& name, const CompletedWithin& within);

}  // namespace enclayer::base
