// SPDX-License-Identifier: Apache-2.0
// The quote worker: a process of its own that loads Intel's libraries (libsgx_dcap_ql.so.1 and what it brings along)
// and does what the front end asks for, one call after the other. It is killed when it hangs and started again when it
// dies; nobody else is in it. It is our own program once more: a fork() without exec would carry the front end's
// threads, locks and memory along, and an enclave does not survive a fork().
//
// It is started (dcap_process.h) with no descriptor but the socket and the standard ones, and the kernel kills it when
// the front end ends. Before it loads the libraries it gives up core dumps and new privileges, and takes SGX_AESM_ADDR
// out of its environment: with it Intel's library would ask the AESM socket, which is us.
#pragma once

#include <optional>
#include <string_view>

#include "quoting/dcap_launch.h"

namespace enclayer::quoting {

// argv of a worker: program, this flag, lib_dir, dev_dir.
inline constexpr std::string_view kDcapWorkerFlag = "--dcap-worker";

// Its end of the socketpair (dcap_protocol.h).
inline constexpr int kDcapWorkerSocket = 3;

// What main() asks before it reads its flags: the options, where prepare_dcap_launch() made the command line.
std::optional<DcapOptions> dcap_worker_options(int argc, const char* const* argv);

// Serves `socket_fd` until its other end is closed. 0: that happened; 1: the libraries could not be loaded (the hello
// says why) or the front end said something malformed. To be handed to _exit(): nobody needs what Intel's libraries do
// when a process ends.
int run_dcap_worker(int socket_fd, const DcapOptions& options);

}  // namespace enclayer::quoting
