// The small HTTP endpoint of a daemon: /metrics for Prometheus, /healthz for a prober. GET only, one thread of its own,
// bounded in connections, request size (8 KiB) and time (5 s); it is not a web server.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "enclayer/error.h"

namespace enclayer::base {
class Metrics;
}

namespace enclayer::net {

struct HttpReply {
  int status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;
};

class HttpEndpoint {
 public:
  // Called in the endpoint's thread with the path ("/metrics"); status 404 for what the handler does not know.
  using Handler = std::function<HttpReply(const std::string& path)>;

  // Listens on "ADDR:PORT" ("127.0.0.1:0" takes a free port, "[::1]:9090" works). kInvalidArgument for another form,
  // kConflict when the port is taken.
  static Result<std::unique_ptr<HttpEndpoint>> listen(const std::string& address, Handler handler);
  virtual ~HttpEndpoint() = default;  // stops listening and joins the thread

  // "127.0.0.1:41234": the address with the real port.
  virtual std::string address() const = 0;
};

// What both daemons serve: /metrics (Prometheus text format), /healthz (200 "ok", or 503 with what hangs) and /readyz
// (200 "ok" with a remark, if there is one, or 503 with what is not ready). `metrics` outlives the endpoint.
struct Probes {
  std::function<void()> before_metrics{};    // called before each page, if given: brings the figures up to date
  std::function<std::string()> not_ready{};  // empty when ready; never given: always ready
  std::function<std::string()> remark{};     // what to say of a ready one, if given and not empty
  std::function<std::string()> not_alive{};  // empty when alive; never given: always alive
};
Result<std::unique_ptr<HttpEndpoint>> serve_metrics(const std::string& address, const base::Metrics& metrics,
                                                    Probes probes = {});

}  // namespace enclayer::net
