// SPDX-License-Identifier: Apache-2.0
// The front end's side of one quote worker: starts the process, talks to it with a deadline, and kills it.
//
// The process is killed by the kernel when the thread that started it ends, so that none outlives its front end: a
// thread that starts one has to live as long as it does.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "base/child_process.h"
#include "enclayer/error.h"
#include "quoting/dcap_launch.h"
#include "quoting/dcap_protocol.h"

namespace enclayer::quoting {

class DcapProcess {
 public:
  // Starts a worker and waits until its libraries are loaded. `stop_fd` (or -1) becomes readable when nobody waits any
  // more: this call and every later one then end at once. kUnavailable: a library is missing, the message says which;
  // kTimedOut: no hello in time.
  static Result<std::unique_ptr<DcapProcess>> start(const DcapLaunch& launch, std::chrono::milliseconds timeout,
                                                    int stop_fd);

  // What it loaded: "/usr/lib/.../libsgx_qe3_logic.so (sgx_ql), provider ...".
  const std::string& loaded() const { return loaded_; }
  pid_t pid() const { return child_->pid(); }
  bool alive() const { return child_->running(); }

  // One call into Intel's library; a failure in there is a reply too. An error means that the process is gone, and
  // destroying this is all that is left to do: kTimedOut, it did not answer and was killed; kUnavailable, it died, and
  // of what.
  Result<DcapReply> call(const DcapRequest& request, std::chrono::milliseconds timeout);

  // The end (2 KiB at most) of what the libraries wrote to standard output and error during the last call, printable.
  std::string said() const;

 private:
  DcapProcess() = default;
  Result<Bytes> receive(std::chrono::milliseconds timeout);
  void listen_in();
  std::string ending();  // of a process that is ending, which is waited for: "was killed by SIGSEGV"

  int stop_fd_ = -1;
  base::UniqueFd socket_, output_;
  std::unique_ptr<base::ChildProcess> child_;  // as soon as it has been started
  std::string loaded_, said_;
};

}  // namespace enclayer::quoting
