// SPDX-License-Identifier: Apache-2.0
#include "http/https_server.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <signal.h>

#include <utility>  // before Boost.Asio 1.74 on g++ 12, which forgets it

#include <algorithm>
#include <array>
#include <atomic>
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
#include <cstring>
#include <list>
#include <mutex>
#include <optional>
#include <thread>

#include "base/hex.h"
#include "base/log.h"
#include "http/listen_address.h"

namespace enclayer::http {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;

using tcp = asio::ip::tcp;
using boost::system::error_code;
using Clock = std::chrono::steady_clock;
using Parser = beast::http::request_parser<beast::http::string_body>;

constexpr std::size_t kReadSize = 16 << 10;           // bytes
constexpr std::chrono::milliseconds kLookEvery{200};  // how often deadlines are looked at
constexpr std::size_t kMaxUnread = 4 << 20;           // bytes of a refused body that are read and dropped
constexpr std::chrono::seconds kLinger{2};            // ... and for how long
constexpr auto kRetryAfter = "1";                     // seconds

template <auto release>
struct Free {
  template <class T>
  void operator()(T* p) const {
    release(p);
  }
};
template <class T, auto release>
using Owned = std::unique_ptr<T, Free<release>>;

// ---- TLS ----

Result<std::shared_ptr<SSL_CTX>> context_of(const ServerTls& tls) {
  auto bad = [](const std::string& what) {
    ::ERR_clear_error();
    return Error(ErrorKind::kMalformed, what);
  };
  std::shared_ptr<SSL_CTX> context(::SSL_CTX_new(::TLS_server_method()), ::SSL_CTX_free);
  if (!context || ::SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION) != 1) std::abort();
  ::SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  ::SSL_CTX_set_mode(context.get(),
                     SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  auto reader = [](const std::string& pem) {
    return Owned<BIO, ::BIO_free>(::BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  };
  auto chain = reader(tls.certificates);
  int certificates = 0;
  while (auto* one = ::PEM_read_bio_X509(chain.get(), nullptr, nullptr, nullptr)) {
    const bool taken = certificates++ == 0 ? ::SSL_CTX_use_certificate(context.get(), one) == 1
                                           : ::SSL_CTX_add1_chain_cert(context.get(), one) == 1;
    ::X509_free(one);
    if (!taken) return bad("certificate " + std::to_string(certificates) + " of the server is of no use for TLS");
  }
  if (certificates == 0) return bad("there is no certificate in PEM for the server");
  auto key_text = reader(tls.key);
  Owned<EVP_PKEY, ::EVP_PKEY_free> key(::PEM_read_bio_PrivateKey(key_text.get(), nullptr, nullptr, nullptr));
  if (!key) return bad("there is no private key in PEM, without a passphrase, for the server");
  if (::SSL_CTX_use_PrivateKey(context.get(), key.get()) != 1)
    return bad("the server's private key is not that of its certificate");
  ::ERR_clear_error();
  if (tls.client_authorities.empty()) return context;
  auto authorities = reader(tls.client_authorities);
  int known = 0;
  for (; auto* one = ::PEM_read_bio_X509(authorities.get(), nullptr, nullptr, nullptr); ++known) {
    ::X509_STORE_add_cert(::SSL_CTX_get_cert_store(context.get()), one);
    ::SSL_CTX_add_client_CA(context.get(), one);
    ::X509_free(one);
  }
  ::ERR_clear_error();
  if (known == 0) return bad("there is no certificate in PEM among the authorities of clients");
  ::SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  // Each connection proves its certificate: none is known by a session of before.
  ::SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  ::SSL_CTX_set_options(context.get(), SSL_OP_NO_TICKET);
  ::SSL_CTX_set_num_tickets(context.get(), 0);
  return context;
}

std::string subject_of_peer(SSL* ssl) {
  Owned<X509, ::X509_free> certificate(::SSL_get1_peer_certificate(ssl));
  Owned<BIO, ::BIO_free> out(::BIO_new(::BIO_s_mem()));
  if (!certificate || !out || ::SSL_get_verify_result(ssl) != X509_V_OK ||
      ::X509_NAME_print_ex(out.get(), ::X509_get_subject_name(certificate.get()), 0, XN_FLAG_RFC2253) < 0)
    return {};
  char* text = nullptr;
  const long size = BIO_get_mem_data(out.get(), &text);
  return std::string(text, static_cast<std::size_t>(size));
}

// ---- A connection ----

struct Connection {
  tcp::socket socket;
  std::shared_ptr<SSL_CTX> context;  // nullptr: without TLS
  Owned<SSL, ::SSL_free> tls{};
  std::string peer{}, client{};
  Clock::time_point silent_since = Clock::now();
  Clock::time_point deadline = Clock::time_point::max();
  std::size_t held = 0;    // bytes of its request's body: as many as are announced, or came
  bool answering = false;  // its request is complete, and its answer is not yet
  bool closing = false;    // by our own decision
  beast::flat_buffer buffer;

  Connection(tcp::socket s, std::shared_ptr<SSL_CTX> c, std::size_t most)
      : socket(std::move(s)), context(std::move(c)), buffer(most) {}

  void close() {
    closing = true;
    error_code ignored;
    socket.close(ignored);
  }

  // One call into OpenSSL that moves bytes: again and again, when the socket is ready for it. 0: it is over.
  asio::awaitable<int> tls_step(int (*step)(SSL*, void*, int), void* bytes, int size) {
    while (!closing) {
      ::ERR_clear_error();
      const int n = step(tls.get(), bytes, size);
      if (n > 0) co_return n;
      const int wants = ::SSL_get_error(tls.get(), n);
      if (wants != SSL_ERROR_WANT_READ && wants != SSL_ERROR_WANT_WRITE) break;
      error_code error;
      co_await socket.async_wait(wants == SSL_ERROR_WANT_READ ? tcp::socket::wait_read : tcp::socket::wait_write,
                                 asio::redirect_error(asio::use_awaitable, error));
      if (error) break;
    }
    co_return 0;
  }

  asio::awaitable<bool> handshake() {
    error_code error;
    socket.non_blocking(true, error);
    if (error) co_return false;
    if (!context) co_return true;
    tls.reset(::SSL_new(context.get()));
    if (!tls || ::SSL_set_fd(tls.get(), socket.native_handle()) != 1) co_return false;
    const int done = co_await tls_step([](SSL* ssl, void*, int) { return ::SSL_accept(ssl); }, nullptr, 0);
    if (done == 1) client = subject_of_peer(tls.get());
    co_return done == 1;
  }

  // More bytes in the buffer; false: there will be none. They are received into one place for all connections, so that
  // who waits has no memory set aside.
  asio::awaitable<bool> read_some() {
    static thread_local std::array<char, kReadSize> received;
    std::size_t n = 0;
    if (tls) {
      n = static_cast<std::size_t>(
          co_await tls_step([](SSL* ssl, void* bytes, int size) { return ::SSL_read(ssl, bytes, size); },
                            received.data(), static_cast<int>(received.size())));
    } else {
      error_code error = asio::error::would_block;
      while (error == asio::error::would_block && !closing) {
        co_await socket.async_wait(tcp::socket::wait_read, asio::redirect_error(asio::use_awaitable, error));
        if (!error) n = socket.read_some(asio::buffer(received), error);
      }
    }
    if (n == 0 || n > buffer.max_size() - buffer.size()) co_return false;
    std::memcpy(buffer.prepare(n).data(), received.data(), n);
    buffer.commit(n);
    co_return true;
  }

  asio::awaitable<bool> write(std::string_view bytes) {
    while (!bytes.empty()) {
      std::size_t n = 0;
      if (tls) {
        n = static_cast<std::size_t>(
            co_await tls_step([](SSL* ssl, void* from, int size) { return ::SSL_write(ssl, from, size); },
                              const_cast<char*>(bytes.data()), static_cast<int>(std::min(bytes.size(), kReadSize))));
      } else {
        error_code error;
        n = co_await socket.async_write_some(asio::buffer(bytes.data(), bytes.size()),
                                             asio::redirect_error(asio::use_awaitable, error));
      }
      if (n == 0) co_return false;
      bytes.remove_prefix(n);
    }
    co_return true;
  }
};

std::string bytes_of(const Answer& answer, bool keep) {
  std::string out = "HTTP/1.1 " + std::to_string(answer.status) + " ";
  out += std::string(beast::http::obsolete_reason(static_cast<beast::http::status>(answer.status))) + "\r\n";
  auto line = [&out](std::string_view name, std::string_view value) {
    out.append(name).append(": ").append(value).append("\r\n");
  };
  if (!answer.body.empty()) line("Content-Type", answer.content_type);
  line("Content-Length", std::to_string(answer.body.size()));
  for (const auto& [name, value] : answer.headers) line(name, value);
  if (!keep) line("Connection", "close");
  return out + "\r\n" + answer.body;
}

Answer plain(int status, std::string text) { return {status, "text/plain; charset=utf-8", std::move(text) + "\n"}; }

Answer busy() {
  Answer out = plain(503, "too many requests at once; try again in a moment");
  out.headers.emplace_back("Retry-After", kRetryAfter);
  return out;
}

// What leaves it open where a request ends, so that a proxy and we might see different ones (RFC 9112, sections 3.2 and 6.1
// to 6.3); "": nothing. A parser knows `chunked` alone, and takes a body in any other coding for none.
std::string ambiguity(const Parser::value_type& request) {
  using beast::http::field;
  const std::size_t codings = request.count(field::transfer_encoding), hosts = request.count(field::host);
  if (codings > 1 || (codings == 1 && !beast::iequals(request[field::transfer_encoding], "chunked")))
    return "Transfer-Encoding is chunked alone here";
  if (codings == 1 && request.count(field::content_length) > 0) return "it has Transfer-Encoding and Content-Length";
  if (hosts > 1 || (hosts == 0 && request.version() >= 11)) return "it has " + std::to_string(hosts) + " Host fields";
  return "";
}

// What could not be read as a request.
Answer refusal(error_code error, const ServerLimits& limits) {
  using Broken = beast::http::error;
  if (error == Broken::body_limit)
    return plain(413, "a request's body may have " + std::to_string(limits.body) + " bytes");
  if (error == asio::error::no_memory) return busy();
  if (error == Broken::header_limit || error == Broken::buffer_overflow)
    return plain(431, "a request's header lines may have " + std::to_string(limits.header) + " bytes");
  return plain(400, "this is no HTTP/1.1 request: " + error.message());
}

class Listener final : public HttpsServer {
 public:
  Listener(Handler handler, const ServerLimits& limits)
      : handler_(std::move(handler)),
        limits_(limits),
        pool_(limits.workers > 0 ? limits.workers : std::max(1u, std::thread::hardware_concurrency())) {}

  ~Listener() override {
    if (thread_.joinable()) {
      asio::post(io_, [this] { end(); });
      thread_.join();
    }
    pool_.join();
  }

  Result<> start(const std::string& address, const ServerTls* tls) {
    if (tls != nullptr) {
      ENCLAYER_CHECK(renew(*tls));
    }
    ENCLAYER_TRY(const ListenAddress given, parse_listen_address(address));
    const tcp::endpoint where(asio::ip::make_address(given.ip), given.port);
    error_code error;
    acceptor_.open(where.protocol(), error);
    if (!error) acceptor_.set_option(tcp::acceptor::reuse_address(true), error);
    if (!error) acceptor_.bind(where, error);
    if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
    if (error)
      return Error(error == asio::error::address_in_use ? ErrorKind::kConflict : ErrorKind::kIo,
                   "cannot listen on " + address + ": " + error.message());
    const auto local = acceptor_.local_endpoint();
    address_ = ListenAddress{local.address().to_string(), local.port(), local.address().is_v6()}.text();
    asio::co_spawn(io_, accept(), asio::detached);
    asio::co_spawn(io_, watch_deadlines(), asio::detached);
    thread_ = std::thread([this] {
      sigset_t pipe;  // OpenSSL writes to the socket without MSG_NOSIGNAL
      ::sigemptyset(&pipe);
      ::sigaddset(&pipe, SIGPIPE);
      ::pthread_sigmask(SIG_BLOCK, &pipe, nullptr);
      io_.run();
    });
    return {};
  }

  std::string address() const override { return address_; }

  Result<> renew(const ServerTls& tls) override {
    ENCLAYER_TRY(auto context, context_of(tls));
    const std::lock_guard lock(context_mutex_);
    context_ = std::move(context);
    return {};
  }

  Load load() const override { return {open_, pending_, evicted_, refused_, slow_}; }

 private:
  using Place = std::list<Connection>::iterator;

  asio::awaitable<void> accept() {
    while (!ending_) {
      error_code error;
      tcp::socket socket = co_await acceptor_.async_accept(asio::redirect_error(asio::use_awaitable, error));
      if (ending_) co_return;
      if (error) {  // out of descriptors, most likely: let a connection end before the next try
        give_way();
        asio::steady_timer pause(io_, std::chrono::milliseconds(50));
        co_await pause.async_wait(asio::redirect_error(asio::use_awaitable, error));
        continue;
      }
      if (connections_.size() >= limits_.connections && !give_way()) continue;  // all are busy: this one goes
      std::shared_ptr<SSL_CTX> context;
      {
        const std::lock_guard lock(context_mutex_);
        context = context_;
      }
      connections_.emplace_back(std::move(socket), std::move(context), limits_.header + 2 * kReadSize);
      open_ = connections_.size();
      asio::co_spawn(io_, live(std::prev(connections_.end())), asio::detached);
    }
  }

  // Closes the connection that has been without an answer for longest; false where every one is being answered.
  bool give_way() {
    Connection* oldest = nullptr;
    for (Connection& one : connections_)
      if (!one.answering && !one.closing && (oldest == nullptr || one.silent_since < oldest->silent_since))
        oldest = &one;
    if (oldest == nullptr) return false;
    ++evicted_;
    oldest->close();
    return true;
  }

  // Sets what a connection holds. Beyond the limit who holds most gives way, which may be this one; false: each is being
  // answered, and there is no room.
  bool hold(Connection& connection, std::size_t bytes) {
    held_ += bytes - std::exchange(connection.held, bytes);
    while (held_ > limits_.bodies && !connection.closing) {
      Connection* most = nullptr;
      for (Connection& one : connections_)
        if (!one.answering && !one.closing && one.held > 0 && (most == nullptr || one.held > most->held)) most = &one;
      if (most == nullptr) return false;
      ++evicted_;
      most->close();
      held_ -= std::exchange(most->held, 0);
    }
    return true;
  }

  asio::awaitable<void> live(Place place) {
    try {
      co_await serve(*place);
    } catch (const std::exception& broken) {  // out of memory
      base::log::error("connection lost", {{"reason", broken.what()}});
    }
    held_ -= place->held;
    connections_.erase(place);
    open_ = connections_.size();
    if (ending_ && connections_.empty()) io_.stop();
  }

  asio::awaitable<void> serve(Connection& connection) {
    error_code gone;
    connection.peer = connection.socket.remote_endpoint(gone).address().to_string();
    connection.socket.set_option(tcp::no_delay(true), gone);
    connection.deadline = Clock::now() + limits_.handshake;
    if (!co_await connection.handshake()) co_return;
    if (!connection.context) connection.deadline = Clock::now() + limits_.idle;
    for (bool keep = true; keep && !ending_;) {
      if (connection.buffer.size() == 0) connection.buffer.shrink_to_fit();
      Parser parser;
      parser.eager(false);  // an eager one of Boost 1.74 forgets that the body is beyond its limit
      parser.header_limit(static_cast<std::uint32_t>(limits_.header));
      parser.body_limit(limits_.body);
      error_code error;
      if (!co_await read(connection, parser, error)) co_return;
      connection.answering = true;
      keep = !error && parser.keep_alive();
      std::string bytes;
      if (error) {
        bytes = bytes_of(refusal(error, limits_), false);
      } else if (const std::string unclear = ambiguity(parser.get()); !unclear.empty()) {
        keep = false;
        bytes = bytes_of(plain(400, "where this request ends is not clear: " + unclear), keep);
      } else {
        const Answer answer = co_await answered(connection, parser);
        keep = keep && !ending_;
        bytes = bytes_of(answer, keep);
      }
      hold(connection, 0);
      connection.deadline = Clock::now() + limits_.take_answer;
      if (!co_await connection.write(bytes)) co_return;
      connection.answering = false;
      connection.silent_since = Clock::now();
      connection.deadline = connection.silent_since + limits_.idle;
    }
    co_await part(connection);
  }

  // One request, or in `error` why it is none; false: the client is gone.
  asio::awaitable<bool> read(Connection& connection, Parser& parser, error_code& error) {
    bool begun = false, continued = false;
    while (!parser.is_done()) {
      if (connection.buffer.size() > 0) {
        if (!std::exchange(begun, true)) connection.deadline = Clock::now() + limits_.request;
        connection.buffer.consume(parser.put(connection.buffer.data(), error));
        if (error && error != beast::http::error::need_more) co_return true;
        const bool more = !error;  // it stops after the header lines
        error = {};
        if (parser.is_header_done()) {
          const std::size_t announced =
              parser.content_length() ? static_cast<std::size_t>(*parser.content_length()) : 0;
          if (!hold(connection, std::max(announced, parser.get().body().size()))) {
            ++refused_;
            error = asio::error::no_memory;
            co_return true;
          }
          if (connection.closing) co_return false;
        }
        if (parser.is_header_done() && !std::exchange(continued, true) && !parser.is_done() &&
            beast::iequals(parser.get()[beast::http::field::expect], "100-continue") &&
            !co_await connection.write("HTTP/1.1 100 Continue\r\n\r\n"))
          co_return false;
        if (more && connection.buffer.size() > 0) continue;
        if (parser.is_done()) break;
      }
      if (!co_await connection.read_some()) co_return false;
    }
    co_return true;
  }

  asio::awaitable<Answer> answered(Connection& connection, Parser& parser) {
    if (pending_ >= limits_.pending) {
      ++refused_;
      co_return busy();
    }
    auto request = parser.release();
    Incoming incoming;
    incoming.method = std::string(request.method_string());
    const std::string target(request.target());
    const std::size_t query = target.find('?');
    incoming.path = target.substr(0, query);
    if (query != target.npos) incoming.query = target.substr(query + 1);
    incoming.authorization = std::string(request[beast::http::field::authorization]);
    incoming.body = std::move(request.body());
    incoming.peer = connection.peer;
    incoming.client = connection.client;
    connection.deadline = Clock::time_point::max();  // from here on it waits for us
    ++pending_;
    // By reference: this coroutine waits for that one.
    Answer answer = co_await asio::co_spawn(pool_.get_executor(), make(incoming), asio::use_awaitable);
    --pending_;
    co_return answer;
  }

  asio::awaitable<Answer> make(const Incoming& incoming) {
    try {
      co_return handler_(incoming);
    } catch (const std::exception& broken) {
      base::log::error("request failed", {{"path", incoming.path}, {"reason", broken.what()}});
    }
    co_return plain(500, "this is our own mistake");
  }

  // Says goodbye. What a client still sends is read and dropped: closing would otherwise take our answer from it.
  asio::awaitable<void> part(Connection& connection) {
    connection.deadline = Clock::now() + kLinger;
    if (connection.tls) ::SSL_shutdown(connection.tls.get());
    error_code ignored;
    connection.socket.shutdown(tcp::socket::shutdown_send, ignored);
    connection.tls.reset();  // the bytes as they are
    for (std::size_t dropped = 0; dropped < kMaxUnread; dropped += connection.buffer.size()) {
      connection.buffer.clear();
      if (!co_await connection.read_some()) co_return;
    }
  }

  asio::awaitable<void> watch_deadlines() {
    asio::steady_timer timer(io_);
    while (true) {
      timer.expires_after(kLookEvery);
      error_code ignored;
      co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
      const auto now = Clock::now();
      if (ending_ && now >= end_by_) io_.stop();
      for (Connection& one : connections_)
        if (!one.closing && now >= one.deadline) {
          ++slow_;
          one.close();
        }
    }
  }

  void end() {
    ending_ = true;
    end_by_ = Clock::now() + limits_.take_answer;
    error_code ignored;
    acceptor_.close(ignored);
    for (Connection& one : connections_)
      if (!one.answering) one.close();
    if (connections_.empty()) io_.stop();
  }

  const Handler handler_;
  const ServerLimits limits_;
  std::string address_;
  std::mutex context_mutex_;
  std::shared_ptr<SSL_CTX> context_;
  std::atomic<std::size_t> open_ = 0, pending_ = 0;
  std::atomic<std::uint64_t> evicted_ = 0, refused_ = 0, slow_ = 0;

  // From here on only the thread's.
  bool ending_ = false;
  Clock::time_point end_by_ = Clock::time_point::max();
  std::size_t held_ = 0;  // bytes of all bodies
  std::list<Connection> connections_;
  asio::thread_pool pool_;
  asio::io_context io_{1};  // goes first: with it go the coroutines, which use all the rest
  tcp::acceptor acceptor_{io_};
  std::thread thread_;
};

}  // namespace

std::string Incoming::parameter(const std::string& name) const {
  for (std::string_view rest = query; !rest.empty();) {
    const std::size_t end = rest.find('&');
    const std::string_view one = rest.substr(0, end);
    rest.remove_prefix(end == rest.npos ? rest.size() : end + 1);
    const std::size_t equals = one.find('=');
    if (one.substr(0, equals) != name || equals == one.npos) continue;
    std::string value;
    for (std::size_t at = equals + 1; at < one.size(); ++at) {
      auto byte = one[at] == '%' ? base::from_hex(one.substr(at + 1, 2)) : Result<Bytes>(Bytes());
      if (byte && byte->size() == 1) at += 2;
      value += byte && byte->size() == 1 ? static_cast<char>(byte->front()) : one[at];
    }
    return value;
  }
  return {};
}

Result<std::unique_ptr<HttpsServer>> HttpsServer::listen(const std::string& address, const ServerTls* tls,
                                                         Handler handler, const ServerLimits& limits) {
  auto server = std::make_unique<Listener>(std::move(handler), limits);
  ENCLAYER_CHECK(server->start(address, tls));
  return std::unique_ptr<HttpsServer>(std::move(server));
}

}  // namespace enclayer::http
