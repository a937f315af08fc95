// SPDX-License-Identifier: Apache-2.0
// Requests over HTTP/1.1, as much of it as fetching collateral and labelling a node need: only http and https,
// certificates always checked, with the name, no redirects, no compression, limits for size, time and tries.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "enclayer/bytes.h"
#include "enclayer/error.h"
#include "http/url.h"

namespace enclayer::http {

struct Limits {
  std::chrono::milliseconds connect{10'000};   // name, TCP and TLS of one try
  std::chrono::milliseconds request{20'000};   // one try
  std::chrono::seconds stalled{10};            // a try that gets less than kLowestSpeed for so long has failed
  std::chrono::milliseconds total{60'000};     // everything that one client does, pauses included
  int tries = 4;                               // of one request
  std::chrono::milliseconds first_pause{500};  // before the second try; doubled each time, and varied by half of it
  std::size_t max_body = 256 << 10;            // bytes of an answer
  std::size_t max_headers = 64 << 10;          // bytes of its header lines, all together

  static constexpr long kLowestSpeed = 64;  // bytes a second
};

// What people can do, at the end of a message. It depends on who is asked, so the caller knows.
struct Advice {
  std::function<std::string(long status)> status;  // not given: nothing is advised
  std::function<std::string(std::string_view body)>
      words;              // of an answer that is none; not given: the body is in words
  std::string connect;    // nobody answers at the URL
  std::string authority;  // its certificate is of no authority that is trusted
  std::string ca_pem;     // what ca_pem holds is no certificate
  std::string not_http;   // what answers there is no HTTP service
};

struct Options {
  Limits limits;
  Advice advice;
  std::string user_agent = "enclayer";
  std::string ca_pem;  // the authorities that are trusted, one PEM block each; empty: none
  // Who we are, proved to services that ask for it: our certificate and what leads up to its root, and its private key
  // without a passphrase, in PEM; empty, both: nobody.
  std::string certificate_pem, key_pem;
  Proxies proxies;  // not given: services are asked directly
  // The path of a unix socket: every request goes there, whatever host its URL names. Empty: to that host.
  std::string unix_socket;
  int stop = -1;            // a descriptor: once it is readable, all that is waited for fails
  bool any_status = false;  // an answer is a Response whatever its status, after the tries that some statuses get
  std::function<void(std::chrono::milliseconds)> pause;  // how to wait between tries; not given: until `stop`
};

struct Request {
  std::string url;
  std::string method = "GET";
  std::vector<std::string> headers;  // "Name: value", without a line's end; they are shown in no message
  std::string body;
  // The answer ends with the first bytes of its body: of a watch, whose body comes when something happens.
  bool first_bytes_suffice = false;
};

struct Response {
  std::string headers;  // "Name: value" lines, each ended by a line feed; a status line may stand before them
  Bytes body;
  unsigned status = 200;

  bool operator==(const Response&) const = default;
};

class Client {
 public:
  explicit Client(Options options);
  Client(Client&&) noexcept;
  ~Client();

  // The answer to a request that ended with status 200 (or any: Options::any_status). Tried again, after a pause of at
  // least what Retry-After says, when nothing answered, the connection broke, or with status 408, 429, 500, 502, 503 and
  // 504: a request has to be one that may arrive twice.
  // The connection is kept for the next request to the same service, where the service allows it.
  // kNotFound: 404 and 410. kConflict: 409. kTimedOut: a limit of time passed. kMalformed: more than the limits allow,
  // or what is no HTTP. kUnavailable: everything else. The message names URL, status and advice; the code is the
  // status, 0 where there was none.
  Result<Response> send(const Request& request);
  Result<Response> get(const std::string& url) { return send({url, "GET", {}, {}}); }

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace enclayer::http
