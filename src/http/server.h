// SPDX-License-Identifier: Apache-2.0
// The small HTTP server of a daemon: /metrics for Prometheus, /healthz for a prober. GET only, bounded in
// connections, request size (8 KiB) and time (5 s to ask, 5 s to take the answer); it is not a web server.
//
// A prober is answered whatever others do: a client that says nothing, does not read or has a slow page made takes no
// place that a newcomer needs. Where all places are taken, the newcomer gets that of the oldest connection among those
// of the address that has the most of them, so a client crowds out itself first.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "enclayer/error.h"

namespace enclayer::base {
class Metrics;
}

namespace enclayer::http {

struct Reply {
  int status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers = {};  // beside those of every answer
};

struct Page {
  std::string path;             // "/metrics"
  std::function<Reply()> make;  // called in a thread of the server's
  // Made beside the thread that serves, one at a time, and one for all who asked before it was begun. Other pages are
  // made where everybody waits for them.
  bool slow = false;
};

// Whom a server answers.
enum class Audience {
  kAnybody,  // and says which paths there are
  // Who knows a path, which has something in it that cannot be guessed. No answer says which paths there are, how long a
  // comparison takes does not either, and a request whose Host is not address() is refused (421): a web page that had a
  // name of its own resolved to this machine (DNS rebinding) would send that name.
  kWhoKnowsThePath
};

class Server {
 public:
  static constexpr std::size_t kMaxReading = 64;    // connections whose request is not complete
  static constexpr std::size_t kMaxAnswering = 16;  // connections that wait for a page or take it

  // Listens on "ADDR:PORT" ("127.0.0.1:0" takes a free port, "[::1]:9090" works). kInvalidArgument for another form,
  // kConflict when the port is taken.
  static Result<std::unique_ptr<Server>> listen(const std::string& address, std::vector<Page> pages,
                                                Audience audience = Audience::kAnybody);
  virtual ~Server() = default;  // stops listening and joins the threads; a page that is being made is waited for

  // "127.0.0.1:41234": the address with the real port.
  virtual std::string address() const = 0;
};

// What both daemons serve: /metrics (Prometheus text format), /healthz (200 "ok", or 503 with what hangs) and /readyz
// (200 "ok" with a remark, if there is one, or 503 with what is not ready). `metrics` outlives the server.
struct Probes {
  std::function<void()> before_metrics{};    // called before each page, if given: brings the figures up to date
  std::function<std::string()> not_ready{};  // empty when ready; never given: always ready
  std::function<std::string()> remark{};     // what to say of a ready one, if given and not empty
  std::function<std::string()> not_alive{};  // empty when alive; never given: always alive
};
Result<std::unique_ptr<Server>> serve_metrics(const std::string& address, const base::Metrics& metrics,
                                              Probes probes = {});

// GET `path` of a daemon on this machine at "ADDR:PORT", as a prober that runs beside it does. It has 2 s for each step.
// Gives what is said. kUnavailable: nobody answers, or not with 200; the message has what was said. kMalformed: the
// answer ends before its Content-Length, or has more than kMostProbed bytes.
inline constexpr std::size_t kMostProbed = 4 << 20;
Result<std::string> probe(const std::string& address, const std::string& path);

}  // namespace enclayer::http
