// SPDX-License-Identifier: Apache-2.0
#include "http/url.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>

#include "base/base64.h"
#include "base/bytes.h"
#include "base/hex.h"
#include "base/printable.h"
#include "enclayer/bytes.h"

namespace enclayer::http {
namespace {

constexpr std::string_view kForm = "a service's URL is http(s)://HOST[:PORT][/PATH]";

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c; });
  return out;
}

template <class Number>
std::optional<Number> number(std::string_view digits) {
  Number out{};
  auto [end, failed] = std::from_chars(digits.data(), digits.data() + digits.size(), out);
  if (failed != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return out;
}

// 4 or 16 bytes; empty for what is no address.
Bytes address(const std::string& text) {
  for (auto [family, size] : {std::pair(AF_INET, 4), std::pair(AF_INET6, 16)}) {
    Bytes out(static_cast<std::size_t>(size));
    if (::inet_pton(family, text.c_str(), out.data()) == 1) return out;
  }
  return {};
}

bool is_host_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_';
}

// "name", "10.1.2.3:80", "[::1]:80"
bool take_authority(std::string_view text, Url& into) {
  if (text.starts_with('[')) {
    std::size_t end = text.find(']');
    if (end == std::string_view::npos) return false;
    into.host = text.substr(1, end - 1);
    text.remove_prefix(end + 1);
    if (address(into.host).size() != 16) return false;
  } else {
    std::size_t end = std::min(text.find(':'), text.size());
    into.host = text.substr(0, end);
    text.remove_prefix(end);
    if (into.host.empty() || !std::all_of(into.host.begin(), into.host.end(), is_host_character)) return false;
  }
  if (text.empty()) return true;
  auto port = number<std::uint16_t>(text.substr(1));
  if (text.front() != ':' || port.value_or(0) == 0) return false;
  into.port = std::to_string(*port);
  return true;
}

// An entry of no_proxy.
bool names(std::string_view entry, const std::string& host) {
  if (entry == "*") return true;
  if (const Bytes of_host = address(host); !of_host.empty()) {
    std::size_t slash = std::min(entry.find('/'), entry.size());
    const Bytes network = address(std::string(entry.substr(0, slash)));
    if (network.size() != of_host.size()) return false;
    std::size_t bits = 8 * network.size();
    if (slash < entry.size()) {
      auto given = number<std::size_t>(entry.substr(slash + 1));
      if (!given || *given > bits) return false;
      bits = *given;
    }
    for (std::size_t bit = 0; bit < bits; ++bit)
      if ((network[bit / 8] ^ of_host[bit / 8]) >> (7 - bit % 8) & 1) return false;
    return true;
  }
  auto without_dot_at_end = [](std::string name) {
    if (name.ends_with('.')) name.pop_back();
    return name;
  };
  const std::string name = without_dot_at_end(lower(host));
  std::string domain = without_dot_at_end(lower(entry));
  if (domain.starts_with('.')) domain.erase(0, 1);
  return !domain.empty() && (name == domain || name.ends_with("." + domain));
}

bool is_asked_directly(const std::string& host, std::string_view none) {
  while (!none.empty()) {
    std::size_t end = std::min(none.find_first_of(", \t"), none.size());
    if (names(none.substr(0, end), host)) return true;
    none.remove_prefix(std::min(end + 1, none.size()));
  }
  return false;
}

std::string percent_decoded(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size()) {
      if (auto byte = base::from_hex(text.substr(i + 1, 2)); byte && byte->size() == 1) {
        out += static_cast<char>(byte->front());
        i += 2;
        continue;
      }
    }
    out += text[i];
  }
  return out;
}

}  // namespace

std::string Url::host_in_brackets() const { return host.find(':') != std::string::npos ? "[" + host + "]" : host; }
std::string Url::host_header() const { return host_in_brackets() + (port.empty() ? "" : ":" + port); }

Result<Url> parse_url(std::string_view given) {
  // Before anything could show it.
  if (given.find('@') != std::string_view::npos)
    return Error(ErrorKind::kInvalidArgument,
                 "a service's URL cannot have a user or password in it: it is shown in messages and kept in the cache");
  auto refused = [&](const std::string& why) {
    return Error(ErrorKind::kInvalidArgument,
                 "\"" + base::printable(given, 200) + "\": " + why + "; " + std::string(kForm));
  };
  if (!std::all_of(given.begin(), given.end(), [](char c) { return c > ' ' && c <= '~'; }))
    return refused("it has a character that no URL has");
  std::size_t colon = given.find("://");
  if (colon == std::string_view::npos) return refused("it has no scheme");
  Url out;
  out.scheme = lower(given.substr(0, colon));
  if (out.scheme != "http" && out.scheme != "https") return refused("its scheme is " + out.scheme);
  std::string_view rest = given.substr(colon + 3);
  std::size_t end = std::min(rest.find_first_of("/?#"), rest.size());
  if (!take_authority(rest.substr(0, end), out)) return refused("it has no host, or its port is none");
  out.target = rest.substr(end, rest.find('#', end) - end);
  if (!out.target.starts_with('/')) out.target.insert(0, "/");
  return out;
}

Result<std::string> checked_url(std::string_view given) {
  ENCLAYER_TRY(Url url, parse_url(given));
  if (given.find_first_of("?#") != std::string_view::npos)
    return Error(ErrorKind::kInvalidArgument,
                 "\"" + base::printable(given, 200) + "\": it has a query or a fragment; " + std::string(kForm));
  while (url.target.ends_with('/')) url.target.pop_back();
  return url.scheme + "://" + url.host_header() + url.target;
}

Proxies proxies_of_environment(const std::function<std::string(const char*)>& variable) {
  auto first = [&](std::initializer_list<const char*> names) {
    for (const char* name : names)
      if (std::string value = variable(name); !value.empty()) return value;
    return std::string();
  };
  return {first({"http_proxy", "all_proxy", "ALL_PROXY"}),
          first({"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"}), first({"no_proxy", "NO_PROXY"})};
}

Result<std::optional<Proxy>> proxy_for(const Url& url, const Proxies& proxies) {
  std::string_view text = url.scheme == "https" ? proxies.https : proxies.http;
  if (text.empty() || is_asked_directly(url.host, proxies.none)) return std::nullopt;
  // Neither name nor password of it is ever shown.
  auto refused = [](const std::string& why) {
    return Error(ErrorKind::kInvalidArgument, "the proxy for " + why + "; it is [http://][USER:PASSWORD@]HOST[:PORT]");
  };
  if (std::size_t colon = text.find("://"); colon != std::string_view::npos) {
    if (std::string scheme = lower(text.substr(0, colon)); scheme != "http")
      return refused(url.scheme + " has the scheme " + base::printable(scheme, 20) + ", which is not supported");
    text.remove_prefix(colon + 3);
  }
  Proxy out;
  if (std::size_t at = text.rfind('@'); at != std::string_view::npos) {
    out.authorization = "Basic " + base::to_base64(base::as_bytes(percent_decoded(text.substr(0, at))));
    text.remove_prefix(at + 1);
  }
  auto parsed = parse_url("http://" + std::string(text));
  if (!parsed) return refused(url.scheme + " is no URL");
  out.host = parsed->host;
  out.port = parsed->port.empty() ? "1080" : parsed->port;
  return out;
}

}  // namespace enclayer::http
