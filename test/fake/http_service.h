// SPDX-License-Identifier: Apache-2.0
// A web service on a free port of 127.0.0.1 that says what it is told to, in good order or not.
//
//   fake::HttpService service([](const std::string& target) { return fake::http_answer(404, "nothing here"); });
//   client.get(service.url() + "/tcb");
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/file.h"
#include "base/wakeup.h"

namespace enclayer::fake {

struct HttpAnswer {
  std::string bytes;  // all that is sent, status line first
  enum class Then {
    kClose,
    kReset,  // the connection breaks
    kHang,   // nothing more comes, until the client goes
    kKeep,   // the next request may come on the same connection
    kDrip,   // 20 more bytes a second, until the client goes
    kTunnel  // bytes go to and fro between the client and the address that is the request's target
  } then = Then::kClose;
};

// `headers` are lines, each ended by "\r\n".
HttpAnswer http_answer(int status, const std::string& body, const std::string& headers = "");

struct HttpRequest {
  std::string method, target;
  std::string head;  // request line and header lines, as they came
  std::string body;  // as long as Content-Length says

  operator const std::string&() const { return target; }  // for handlers to whom that is all
};

// An authority of a test's own, and a certificate of it for 127.0.0.1 (or another name, as "DNS:localhost").
struct TlsIdentity {
  std::string authority, certificate, key;  // PEM
};
TlsIdentity make_tls_identity(const std::string& name = "IP:127.0.0.1");

class HttpService {
 public:
  // Called in the service's thread, one request at a time.
  using Handler = std::function<HttpAnswer(const HttpRequest& request)>;

  // `unix_socket`: the path of a socket to listen on instead of a port.
  explicit HttpService(Handler handler, std::optional<TlsIdentity> tls = std::nullopt,
                       const std::string& unix_socket = "");
  HttpService(const HttpService&) = delete;
  ~HttpService();

  std::string url() const { return std::string(tls_ ? "https" : "http") + "://" + address(); }
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }

  // The targets that were asked for, in their order.
  std::vector<std::string> requests() const;
  std::size_t connections() const;

 private:
  class Stream;

  void run();
  void serve(int fd);
  bool serve_one(Stream& stream, int fd);             // true: another request may come
  bool until_readable(int fd, int timeout_ms) const;  // false at the timeout; true at our end too
  void relay(int client, const std::string& to) const;

  Handler handler_;
  std::optional<TlsIdentity> tls_;
  base::UniqueFd listener_;
  base::Wakeup stop_;
  std::uint16_t port_ = 0;
  std::size_t connections_ = 0;
  mutable std::mutex mutex_;
  std::vector<std::string> requests_;
  std::thread thread_;
};

}  // namespace enclayer::fake
