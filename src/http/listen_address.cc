// SPDX-License-Identifier: Apache-2.0
#include "http/listen_address.h"

#include <boost/asio/ip/address.hpp>
#include <charconv>

namespace enclayer::http {

Result<ListenAddress> parse_listen_address(const std::string& text) {
  auto malformed = [&] {
    return Error(ErrorKind::kInvalidArgument,
                 "\"" + text + "\" is not ADDR:PORT with a numeric address, for example 127.0.0.1:9090 or [::1]:9090");
  };
  std::size_t colon = text.rfind(':');
  if (colon == std::string::npos) return malformed();
  std::string host = text.substr(0, colon), port_text = text.substr(colon + 1);
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  ListenAddress out;
  auto [end, failed] = std::from_chars(port_text.data(), port_text.data() + port_text.size(), out.port);
  boost::system::error_code error;
  auto ip = boost::asio::ip::make_address(host, error);
  if (error || failed != std::errc() || end != port_text.data() + port_text.size()) return malformed();
  out.ip = ip.to_string();
  out.v6 = ip.is_v6();
  out.loopback = ip.is_loopback();
  return out;
}

}  // namespace enclayer::http
