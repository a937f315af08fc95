// SPDX-License-Identifier: Apache-2.0
// What a prober or Prometheus gets: the whole answer, headers and all; a sentence when there is none.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <string>

#include "base/file.h"

namespace enclayer::fake {

// `address` is "127.0.0.1:41234".
inline std::string http_get(const std::string& address, const std::string& path) {
  sockaddr_in to{};
  to.sin_family = AF_INET;
  std::size_t colon = address.find(':');
  ::inet_pton(AF_INET, address.substr(0, colon).c_str(), &to.sin_addr);
  to.sin_port = htons(static_cast<std::uint16_t>(std::stoi(address.substr(colon + 1))));
  base::UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&to), sizeof to) != 0) return "cannot connect to " + address;
  std::string request = "GET " + path + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", reply;
  if (::send(fd.get(), request.data(), request.size(), MSG_NOSIGNAL) < 0) return "cannot send";
  char chunk[4096];
  for (ssize_t n; (n = ::recv(fd.get(), chunk, sizeof chunk, 0)) > 0;) reply.append(chunk, static_cast<std::size_t>(n));
  return reply;
}

// The address in a daemon's line "metrics served", in either format of the log; empty when there is none.
inline std::string metrics_address(const std::string& log) {
  std::size_t at = log.find("metrics served");
  if (at == std::string::npos) return {};
  at = log.find_first_of("0123456789[", log.find("address", at));
  return log.substr(at, log.find_first_not_of("0123456789.:[]", at) - at);
}

}  // namespace enclayer::fake
