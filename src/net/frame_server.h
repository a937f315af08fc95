// Serves frames on a unix stream socket: 4 bytes of length (little endian, itself not counted), then that many bytes;
// the reply has the same form. One client that is slow, silent, greedy or talks rubbish costs a connection, never the
// others.
//
//   read: header and body within 5 s; the length is checked before anything is allocated
//   several requests on one connection, 2 s of silence between them; half-close is fine
//   write: length and body in one send (some clients crash on a reply in pieces), within 5 s
//   1,024 connections; more wait in the kernel's queue
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>

#include "base/file.h"
#include "base/metrics.h"
#include "enclayer/bytes.h"
#include "enclayer/error.h"
#include "net/unix_socket.h"

namespace enclayer::net {

class FrameServer {
 public:
  struct Limits {
    std::uint32_t max_frame = 64 << 10;  // bytes
    int max_connections = 1024;
    std::chrono::milliseconds read{5000}, idle{2000}, write{5000};
  };

  // The reply to a frame; nullopt: none exists, the connection is closed. Called from several threads at once.
  using Handler = std::function<std::optional<Bytes>(ByteView frame, const Peer& peer)>;

  // Serves a listening socket (socket_claim.h) from `threads` threads of its own. Counts in `metrics`, which outlives
  // it: enclayer_connections_open, enclayer_connections_total, enclayer_frames_rejected_total{reason}.
  static Result<std::unique_ptr<FrameServer>> start(base::UniqueFd listener, int threads, Limits limits,
                                                    Handler handler, base::Metrics& metrics);
  virtual ~FrameServer() = default;  // drops what is open and joins the threads

  // Stops without losing a request: takes what is already in the kernel's queue, answers what has been sent, closes the
  // rest. Returns at once.
  virtual void drain() = 0;

  // Until drain() is through; false when it is not within `timeout`.
  virtual bool wait_drained(std::chrono::milliseconds timeout) = 0;
};

}  // namespace enclayer::net
