#include "net/http_endpoint.h"

#include <utility>  // before Boost.Asio 1.74 on g++ 12, which forgets it

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <charconv>
#include <chrono>
#include <thread>

#include "base/log.h"
#include "base/metrics.h"

namespace enclayer::net {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using tcp = asio::ip::tcp;
namespace log = base::log;

constexpr int kMaxConnections = 16;
constexpr std::size_t kMaxRequest = 8192;
constexpr std::chrono::seconds kDeadline{5};

Result<tcp::endpoint> parse_address(const std::string& address) {
  auto malformed = [&] {
    return Error(
        ErrorKind::kInvalidArgument,
        "\"" + address + "\" is not ADDR:PORT with a numeric address, for example 127.0.0.1:9090 or [::1]:9090");
  };
  std::size_t colon = address.rfind(':');
  if (colon == std::string::npos) return malformed();
  std::string host = address.substr(0, colon), port_text = address.substr(colon + 1);
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  unsigned short port = 0;
  auto [end, failed] = std::from_chars(port_text.data(), port_text.data() + port_text.size(), port);
  boost::system::error_code error;
  auto ip = asio::ip::make_address(host, error);
  if (error || failed != std::errc() || end != port_text.data() + port_text.size()) return malformed();
  return tcp::endpoint(ip, port);
}

class Endpoint final : public HttpEndpoint {
 public:
  explicit Endpoint(Handler handler) : handler_(std::move(handler)) {}

  ~Endpoint() override {
    io_.stop();
    if (thread_.joinable()) thread_.join();
  }

  Result<> start(const std::string& address) {
    ENCLAYER_TRY(tcp::endpoint where, parse_address(address));
    boost::system::error_code error;
    acceptor_.open(where.protocol(), error);
    if (!error) acceptor_.set_option(tcp::acceptor::reuse_address(true), error);
    if (!error) acceptor_.bind(where, error);
    if (!error) acceptor_.listen(kMaxConnections, error);
    if (error)
      return Error(error == asio::error::address_in_use ? ErrorKind::kConflict : ErrorKind::kIo,
                   "cannot listen on " + address + ": " + error.message());
    asio::co_spawn(io_, accept(), asio::detached);
    thread_ = std::thread([this] { io_.run(); });
    return {};
  }

  std::string address() const override {
    auto local = acceptor_.local_endpoint();
    std::string ip = local.address().to_string();
    return (local.address().is_v6() ? "[" + ip + "]" : ip) + ":" + std::to_string(local.port());
  }

 private:
  asio::awaitable<void> accept() {
    while (true) {
      auto [error, socket] = co_await accept_one();
      if (error) {  // out of descriptors, most likely: let connections end before the next try
        asio::steady_timer pause(io_, std::chrono::milliseconds(100));
        boost::system::error_code ignored;
        co_await pause.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
        continue;
      }
      if (connections_ >= kMaxConnections) continue;  // closes it
      ++connections_;
      asio::co_spawn(io_, serve(beast::tcp_stream(std::move(socket))), asio::detached);
    }
  }

  asio::awaitable<std::pair<boost::system::error_code, tcp::socket>> accept_one() {
    boost::system::error_code error;
    tcp::socket socket = co_await acceptor_.async_accept(asio::redirect_error(asio::use_awaitable, error));
    co_return std::pair(error, std::move(socket));
  }

  asio::awaitable<void> serve(beast::tcp_stream stream) {
    stream.expires_after(kDeadline);
    beast::flat_buffer buffer(kMaxRequest);
    http::request_parser<http::empty_body> parser;
    parser.header_limit(kMaxRequest);
    boost::system::error_code error;
    co_await http::async_read_header(stream, buffer, parser, asio::redirect_error(asio::use_awaitable, error));
    if (!error) {
      http::response<http::string_body> response = answer(parser.get());
      co_await http::async_write(stream, response, asio::redirect_error(asio::use_awaitable, error));
      stream.socket().shutdown(tcp::socket::shutdown_send, error);
    } else if (error != http::error::end_of_stream) {
      log::debug("http request refused", {{"reason", error.message()}});
    }
    --connections_;
  }

  http::response<http::string_body> answer(const http::request<http::empty_body>& request) {
    HttpReply reply;
    if (request.method() != http::verb::get) {
      reply = {405, "text/plain; charset=utf-8", "only GET is served here\n"};
    } else {
      std::string target(request.target());
      reply = handler_(target.substr(0, target.find('?')));
    }
    http::response<http::string_body> response;
    response.result(static_cast<unsigned>(reply.status));
    response.set(http::field::content_type, reply.content_type);
    response.set(http::field::connection, "close");
    response.body() = std::move(reply.body);
    response.prepare_payload();
    return response;
  }

  Handler handler_;
  asio::io_context io_{1};
  tcp::acceptor acceptor_{io_};
  int connections_ = 0;  // only touched in the thread
  std::thread thread_;
};

}  // namespace

Result<std::unique_ptr<HttpEndpoint>> HttpEndpoint::listen(const std::string& address, Handler handler) {
  auto endpoint = std::make_unique<Endpoint>(std::move(handler));
  ENCLAYER_CHECK(endpoint->start(address));
  return std::unique_ptr<HttpEndpoint>(std::move(endpoint));
}

Result<std::unique_ptr<HttpEndpoint>> serve_metrics(const std::string& address, const base::Metrics& metrics,
                                                    Probes probes) {
  constexpr auto kText = "text/plain; charset=utf-8";
  return HttpEndpoint::listen(address, [&metrics, probes = std::move(probes)](const std::string& path) -> HttpReply {
    if (path == "/metrics") {
      if (probes.before_metrics) probes.before_metrics();
      return {200, "text/plain; version=0.0.4; charset=utf-8", metrics.text()};
    }
    if (path == "/healthz") {
      std::string why = probes.not_alive ? probes.not_alive() : "";
      return why.empty() ? HttpReply{200, kText, "ok\n"} : HttpReply{503, kText, "not alive\n" + why};
    }
    if (path == "/readyz") {
      std::string why = probes.not_ready ? probes.not_ready() : "";
      if (!why.empty()) return {503, kText, "not ready\n" + why};
      std::string remark = probes.remark ? probes.remark() : "";
      return {200, kText, remark.empty() ? "ok\n" : "ok, " + remark + "\n"};
    }
    return {404, kText, "served here: /metrics, /healthz, /readyz\n"};
  });
}

}  // namespace enclayer::net
