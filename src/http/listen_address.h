// SPDX-License-Identifier: Apache-2.0
// "ADDR:PORT", as flags say where to listen.
#pragma once

#include <cstdint>
#include <string>

#include "enclayer/error.h"

namespace enclayer::http {

struct ListenAddress {
  std::string ip;  // without brackets
  std::uint16_t port = 0;
  bool v6 = false, loopback = false;

  std::string text() const { return (v6 ? "[" + ip + "]" : ip) + ":" + std::to_string(port); }
};

// A numeric address, IPv6 in brackets, and a port, of which 0 is any free one; else kInvalidArgument.
Result<ListenAddress> parse_listen_address(const std::string& text);

}  // namespace enclayer::http
