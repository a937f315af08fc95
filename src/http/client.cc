// SPDX-License-Identifier: Apache-2.0
#include "http/client.h"

#include <fcntl.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <poll.h>
#include <sys/un.h>

#include <utility>  // before Boost.Asio 1.74 on g++ 12, which forgets it

#include <algorithm>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <charconv>
#include <ctime>
#include <random>

#include "base/bytes.h"
#include "base/printable.h"

namespace enclayer::http {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace message = beast::http;
namespace ssl = asio::ssl;
using asio::ip::tcp;
using boost::system::error_code;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

using Stream = beast::basic_stream<asio::generic::stream_protocol>;  // over TCP or a unix socket
using Endpoints = std::vector<asio::generic::stream_protocol::endpoint>;
using Outgoing = message::request<message::string_body>;
using Parser = message::response_parser<message::vector_body<std::uint8_t>>;

constexpr std::size_t kMaxHeader = 60'000;    // bytes of one that is sent; Beast throws at 64 KiB
constexpr int kMaxInterim = 8;                // answers such as 103 before the answer
constexpr std::size_t kReadAhead = 16 << 10;  // bytes of a body that one read may bring
constexpr std::chrono::seconds kLongestWait = std::chrono::hours(24);  // that Retry-After is believed

struct Try {
  Result<Response> result;
  bool again = false;  // another try may help
  milliseconds at_least{0};
};
using Failed = std::optional<Try>;

struct Connection {
  std::string key;  // what it leads to
  Stream stream;
  std::optional<ssl::stream<Stream&>> tls{};
  beast::flat_buffer buffer;

  Connection(std::string leads_to, asio::io_context& io, const Limits& limits)
      : key(std::move(leads_to)), stream(io), buffer(limits.max_headers + kReadAhead) {}
};

bool passing(unsigned status) {
  return status == 408 || status == 429 || status == 500 || status == 502 || status == 503 || status == 504;
}

std::string advised(const std::string& advice) { return advice.empty() ? "" : "; " + advice; }

std::string in_milliseconds(steady_clock::duration time) {
  return std::to_string(std::chrono::duration_cast<milliseconds>(time).count()) + " ms";
}

// RFC 9110, 5.6.7, the one form that is still sent.
std::optional<std::time_t> http_date(const std::string& text) {
  std::tm parts{};
  const char* end = ::strptime(text.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
  if (end == nullptr || *end != '\0') return std::nullopt;
  return ::timegm(&parts);
}

// RFC 9110, 10.2.3: seconds, or a date, which is taken by the clock of the service.
std::chrono::seconds retry_after(const message::fields& headers) {
  const std::string value(headers[message::field::retry_after]), date(headers[message::field::date]);
  std::chrono::seconds::rep seconds = 0;
  auto [end, failed] = std::from_chars(value.data(), value.data() + value.size(), seconds);
  if (failed == std::errc::result_out_of_range) return kLongestWait;
  if (failed != std::errc() || end != value.data() + value.size()) {
    auto then = http_date(value), now = http_date(date);
    seconds = then && now ? *then - *now : 0;
  }
  return std::clamp(std::chrono::seconds(seconds), std::chrono::seconds(0), kLongestWait);
}

std::string resolved(const Url& url, std::string location) {
  if (location.starts_with("//")) return url.scheme + ":" + location;
  return location.starts_with('/') ? url.scheme + "://" + url.host_header() + location : location;
}

bool is_address(const std::string& host) {
  error_code none;
  asio::ip::make_address(host, none);
  return !none;
}

// "Name: value". What it says is the caller's, a line's end in it would be another header.
bool add_header(Outgoing& out, std::string_view line) {
  std::size_t colon = line.find(':');
  if (colon == 0 || colon == std::string_view::npos || line.size() > kMaxHeader) return false;
  if (std::any_of(line.begin(), line.end(), [](char c) { return (c < ' ' && c != '\t') || c == '\x7f'; })) return false;
  std::string_view value = line.substr(colon + 1);
  value.remove_prefix(std::min(value.find_first_not_of(' '), value.size()));
  out.set(beast::string_view(line.data(), colon), beast::string_view(value.data(), value.size()));
  return true;
}

}  // namespace

struct Client::State {
  Options options;
  steady_clock::time_point deadline;
  std::minstd_rand jitter{std::random_device{}()};
  asio::io_context io{1};
  std::optional<ssl::context> authorities;
  std::optional<Connection> connection;  // kept where the last answer allowed it
  std::optional<asio::posix::stream_descriptor> stop;

  milliseconds left() const { return std::chrono::duration_cast<milliseconds>(deadline - steady_clock::now()); }
  const Limits& limits() const { return options.limits; }

  // One asynchronous operation from start to end; the stream's own deadline ends it, and `stop`.
  template <class Start>
  error_code run(Start&& start) {
    error_code out;
    start([&](error_code error, auto&&...) {
      out = error;
      if (stop) stop->cancel();
    });
    if (stop)
      stop->async_wait(asio::posix::stream_descriptor::wait_read, [&](error_code cancelled) {
        if (!cancelled && connection) connection->stream.cancel();
      });
    io.restart();
    io.run();
    return out;
  }

  // One request and its answer, or why there is none.
  struct Exchange {
    const Request& request;
    Url url;
    std::optional<Proxy> proxy;
    std::string asked;  // begins messages
    steady_clock::time_point deadline;
    bool answered = false;  // something came back

    Try failed(ErrorKind kind, const std::string& what, const std::string& advice, bool again) const {
      return {Error(kind, asked + ": " + base::printable(what, 400) + advised(advice)), again, {}};
    }
  };

  Try broken(const Exchange& exchange, error_code error, const std::string& time_passed) const {
    if (error == beast::error::timeout) return exchange.failed(ErrorKind::kTimedOut, time_passed, "", true);
    if (error == message::error::body_limit || error == message::error::header_limit ||
        error == message::error::buffer_overflow)
      return exchange.failed(ErrorKind::kMalformed,
                             "the answer is longer than the " + std::to_string(limits().max_body) +
                                 " bytes (headers: " + std::to_string(limits().max_headers) + ") that are read",
                             "", false);
    if (error == message::error::end_of_stream || error == message::error::partial_message ||
        error == ssl::error::stream_truncated)
      return exchange.failed(ErrorKind::kUnavailable, "the connection ended before the answer did", "", true);
    if (error.category() == message::make_error_code(message::error::end_of_stream).category())
      return exchange.failed(ErrorKind::kMalformed, "what answers is no HTTP (" + error.message() + ")",
                             options.advice.not_http, false);
    return exchange.failed(ErrorKind::kUnavailable, error.message(), "", true);
  }

  error_code resolve(const std::string& host, const std::string& port, Endpoints& found) {
    tcp::resolver resolver(io);
    return run([&](auto done) {
      resolver.async_resolve(host, port, tcp::resolver::numeric_service,
                             [&found, done](error_code failed, const tcp::resolver::results_type& results) {
                               for (const auto& entry : results) found.emplace_back(entry.endpoint());
                               done(failed);
                             });
    });
  }

  Failed connect(Exchange& exchange) {
    const Url& url = exchange.url;
    const std::string& host = exchange.proxy ? exchange.proxy->host : url.host;
    const std::string port = exchange.proxy ? exchange.proxy->port : url.port_to_use();
    const auto until = std::min(exchange.deadline, steady_clock::now() + limits().connect);
    const std::string too_late = "no connection within " + in_milliseconds(until - steady_clock::now());
    auto unreachable = [&](error_code error) {
      if (error == beast::error::timeout) return broken(exchange, error, too_late);
      return exchange.failed(ErrorKind::kUnavailable,
                             (exchange.proxy ? "proxy " : "") + host + ", port " + port + ": " + error.message(),
                             options.advice.connect, true);
    };
    Endpoints found;
    if (!options.unix_socket.empty()) {
      if (options.unix_socket.size() >= sizeof(sockaddr_un::sun_path))
        return exchange.failed(ErrorKind::kInvalidArgument,
                               options.unix_socket + " is too long for a unix socket's path", "", false);
      found.emplace_back(asio::local::stream_protocol::endpoint(options.unix_socket));
    } else if (error_code error = resolve(host, port, found)) {
      return unreachable(error);
    }
    connection->stream.expires_at(until);
    error_code error = run([&](auto done) { connection->stream.async_connect(found, done); });
    if (error) return unreachable(error);
    error_code ignored;
    connection->stream.socket().set_option(tcp::no_delay(true), ignored);
    if (url.scheme != "https") return std::nullopt;
    if (exchange.proxy)
      if (Failed failed = open_tunnel(exchange, too_late)) return failed;
    return start_tls(exchange, too_late);
  }

  // RFC 9110, 9.3.6.
  Failed open_tunnel(const Exchange& exchange, const std::string& too_late) {
    const std::string target = exchange.url.host_in_brackets() + ":" + exchange.url.port_to_use();
    message::request<message::empty_body> asked(message::verb::connect, target, 11);
    asked.set(message::field::host, target);
    asked.set(message::field::user_agent, options.user_agent);
    if (!exchange.proxy->authorization.empty())
      asked.set(message::field::proxy_authorization, exchange.proxy->authorization);
    message::response_parser<message::empty_body> answer;
    answer.skip(true);  // what follows is the service's
    answer.header_limit(static_cast<std::uint32_t>(limits().max_headers));
    Stream& tcp = connection->stream;
    error_code error = run([&](auto done) { message::async_write(tcp, asked, done); });
    if (!error) error = run([&](auto done) { message::async_read_header(tcp, connection->buffer, answer, done); });
    if (error) return broken(exchange, error, too_late);
    const unsigned status = answer.get().result_int();
    if (status / 100 == 2 && connection->buffer.size() == 0) return std::nullopt;
    return exchange.failed(ErrorKind::kUnavailable,
                           "the proxy answers CONNECT " + target + " with status " + std::to_string(status),
                           options.advice.status ? options.advice.status(status) : "", passing(status));
  }

  Failed start_tls(const Exchange& exchange, const std::string& too_late) {
    error_code error;
    if (!authorities) {
      ssl::context context(ssl::context::tls_client);
      if (::SSL_CTX_set_min_proto_version(context.native_handle(), TLS1_2_VERSION) != 1) std::abort();
      context.set_verify_mode(ssl::verify_peer);
      if (!options.ca_pem.empty()) context.add_certificate_authority(asio::buffer(options.ca_pem), error);
      if (error)
        return exchange.failed(ErrorKind::kMalformed,
                               "what is to be trusted holds no certificates (" + error.message() + ")",
                               options.advice.ca_pem, false);
      if (!options.certificate_pem.empty() || !options.key_pem.empty()) {
        error_code unused;  // there is no terminal on which OpenSSL could ask
        context.set_password_callback([](std::size_t, ssl::context::password_purpose) { return std::string(); },
                                      unused);
        context.use_certificate_chain(asio::buffer(options.certificate_pem), error);
        if (!error) context.use_private_key(asio::buffer(options.key_pem), ssl::context::pem, error);
        if (error)  // also of a key that is another certificate's
          return exchange.failed(
              ErrorKind::kMalformed,
              "what is to prove who we are is no certificate with its private key (" + error.message() + ")", "",
              false);
      }
      authorities.emplace(std::move(context));
    }
    auto& tls = connection->tls.emplace(connection->stream, *authorities);
    const std::string& host = exchange.url.host;
    // Without the name nothing would be checked but that some authority knows somebody.
    bool named = is_address(host)
                     ? ::X509_VERIFY_PARAM_set1_ip_asc(::SSL_get0_param(tls.native_handle()), host.c_str()) == 1
                     : ::SSL_set1_host(tls.native_handle(), host.c_str()) == 1 &&
                           SSL_set_tlsext_host_name(tls.native_handle(), host.c_str()) == 1;
    if (!named) std::abort();  // out of memory
    ::SSL_set_hostflags(tls.native_handle(), X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    error = run([&](auto done) { tls.async_handshake(ssl::stream_base::client, done); });
    if (!error) return std::nullopt;
    if (long verdict = ::SSL_get_verify_result(tls.native_handle()); verdict != X509_V_OK)
      return exchange.failed(ErrorKind::kUnavailable,
                             std::string("its certificate is refused: ") + ::X509_verify_cert_error_string(verdict),
                             options.advice.authority, false);
    return broken(exchange, error, too_late);
  }

  Result<Outgoing> outgoing(const Exchange& exchange) const {
    const Url& url = exchange.url;
    Outgoing out;
    out.version(11);
    out.method_string(exchange.request.method);
    const bool through = exchange.proxy && url.scheme == "http";
    out.target(through ? url.scheme + "://" + url.host_header() + url.target : url.target);
    out.set(message::field::host, url.host_header());
    out.set(message::field::user_agent, options.user_agent);
    out.set(message::field::accept, "*/*");
    if (through && !exchange.proxy->authorization.empty())
      out.set(message::field::proxy_authorization, exchange.proxy->authorization);
    for (const std::string& header : exchange.request.headers)
      if (!add_header(out, header))
        return Error(ErrorKind::kInvalidArgument,
                     exchange.asked + ": one of the headers is not \"Name: value\", or too long");
    out.body() = exchange.request.body;
    if (!out.body().empty() || exchange.request.method != "GET") out.prepare_payload();
    return out;
  }

  // Sends the request and reads its answer into `parser`.
  template <class Stream>
  Failed transfer(Stream& stream, Exchange& exchange, const Outgoing& out, std::optional<Parser>& parser) {
    const std::size_t least = static_cast<std::size_t>(Limits::kLowestSpeed * limits().stalled.count());
    std::size_t came = 0;  // since `slow_at` was set
    auto slow_at = steady_clock::now() + limits().stalled;
    auto lost = [&](error_code error) {
      const bool slow = steady_clock::now() < exchange.deadline;
      return broken(exchange, error,
                    slow ? "less than " + std::to_string(Limits::kLowestSpeed) + " bytes/sec for " +
                               std::to_string(limits().stalled.count()) + " s"
                         : "no answer within " + in_milliseconds(std::min(limits().request, limits().total)));
    };
    connection->stream.expires_at(std::min(exchange.deadline, slow_at));
    if (error_code error = run([&](auto done) { message::async_write(stream, out, done); })) return lost(error);
    for (int number = 0; number <= kMaxInterim; ++number) {
      parser.emplace();
      parser->eager(false);  // an eager one of Boost 1.74 forgets that the body is beyond its limit
      parser->header_limit(static_cast<std::uint32_t>(limits().max_headers));
      parser->body_limit(limits().max_body);
      if (exchange.request.method == "HEAD") parser->skip(true);
      while (!parser->is_done()) {
        connection->stream.expires_at(std::min(exchange.deadline, slow_at));
        std::size_t size = 0;
        error_code error = run([&](auto done) {
          message::async_read_some(stream, connection->buffer, *parser,
                                   [&size, done](error_code failed, std::size_t n) {
                                     size = n;
                                     done(failed);
                                   });
        });
        exchange.answered = exchange.answered || size > 0 || connection->buffer.size() > 0;
        if (error) return lost(error);
        if (exchange.request.first_bytes_suffice && !parser->get().body().empty()) return std::nullopt;
        came += size;
        if (came < least) continue;
        came = 0;
        slow_at = steady_clock::now() + limits().stalled;
      }
      if (parser->get().result_int() / 100 != 1) return std::nullopt;
    }
    return exchange.failed(ErrorKind::kMalformed, "interim answers without end", options.advice.not_http, false);
  }

  Try judged(const Exchange& exchange, message::response<message::vector_body<std::uint8_t>> answer) const {
    const unsigned status = answer.result_int();
    if (status == 200 || options.any_status) {
      Response out;
      out.status = status;
      for (const auto& field : answer)
        out.headers += std::string(field.name_string()) + ": " + std::string(field.value()) + "\r\n";
      out.body = std::move(answer.body());
      return {std::move(out), passing(status), retry_after(answer)};
    }
    std::string what = exchange.asked + ": status " + std::to_string(status);
    auto failed = [&](ErrorKind kind, const std::string& more) { return Error(kind, what + more, status); };
    if (status / 100 == 3) {
      std::string location = resolved(exchange.url, std::string(answer[message::field::location]));
      return {
          failed(ErrorKind::kUnavailable, ", to " + base::printable(location.empty() ? "nowhere" : location, 200) +
                                              "; redirects are not followed: if that is the service, give its URL")};
    }
    std::string_view body = base::as_text(answer.body());
    std::string said = options.advice.words ? options.advice.words(body) : "";
    said = base::printable(said.empty() ? body : said, 600);
    if (!said.empty()) what += " (\"" + said + "\")";
    ErrorKind kind = status == 404 || status == 410 ? ErrorKind::kNotFound
                     : status == 409                ? ErrorKind::kConflict
                                                    : ErrorKind::kUnavailable;
    return {failed(kind, advised(options.advice.status ? options.advice.status(status) : "")), passing(status),
            retry_after(answer)};
  }

  Try once(const Request& request) {
    Exchange exchange{request, {}, {}, request.method + " " + request.url, {}};
    auto url = parse_url(request.url);
    if (!url) return exchange.failed(ErrorKind::kMalformed, url.error().message(), options.advice.not_http, false);
    exchange.url = *std::move(url);
    exchange.deadline = std::min(steady_clock::now() + limits().request, deadline);
    auto proxy = proxy_for(exchange.url, options.proxies);
    if (!proxy) return {proxy.error()};
    exchange.proxy = *std::move(proxy);
    auto out = outgoing(exchange);
    if (!out) return {out.error()};

    // The proxy follows from these.
    const std::string key = exchange.url.scheme + " " + exchange.url.host + " " + exchange.url.port_to_use();
    if (connection && connection->key != key) connection.reset();
    while (true) {
      const bool kept = connection.has_value();
      if (!kept) {
        connection.emplace(key, io, limits());
        if (Failed failed = connect(exchange)) return connection.reset(), *std::move(failed);
      }
      std::optional<Parser> parser;
      Failed failed = connection->tls ? transfer(*connection->tls, exchange, *out, parser)
                                      : transfer(connection->stream, exchange, *out, parser);
      if (failed || !parser->is_done() || !parser->keep_alive() || connection->buffer.size() > 0) connection.reset();
      if (!failed) return judged(exchange, parser->release());
      // A service may close a connection that waits, at any moment (RFC 9112, 9.3.1).
      const bool closed_meanwhile =
          kept && !exchange.answered && failed->again && failed->result.error().kind() != ErrorKind::kTimedOut;
      if (!closed_meanwhile) return *std::move(failed);
    }
  }

  // Whether it was stopped meanwhile.
  bool pause(milliseconds time) const {
    if (options.pause) options.pause(std::exchange(time, milliseconds(0)));
    pollfd stopped{options.stop, POLLIN, 0};
    return ::poll(&stopped, 1, static_cast<int>(time.count())) > 0;
  }

  milliseconds pause_before_try(int number, milliseconds at_least) {
    double doubled = static_cast<double>(options.limits.first_pause.count()) * static_cast<double>(1 << (number - 2));
    double varied = doubled * std::uniform_real_distribution<double>(0.5, 1.5)(jitter);
    return at_least + milliseconds(static_cast<milliseconds::rep>(varied));
  }
};

Client::Client(Options options) : state_(std::make_unique<State>()) {
  state_->options = std::move(options);
  state_->options.limits.tries = std::clamp(state_->options.limits.tries, 1, 16);
  state_->deadline = steady_clock::now() + state_->options.limits.total;
  if (state_->options.stop >= 0) state_->stop.emplace(state_->io, ::fcntl(state_->options.stop, F_DUPFD_CLOEXEC, 0));
}

Client::Client(Client&&) noexcept = default;
Client::~Client() = default;

Result<Response> Client::send(const Request& request) {
  for (int number = 1;; ++number) {
    Try attempt = state_->once(request);
    if (!attempt.again) return attempt.result;
    auto given_up = [&](const std::string& why) -> Result<Response> {
      if (attempt.result) return std::move(attempt.result);
      const Error& error = attempt.result.error();
      return Error(error.kind(), error.message() + " (" + why + ")", error.code());
    };
    if (number == state_->options.limits.tries) return given_up("tried " + std::to_string(number) + " times");
    milliseconds pause = state_->pause_before_try(number + 1, attempt.at_least);
    if (pause >= state_->left())
      return given_up("tried " + std::to_string(number) + " times; no time is left for another try, of " +
                      std::to_string(state_->options.limits.total.count()) + " ms for everything");
    if (state_->pause(pause)) return given_up("it was stopped");
  }
}

}  // namespace enclayer::http
