// SPDX-License-Identifier: Apache-2.0
#include "http/server.h"

#include <sys/socket.h>
#include <sys/time.h>

#include <utility>  // before Boost.Asio 1.74 on g++ 12, which forgets it

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <chrono>
#include <thread>

#include "base/file.h"
#include "base/log.h"
#include "base/malformed.h"
#include "base/metrics.h"
#include "http/listen_address.h"

namespace enclayer::http {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;

using tcp = asio::ip::tcp;
namespace log = base::log;

constexpr auto kText = "text/plain; charset=utf-8";
constexpr std::size_t kMaxRequest = 8192;
constexpr std::chrono::seconds kDeadline{5};  // to ask, and again to take the answer

Result<tcp::endpoint> parse_address(const std::string& address) {
  ENCLAYER_TRY(const ListenAddress where, parse_listen_address(address));
  return tcp::endpoint(asio::ip::make_address(where.ip), where.port);
}

// In a time that says nothing about where two texts of the same length differ.
bool same(const std::string& a, const std::string& b) {
  unsigned differ = a.size() == b.size() ? 0 : 1;
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i)
    differ |= static_cast<unsigned char>(a[i]) ^ static_cast<unsigned char>(b[i]);
  return differ == 0;
}

struct Connection {
  beast::tcp_stream stream;
  asio::ip::address peer;
  asio::steady_timer wake;  // never expires: cancelled when there is news
  bool evicted = false;

  explicit Connection(tcp::socket socket)
      : stream(std::move(socket)), wake(stream.get_executor(), asio::steady_timer::time_point::max()) {
    boost::system::error_code gone;
    peer = stream.socket().remote_endpoint(gone).address();
  }
};

// The connections in one part of their life, oldest first.
class Stage {
 public:
  explicit Stage(std::size_t limit) : limit_(limit) {}

  // Evicts one where that is one too many: the oldest of the peer that has the most.
  void enter(Connection& connection) {
    all_.push_back(&connection);
    if (all_.size() <= limit_) return;
    auto of_peer = [this](const Connection* one) {
      return std::count_if(all_.begin(), all_.end(), [&](const Connection* other) { return other->peer == one->peer; });
    };
    auto oldest = std::max_element(all_.begin(), all_.end(),
                                   [&](const auto* a, const auto* b) { return of_peer(a) < of_peer(b); });
    (*oldest)->evicted = true;
    (*oldest)->stream.close();
    (*oldest)->wake.cancel();
    all_.erase(oldest);
  }
  void leave(Connection& connection) { std::erase(all_, &connection); }
  void wake() {
    for (Connection* connection : all_) connection->wake.cancel();
  }

 private:
  std::size_t limit_;
  std::vector<Connection*> all_;
};

struct Stay {
  Stage& stage;
  Connection& connection;
  Stay(Stage& in, Connection& of) : stage(in), connection(of) { stage.enter(connection); }
  Stay(const Stay&) = delete;
  ~Stay() { stage.leave(connection); }
};

// A slow page: at most one edition is being made, and at most one waits to be.
struct Edition {
  Reply reply;
  bool made = false;
};
struct Served {
  Page page;
  std::shared_ptr<Edition> next{};  // asked for, not begun
  bool making = false;
};

class Listener final : public Server {
 public:
  Listener(std::vector<Page> pages, Audience audience) : audience_(audience) {
    for (Page& page : pages) pages_.push_back({std::move(page)});
  }

  ~Listener() override {
    io_.stop();
    if (thread_.joinable()) thread_.join();
    maker_.join();
  }

  Result<> start(const std::string& address) {
    ENCLAYER_TRY(tcp::endpoint where, parse_address(address));
    boost::system::error_code error;
    acceptor_.open(where.protocol(), error);
    if (!error) acceptor_.set_option(tcp::acceptor::reuse_address(true), error);
    if (!error) acceptor_.bind(where, error);
    if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
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
      asio::co_spawn(io_, serve(std::move(socket)), asio::detached);
    }
  }

  asio::awaitable<std::pair<boost::system::error_code, tcp::socket>> accept_one() {
    boost::system::error_code error;
    tcp::socket socket = co_await acceptor_.async_accept(asio::redirect_error(asio::use_awaitable, error));
    co_return std::pair(error, std::move(socket));
  }

  asio::awaitable<void> serve(tcp::socket socket) {
    Connection connection(std::move(socket));
    beast::http::request_parser<beast::http::empty_body> parser;
    if (!co_await read(connection, parser)) co_return;
    Stay answering(answering_, connection);
    const auto reply = co_await reply_to(connection, parser.get());
    if (connection.evicted) co_return;
    beast::http::response<beast::http::span_body<const char>> response;
    response.result(static_cast<unsigned>(reply->status));
    response.set(beast::http::field::content_type, reply->content_type);
    response.set(beast::http::field::connection, "close");
    for (const auto& [name, value] : reply->headers) response.set(name, value);
    response.body() = {reply->body.data(), reply->body.size()};
    response.prepare_payload();
    boost::system::error_code ignored;
    connection.stream.expires_after(kDeadline);
    co_await beast::http::async_write(connection.stream, response, asio::redirect_error(asio::use_awaitable, ignored));
    connection.stream.socket().shutdown(tcp::socket::shutdown_send, ignored);
  }

  asio::awaitable<bool> read(Connection& connection, beast::http::request_parser<beast::http::empty_body>& parser) {
    Stay reading(reading_, connection);
    beast::flat_buffer buffer(kMaxRequest);
    parser.header_limit(kMaxRequest);
    boost::system::error_code error;
    connection.stream.expires_after(kDeadline);
    co_await beast::http::async_read_header(connection.stream, buffer, parser,
                                            asio::redirect_error(asio::use_awaitable, error));
    if (error && error != beast::http::error::end_of_stream)
      log::debug("http request refused", {{"reason", error.message()}});
    co_return !error && !connection.evicted;
  }

  asio::awaitable<std::shared_ptr<const Reply>> reply_to(Connection& connection,
                                                         const beast::http::request<beast::http::empty_body>& request) {
    auto at_once = [](Reply reply) { return std::make_shared<const Reply>(std::move(reply)); };
    const bool is_secret = audience_ == Audience::kWhoKnowsThePath;
    const std::string host(request[beast::http::field::host]);  // browsers leave out port 80
    if (is_secret && host != address() && host + ":80" != address())
      co_return at_once({421, kText, "served here: " + address() + ", and no other name or port\n"});
    const std::string target(request.target());
    const std::string path = target.substr(0, target.find('?'));
    auto found =
        std::find_if(pages_.begin(), pages_.end(), [&](const Served& served) { return same(served.page.path, path); });
    if (is_secret && found == pages_.end()) co_return at_once({404, kText, "not served here\n"});
    if (request.method() != beast::http::verb::get) co_return at_once({405, kText, "only GET is served here\n"});
    if (found == pages_.end()) co_return at_once({404, kText, "served here: " + paths() + "\n"});
    if (!found->page.slow) co_return at_once(found->page.make());
    if (!found->next) found->next = std::make_shared<Edition>();
    const std::shared_ptr<const Edition> edition = found->next;
    if (!found->making) make(*found);
    while (!edition->made && !connection.evicted) {
      boost::system::error_code ignored;
      co_await connection.wake.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    }
    co_return std::shared_ptr<const Reply>(edition, &edition->reply);
  }

  void make(Served& served) {
    served.making = true;
    asio::post(maker_, [this, &served, edition = std::exchange(served.next, nullptr)] {
      Reply reply = served.page.make();
      asio::post(io_, [this, &served, edition, reply = std::move(reply)]() mutable {
        edition->reply = std::move(reply);
        edition->made = true;
        served.making = false;
        answering_.wake();
        if (served.next) make(served);
      });
    });
  }

  std::string paths() const {
    std::string out;
    for (const Served& served : pages_) out += (out.empty() ? "" : ", ") + served.page.path;
    return out;
  }

  const Audience audience_;
  // All but maker_ are only touched in the thread.
  std::vector<Served> pages_;
  Stage reading_{kMaxReading}, answering_{kMaxAnswering};
  asio::io_context io_{1};
  tcp::acceptor acceptor_{io_};
  asio::thread_pool maker_{1};
  std::thread thread_;
};

}  // namespace

Result<std::unique_ptr<Server>> Server::listen(const std::string& address, std::vector<Page> pages, Audience audience) {
  auto server = std::make_unique<Listener>(std::move(pages), audience);
  ENCLAYER_CHECK(server->start(address));
  return std::unique_ptr<Server>(std::move(server));
}

Result<std::unique_ptr<Server>> serve_metrics(const std::string& address, const base::Metrics& metrics, Probes probes) {
  auto page = [&metrics, before = std::move(probes.before_metrics)]() -> Reply {
    if (before) before();
    return {200, "text/plain; version=0.0.4; charset=utf-8", metrics.text()};
  };
  auto alive = [not_alive = std::move(probes.not_alive)]() -> Reply {
    std::string why = not_alive ? not_alive() : "";
    return why.empty() ? Reply{200, kText, "ok\n"} : Reply{503, kText, "not alive\n" + why};
  };
  auto ready = [not_ready = std::move(probes.not_ready), said = std::move(probes.remark)]() -> Reply {
    std::string why = not_ready ? not_ready() : "";
    if (!why.empty()) return {503, kText, "not ready\n" + why};
    std::string remark = said ? said() : "";
    return {200, kText, remark.empty() ? "ok\n" : "ok, " + remark + "\n"};
  };
  return Server::listen(address, {{"/metrics", page, /*slow=*/true}, {"/healthz", alive}, {"/readyz", ready}});
}

Result<std::string> probe(const std::string& address, const std::string& path) {
  ENCLAYER_TRY(const tcp::endpoint where, parse_address(address));
  const base::UniqueFd fd(::socket(where.protocol().family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
  const timeval patience{2, 0};
  ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  const std::string request = "GET " + path + " HTTP/1.1\r\nHost: " + address + "\r\nConnection: close\r\n\r\n";
  std::string answer;
  if (::connect(fd.get(), where.data(), static_cast<socklen_t>(where.size())) == 0 &&
      ::send(fd.get(), request.data(), request.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(request.size())) {
    char some[16 << 10];
    for (ssize_t size = 0; answer.size() <= kMostProbed && (size = ::recv(fd.get(), some, sizeof some, 0)) > 0;)
      answer.append(some, static_cast<std::size_t>(size));
  }
  if (answer.size() > kMostProbed)
    return base::malformed(address + path + " says more than " + std::to_string(kMostProbed) + " bytes");
  const std::size_t end = answer.find("\r\n\r\n");
  if (end == answer.npos) return Error(ErrorKind::kUnavailable, address + path + " does not answer");
  std::string body = answer.substr(end + 4);
  if (!answer.starts_with("HTTP/1.1 200 ")) return Error(ErrorKind::kUnavailable, address + path + " says: " + body);
  if (answer.substr(0, end + 2).find("\r\nContent-Length: " + std::to_string(body.size()) + "\r\n") == answer.npos)
    return base::malformed(address + path + " was cut off after " + std::to_string(body.size()) + " bytes");
  return body;
}

}  // namespace enclayer::http
