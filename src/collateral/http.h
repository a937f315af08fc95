// GET over HTTP, as much of it as fetching collateral needs. libcurl does the talking; this is where it is held in
// bounds: only http and https, certificates always checked, no redirects, no compression, limits for size, time and
// tries.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "collateral/responses.h"
#include "enclayer/error.h"

namespace enclayer::collateral {

struct HttpLimits {
  std::chrono::milliseconds connect{10'000};   // name, TCP and TLS of one try
  std::chrono::milliseconds request{20'000};   // one try
  std::chrono::seconds stalled{10};            // a try that gets less than kLowestSpeed for so long has failed
  std::chrono::milliseconds total{60'000};     // everything that one client does, pauses included
  int tries = 4;                               // of one request
  std::chrono::milliseconds first_pause{500};  // before the second try; doubled each time, and varied by half of it

  static constexpr long kLowestSpeed = 64;  // bytes a second
};

struct HttpOptions {
  HttpLimits limits;
  std::string user_agent = "enclayer";
  std::string ca_pem;  // trust these authorities instead of the system's; empty: the system's
  // A proxy's URL; "": none; not given: libcurl's rules, which are http_proxy, https_proxy, all_proxy and no_proxy in
  // the environment.
  std::optional<std::string> proxy;
  std::function<void(std::chrono::milliseconds)> pause;  // how to wait between tries; not given: sleep
};

// http(s)://HOST[:PORT][/PATH] in its normal form without a slash at its end. kInvalidArgument: another scheme, a user
// or password (they would end up in messages and in the cache), a query or a fragment.
Result<std::string> checked_url(std::string_view url);

class HttpClient {
 public:
  explicit HttpClient(HttpOptions options);
  HttpClient(HttpClient&&) noexcept;
  ~HttpClient();

  // The answer to a GET that ended with status 200. Tried again, after a pause of at least what Retry-After says, when
  // nothing answered, the connection broke, or with status 408, 429, 500, 502, 503 and 504.
  // kNotFound: 404 and 410. kTimedOut: a limit of time passed. kMalformed: more than Response allows, or what is no
  // HTTP. kUnavailable: everything else. The message names URL, status and remedy.
  Result<Response> get(const std::string& url);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace enclayer::collateral
