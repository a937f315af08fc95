// SPDX-License-Identifier: Apache-2.0
// URLs of HTTP services, and the proxies that lead to them.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "enclayer/error.h"

namespace enclayer::http {

struct Url {
  std::string scheme;  // "http" or "https"
  std::string host;    // a name or an address, without brackets
  std::string port;    // 1 to 65535; empty where the URL has none
  std::string target;  // "/path?query", at least "/"

  std::string host_in_brackets() const;  // as it stands in a URL: an IPv6 address has them
  std::string host_header() const;       // HOST[:PORT]
  std::string port_to_use() const { return !port.empty() ? port : scheme == "https" ? "443" : "80"; }
};

// kInvalidArgument: no URL, another scheme, a user or password (they would end up in messages and in the cache).
Result<Url> parse_url(std::string_view text);

// http(s)://HOST[:PORT][/PATH] in its normal form without a slash at its end. kInvalidArgument: what parse_url()
// refuses, a query or a fragment.
Result<std::string> checked_url(std::string_view url);

// What leads to services: [http://][USER:PASSWORD@]HOST[:PORT], port 1080 where none is said; empty: nothing does.
struct Proxies {
  std::string http, https;
  // Hosts that are asked directly, separated by commas or blanks: "example.com" and all below it, "10.1.2.3",
  // "10.0.0.0/8",
  // "*" for all.
  std::string none;
};

// As programs that use libcurl read them: http_proxy, https_proxy or HTTPS_PROXY, else all_proxy or ALL_PROXY; no_proxy
// or NO_PROXY. HTTP_PROXY does not count: in a CGI program a client sets it. `variable` gives "" for what is not set.
Proxies proxies_of_environment(const std::function<std::string(const char*)>& variable);

struct Proxy {
  std::string host, port;
  std::string authorization;  // "Basic ...", or empty
};

// kInvalidArgument: it is no proxy of HTTP (SOCKS, or one that is itself asked over TLS).
Result<std::optional<Proxy>> proxy_for(const Url& url, const Proxies& proxies);

}  // namespace enclayer::http
