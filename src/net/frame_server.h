// SPDX-License-Identifier: Apache-2.0
// Serves frames on unix stream sockets: frame_connections.h with its sockets and its clock, in one thread of its own.
// A client that is slow, silent, greedy or talks rubbish costs itself a connection, never the others.
//
// Each round of the thread takes what is ready, answers what can be answered at once, and sends it. Clients take turns
// (base/fair_queue.h): a turn is one frame, and of all groups and holders that have something ready each has one
// before any has a second, whatever their number of connections. A connection that is opened, asks, is answered and
// closed between two rounds is never told to epoll: five system calls a request, and one more where several clients use
// one socket. What has to wait for something is put off by the handler, to threads of its own.
#pragma once

#include <chrono>
#include <memory>

#include "base/file.h"
#include "base/metrics.h"
#include "enclayer/error.h"
#include "net/frame_connections.h"

namespace enclayer::net {

// Whose the connections of a socket are: all of one holder, or each of the process that made it.
enum class Holders { kOne, kProcesses };

class FrameServer {
 public:
  // Serves no socket yet. `handler` and `metrics` outlive it. A reply is one send. When all places are taken and none
  // can be freed, newcomers wait in the kernel's queue.
  static Result<std::unique_ptr<FrameServer>> start(const FrameLimits& limits, FrameHandler& handler,
                                                    base::Metrics& metrics);
  virtual ~FrameServer() = default;  // drops what is open and joins the thread

  // The following from any thread; they return at once.

  // Serves a listening socket (unix_socket.h) from now on. Where the group has one already, that one lost its path:
  // its connections notice nothing, and it is served for kOverlap more, for a client that had found it at the
  // path and connects late, and then until its queue is empty.
  virtual void serve(base::UniqueFd listener, std::uint32_t group, Holders holders) = 0;
  static constexpr std::chrono::milliseconds kOverlap{1000};

  // Closes the group's sockets and connections.
  virtual void end(std::uint32_t group) = 0;

  // Stops without losing a request: no other client can connect, the queue is taken, what has been sent is
  // answered, the rest closed.
  virtual void drain() = 0;

  // Until drain() is through; false when it is not within `timeout`.
  virtual bool wait_drained(std::chrono::milliseconds timeout) = 0;

  // Whether the thread goes round: false where it does not within `timeout`.
  virtual bool answers(std::chrono::milliseconds timeout) = 0;
};

}  // namespace enclayer::net
