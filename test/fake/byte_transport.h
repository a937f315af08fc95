// SPDX-License-Identifier: Apache-2.0
// The sockets of frame connections as byte strings: what clients have said, and what they were sent.
#pragma once

#include <algorithm>
#include <map>

#include "base/bytes.h"
#include "net/frame_connections.h"

namespace enclayer::fake {

class ByteTransport : public net::Transport {
 protected:
  // `room`: bytes that a client takes at first.
  explicit ByteTransport(std::size_t room) : room_(room) {}

  struct End {
    Bytes to_server{}, to_client{};
    bool ended = false, closed = false;
    std::size_t room = 0;  // bytes that the client's end still takes
  };
  End& end_of(const net::Connection& connection) {
    return ends_.try_emplace(connection.fd, End{.room = room_}).first->second;
  }
  const std::map<int, End>& ends() const { return ends_; }

  long receive(net::Connection& from, std::span<std::uint8_t> into) override {
    End& end = end_of(from);
    if (end.to_server.empty()) return end.ended ? 0 : kNotNow;
    std::size_t size = std::min(into.size(), end.to_server.size());
    std::copy_n(end.to_server.begin(), size, into.begin());
    end.to_server.erase(end.to_server.begin(), end.to_server.begin() + static_cast<std::ptrdiff_t>(size));
    return static_cast<long>(size);
  }
  long send(net::Connection& to, ByteView bytes) override {
    End& end = end_of(to);
    if (end.room == 0) return to.hung_up ? kBroken : kNotNow;
    std::size_t size = std::min(bytes.size(), end.room);
    base::append(end.to_client, bytes.first(size));
    end.room -= size;
    return static_cast<long>(size);
  }
  bool close(net::Connection& connection) override {
    end_of(connection).closed = true;
    return !closing_takes_time;
  }

  bool closing_takes_time = false;

 private:
  const std::size_t room_;
  std::map<int, End> ends_;  // by the connection's descriptor, a number that the test makes up
};

}  // namespace enclayer::fake
