// Serves frames on a unix stream socket: frame_desk.h with its sockets and its clock, in one thread of its own. One
// client that is slow, silent, greedy or talks rubbish costs a connection, never the others.
//
// Each round of the thread takes what is ready, answers what can be answered at once, and sends it. A connection that
// is opened, asks, is answered and closed between two rounds is never told to epoll: five or six system calls a
// request. What has to wait for something is put off by the handler, to threads of its own.
#pragma once

#include <chrono>
#include <memory>

#include "base/file.h"
#include "base/metrics.h"
#include "enclayer/error.h"
#include "net/frame_desk.h"

namespace enclayer::net {

class FrameServer {
 public:
  // Serves a listening socket (socket_claim.h), or none yet. `handler` and `metrics` outlive it. A reply is one send.
  // When all places are taken and nobody can give way, newcomers wait in the kernel's queue.
  static Result<std::unique_ptr<FrameServer>> start(base::UniqueFd listener, const FrameLimits& limits,
                                                    FrameHandler& handler, base::Metrics& metrics);
  virtual ~FrameServer() = default;  // drops what is open and joins the thread

  // Serves another listening socket from now on, because the one before lost its path. Whoever is connected notices
  // nothing. The earlier socket is served for kOverlap more, for a client that had found it at the path and connects
  // late, and then until its queue is empty. From any thread; returns at once.
  virtual void serve_also(base::UniqueFd listener) = 0;
  static constexpr std::chrono::milliseconds kOverlap{1000};

  // Stops without losing a request: lets nobody else connect, takes who is already in the kernel's queues, answers what
  // has been sent, closes the rest. Returns at once.
  virtual void drain() = 0;

  // Until drain() is through; false when it is not within `timeout`.
  virtual bool wait_drained(std::chrono::milliseconds timeout) = 0;
};

}  // namespace enclayer::net
