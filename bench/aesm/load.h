// SPDX-License-Identifier: Apache-2.0
// A load generator for a frame server on unix sockets: many clients in one thread, each opening a connection for every
// request, as the clients of AESM do. Few system calls and no parsing of its own, so that the server is what is
// measured.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "enclayer/bytes.h"

namespace enclayer::bench {

// Clients that all do the same, for as long as the load runs.
struct Group {
  enum class Kind {
    kHonest,   // connect, send the frame, read the reply, close, again
    kSilent,   // connect and say nothing; again when the server hangs up
    kOneByte,  // the same, after one byte
  };

  Kind kind = Kind::kHonest;
  int clients = 1;
  std::vector<std::string> sockets;  // the clients are spread over them
  Bytes frame;
  std::size_t reply_size = 0;  // of the whole framed reply; any other size is an error

  // What came of it.
  std::uint64_t replies = 0;
  std::uint64_t errors = 0;      // closed without a reply, or a reply of another size
  std::uint64_t queue_full = 0;  // connects that found no room in the server's backlog, and were tried again
  std::vector<std::uint32_t> latencies_us{};  // from connect to the last byte
};

// The p-quantile (0.5, 0.99, ...) in microseconds; 0 when there is none. Reorders.
std::uint32_t quantile(std::vector<std::uint32_t>& latencies_us, double p);

// Runs the groups; gives the seconds that it took. Latencies and counts begin after `warm_up`.
double run_load(std::vector<Group>& groups, std::chrono::milliseconds duration, std::chrono::milliseconds warm_up);

// One client that asks, waits for the reply, and asks again after a pause: what a pod does that is not greedy.
struct Polite {
  std::vector<std::uint32_t> latencies_us{};  // from connect to the end of the reply, or of the connection
  std::uint64_t refused = 0;                  // a reply of another size
  std::uint64_t closed = 0;                   // or not let in
};
Polite ask_politely(const std::string& socket, ByteView frame, std::size_t reply_size, std::chrono::milliseconds pause,
                    std::chrono::milliseconds duration);

// One request on a connection of its own: the reply with its length in front, empty if there was none.
Bytes ask(const std::string& socket, ByteView frame);

// Opens connections, spread over the sockets, that stay silent until they are destroyed; as many as the server takes
// within a second.
class SilentConnections {
 public:
  SilentConnections(const std::vector<std::string>& sockets, int count);
  SilentConnections(const SilentConnections&) = delete;
  ~SilentConnections();
  int count() const { return static_cast<int>(fds_.size()); }

 private:
  std::vector<int> fds_;
};

}  // namespace enclayer::bench
