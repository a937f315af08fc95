// SPDX-License-Identifier: Apache-2.0
#include "http/https_server.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <future>

#include "base/bytes.h"
#include "base/file.h"
#include "fake/http_service.h"
#include "http/client.h"

namespace enclayer::http {
namespace {

using namespace std::chrono_literals;

constexpr timeval kPatience{20, 0};

base::UniqueFd connection(const std::string& address, const std::string& said = "") {
  base::UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<std::uint16_t>(std::stoi(address.substr(address.rfind(':') + 1))));
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof kPatience);
  EXPECT_EQ(::connect(fd.get(), reinterpret_cast<sockaddr*>(&to), sizeof to), 0);
  EXPECT_EQ(::send(fd.get(), said.data(), said.size(), MSG_NOSIGNAL), static_cast<ssize_t>(said.size()));
  return fd;
}

// What comes until the server closes.
std::string rest(const base::UniqueFd& fd) {
  std::string all;
  char chunk[4096];
  for (ssize_t n; (n = ::recv(fd.get(), chunk, sizeof chunk, 0)) > 0;) all.append(chunk, static_cast<std::size_t>(n));
  return all;
}

// What comes until `end` is in it.
std::string until(const base::UniqueFd& fd, const std::string& end) {
  std::string all;
  char byte = 0;
  while (all.find(end) == all.npos && ::recv(fd.get(), &byte, 1, 0) == 1) all += byte;
  return all;
}

bool closed(const base::UniqueFd& fd) {
  char byte = 0;
  return ::recv(fd.get(), &byte, 1, 0) <= 0 && errno != EAGAIN;
}

const std::string kGet = "GET /echo?a=b%20c HTTP/1.1\r\nHost: a\r\n\r\n";

Answer echo(const Incoming& request) {
  return {200, "text/plain", request.method + " " + request.path + " " + request.parameter("a") + " " + request.body};
}

std::unique_ptr<HttpsServer> plain_server(const ServerLimits& limits = {}, HttpsServer::Handler handler = echo) {
  auto server = HttpsServer::listen("127.0.0.1:0", nullptr, std::move(handler), limits);
  EXPECT_TRUE(server);
  return server ? std::move(*server) : nullptr;
}

using Session = std::unique_ptr<SSL_SESSION, decltype(&::SSL_SESSION_free)>;

// What is answered over TLS to a client that shows `own`, if it has one; empty: it is not served. The client resumes
// `session`, where there is one, and keeps what it is given in its place.
std::string over_tls(const std::string& address, const fake::TlsIdentity* own, const std::string& request,
                     Session* session = nullptr) {
  const base::UniqueFd fd = connection(address);
  std::unique_ptr<SSL_CTX, decltype(&::SSL_CTX_free)> context(::SSL_CTX_new(::TLS_client_method()), ::SSL_CTX_free);
  if (own != nullptr) {
    auto bio = [](const std::string& pem) { return ::BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())); };
    BIO *certificate = bio(own->certificate), *key = bio(own->key);
    X509* x509 = ::PEM_read_bio_X509(certificate, nullptr, nullptr, nullptr);
    EVP_PKEY* pkey = ::PEM_read_bio_PrivateKey(key, nullptr, nullptr, nullptr);
    EXPECT_EQ(::SSL_CTX_use_certificate(context.get(), x509), 1);
    EXPECT_EQ(::SSL_CTX_use_PrivateKey(context.get(), pkey), 1);
    ::X509_free(x509);
    ::EVP_PKEY_free(pkey);
    ::BIO_free(certificate);
    ::BIO_free(key);
  }
  std::unique_ptr<SSL, decltype(&::SSL_free)> ssl(::SSL_new(context.get()), ::SSL_free);
  ::SSL_set_fd(ssl.get(), fd.get());
  if (session != nullptr && *session) ::SSL_set_session(ssl.get(), session->get());
  std::string all;
  if (::SSL_connect(ssl.get()) != 1 || ::SSL_write(ssl.get(), request.data(), static_cast<int>(request.size())) <= 0)
    return all;
  char chunk[4096];
  for (int n = 0; (n = ::SSL_read(ssl.get(), chunk, sizeof chunk)) > 0;) all.append(chunk, static_cast<std::size_t>(n));
  ::SSL_shutdown(ssl.get());  // else no session could be resumed
  if (session != nullptr) session->reset(::SSL_get1_session(ssl.get()));
  return all;
}

void wait_for(const std::function<bool()>& condition) {
  const auto deadline = std::chrono::steady_clock::now() + 20s;
  while (!condition() && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  EXPECT_TRUE(condition());
}

class HttpsServerTest : public testing::Test {
 protected:
  Client client(std::string authority) {
    Options options;
    options.ca_pem = std::move(authority);
    options.any_status = true;
    options.limits.tries = 1;
    options.limits.max_body = 2 << 20;
    return Client(std::move(options));
  }
  const fake::TlsIdentity identity_ = fake::make_tls_identity();
  const ServerTls tls_{identity_.certificate, identity_.key};
};

TEST_F(HttpsServerTest, requests_with_bodies_are_answered_over_one_connection_that_is_kept) {
  auto server = HttpsServer::listen("127.0.0.1:0", &tls_, echo);
  ASSERT_TRUE(server) << server.error().message();
  Client asks = client(identity_.authority);
  for (const std::size_t size : {0u, 5u, 100'000u, 1u << 20}) {
    const std::string body(size, 'x');
    auto answer = asks.send({"https://" + (*server)->address() + "/echo?b=1&a=b%20c", "POST", {}, body});
    ASSERT_TRUE(answer) << answer.error().message();
    EXPECT_EQ(answer->status, 200u);
    EXPECT_EQ(base::as_text(answer->body).substr(0, 200), ("POST /echo b c " + body).substr(0, 200));
  }
  EXPECT_EQ((*server)->load().connections, 1u);
}

TEST_F(HttpsServerTest, certificate_is_renewed_and_a_broken_one_leaves_the_old) {
  auto server = HttpsServer::listen("127.0.0.1:0", &tls_, echo);
  ASSERT_TRUE(server);
  const fake::TlsIdentity other = fake::make_tls_identity();
  EXPECT_EQ((*server)->renew({other.certificate, identity_.key}).error().kind(), ErrorKind::kMalformed);
  EXPECT_EQ((*server)->renew({"", other.key}).error().kind(), ErrorKind::kMalformed);
  EXPECT_TRUE(client(identity_.authority).get("https://" + (*server)->address() + "/"));
  ASSERT_TRUE((*server)->renew({other.certificate, other.key}));
  EXPECT_FALSE(client(identity_.authority).get("https://" + (*server)->address() + "/"));
  EXPECT_TRUE(client(other.authority).get("https://" + (*server)->address() + "/"));
}

TEST_F(HttpsServerTest, client_is_known_by_the_certificate_that_it_proves_and_by_no_other) {
  const fake::TlsIdentity known = fake::make_tls_identity("DNS:client"),
                          stranger = fake::make_tls_identity("DNS:client");
  ServerTls tls = tls_;
  tls.client_authorities = known.authority;
  auto server = HttpsServer::listen("127.0.0.1:0", &tls, [](const Incoming& request) {
    return Answer{200, "text/plain", "you are \"" + request.client + "\""};
  });
  ASSERT_TRUE(server);
  const std::string ask = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
  EXPECT_NE(over_tls((*server)->address(), &known, ask).find("you are \"CN=Test Service\""), std::string::npos);
  EXPECT_NE(over_tls((*server)->address(), nullptr, ask).find("you are \"\""), std::string::npos);
  EXPECT_EQ(over_tls((*server)->address(), &stranger, ask), "");
}

TEST_F(HttpsServerTest, client_that_would_resume_its_session_proves_its_certificate_anew) {
  const fake::TlsIdentity known = fake::make_tls_identity("DNS:client");
  ServerTls tls = tls_;
  tls.client_authorities = known.authority;
  auto server = HttpsServer::listen("127.0.0.1:0", &tls, [](const Incoming& request) {
    return Answer{200, "text/plain", "<" + request.client + ">"};
  });
  ASSERT_TRUE(server);
  const std::string request = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
  Session session(nullptr, ::SSL_SESSION_free);
  const std::string first = over_tls((*server)->address(), &known, request, &session);
  EXPECT_NE(first.find("<CN=Test Service>"), first.npos) << first;
  ASSERT_TRUE(session);
  EXPECT_EQ(over_tls((*server)->address(), &known, request, &session), first);
  const std::string without = over_tls((*server)->address(), nullptr, request, &session);
  EXPECT_NE(without.find("<>"), without.npos) << "known by a session alone: " << without;
}

TEST_F(HttpsServerTest, our_own_client_proves_who_it_is) {
  const auto known = fake::make_tls_identity(), other = fake::make_tls_identity();
  ServerTls tls = tls_;
  tls.client_authorities = known.authority;
  auto server = HttpsServer::listen("127.0.0.1:0", &tls, [](const Incoming& request) {
    return Answer{.status = 200, .body = "you are \"" + request.client + "\""};
  });
  ASSERT_TRUE(server) << server.error().message();
  Options options;
  options.ca_pem = identity_.authority;
  options.limits.tries = 1;
  auto answered = [&] {
    auto answer = Client(options).get("https://" + (*server)->address() + "/");
    return answer ? std::string(base::as_text(answer->body)) : answer.error().message();
  };
  EXPECT_EQ(answered(), "you are \"\"");
  options.certificate_pem = known.certificate;
  EXPECT_NE(answered().find("no certificate with its private key"), std::string::npos) << answered();
  options.key_pem = other.key;
  EXPECT_NE(answered().find("no certificate with its private key"), std::string::npos) << answered();
  options.key_pem = known.key;
  EXPECT_EQ(answered(), "you are \"CN=Test Service\"");
}

TEST_F(HttpsServerTest, clients_of_plain_http_and_silent_ones_get_nothing_over_tls) {
  ServerLimits limits;
  limits.handshake = 1s;
  auto server = HttpsServer::listen("127.0.0.1:0", &tls_, echo, limits);
  ASSERT_TRUE(server);
  EXPECT_EQ(rest(connection((*server)->address(), kGet)).find("200"), std::string::npos);
  EXPECT_TRUE(closed(connection((*server)->address())));
  EXPECT_EQ((*server)->load().slow, 1u);
}

TEST_F(HttpsServerTest, what_is_too_long_or_no_request_is_told_so) {
  ServerLimits limits;
  limits.body = 1000;
  auto server = plain_server(limits);
  auto said = [&](const std::string& request) { return rest(connection(server->address(), request)).substr(9, 3); };
  EXPECT_EQ(said("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n"), "413");
  EXPECT_EQ(said("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000\r\n\r\n" + std::string(2'000'000, 'x')),
            "413");
  EXPECT_EQ(said("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n400\r\n" +
                 std::string(1024, 'x') + "\r\n400\r\n"),
            "413");
  EXPECT_EQ(said("GET /echo HTTP/1.1\r\nX: " + std::string(20'000, 'x') + "\r\n\r\n"), "431");
  EXPECT_EQ(said("hello\r\n\r\n"), "400");
  EXPECT_EQ(said("POST /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 1000\r\n\r\n" +
                 std::string(1000, 'x')),
            "200");
}

TEST_F(HttpsServerTest, request_that_comes_too_slowly_is_dropped_and_so_is_who_asks_nothing_more) {
  ServerLimits limits;
  limits.request = limits.idle = 1s;
  auto server = plain_server(limits);
  EXPECT_TRUE(closed(connection(server->address(), "GET /ec")));
  auto idle = connection(server->address(), kGet);
  EXPECT_NE(until(idle, "b c ").find("200 OK"), std::string::npos);
  EXPECT_TRUE(closed(idle));
  EXPECT_EQ(server->load().slow, 2u);
}

TEST_F(HttpsServerTest, who_asks_before_sending_a_body_is_told_to_go_on) {
  auto server = plain_server();
  auto asks = connection(server->address(),
                         "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_EQ(until(asks, "\r\n\r\n").substr(0, 12), "HTTP/1.1 100");
  ASSERT_EQ(::send(asks.get(), "abc", 3, MSG_NOSIGNAL), 3);
  EXPECT_NE(until(asks, "abc").find("200 OK"), std::string::npos);
}

TEST_F(HttpsServerTest, request_whose_end_is_not_clear_is_refused_and_what_follows_is_not_read) {
  auto server = plain_server();
  const std::string next = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
  for (const char* head :
       {"Host: a\r\nTransfer-Encoding: xchunked\r\n", "Host: a\r\nTransfer-Encoding: gzip\r\n",
        "Host: a\r\nTransfer-Encoding: chunked, identity\r\n",
        "Host: a\r\nTransfer-Encoding: identity\r\nContent-Length: 5\r\n",
        "Host: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n",
        "Host: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n", "Host: a\r\nHost: b\r\n", ""}) {
    const std::string said =
        rest(connection(server->address(), "POST /echo HTTP/1.1\r\n" + std::string(head) + "\r\n" + next));
    EXPECT_TRUE(said.starts_with("HTTP/1.1 400 ")) << head << said;
    EXPECT_EQ(said.find("smuggled"), std::string::npos) << head << said;
  }
  EXPECT_NE(rest(connection(server->address(),
                            "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
                            "3\r\nabc\r\n0\r\n\r\n"))
                .find("abc"),
            std::string::npos);
}

TEST_F(HttpsServerTest, who_holds_most_of_a_body_gives_way_where_all_have_no_room) {
  ServerLimits limits;
  limits.bodies = 3000;
  auto server = plain_server(limits);
  auto begun = [](std::size_t announced, std::size_t sent) {
    return "POST /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: " + std::to_string(announced) +
           "\r\n\r\n" + std::string(sent, 'x');
  };
  const base::UniqueFd slow = connection(server->address(), begun(2000, 10));
  wait_for([&] { return server->load().connections == 1; });
  ASSERT_NE(rest(connection(server->address(), begun(1, 1))).find("200 OK"), std::string::npos)
      << "so its lines are read";
  EXPECT_EQ(rest(connection(server->address(), begun(2500, 10))), "") << "it holds most itself";
  EXPECT_NE(rest(connection(server->address(), begun(900, 900))).find("200 OK"), std::string::npos);
  EXPECT_EQ(server->load().evicted, 1u);
  EXPECT_NE(rest(connection(server->address(), begun(1500, 1500))).find("200 OK"), std::string::npos);
  EXPECT_TRUE(closed(slow));
  EXPECT_EQ(server->load().evicted, 2u);
}

TEST_F(HttpsServerTest, silent_connections_give_way_oldest_first_and_busy_ones_never) {
  std::promise<void> go_on;
  const auto gone_on = go_on.get_future().share();
  ServerLimits limits;
  limits.connections = 3;
  limits.workers = 2;
  auto server = plain_server(limits, [&](const Incoming& request) {
    if (request.path == "/wait") gone_on.wait();
    return echo(request);
  });
  auto busy = connection(server->address(), "GET /wait HTTP/1.1\r\nHost: a\r\n\r\n");
  wait_for([&] { return server->load().pending == 1; });
  auto first = connection(server->address());
  wait_for([&] { return server->load().connections == 2; });
  auto second = connection(server->address(), "GET /half");
  wait_for([&] { return server->load().connections == 3; });
  auto third = connection(server->address(), kGet);
  EXPECT_TRUE(closed(first));
  EXPECT_NE(until(third, "b c ").find("200 OK"), std::string::npos);
  EXPECT_EQ(server->load().evicted, 1u);
  go_on.set_value();
  EXPECT_NE(until(busy, "/wait").find("200 OK"), std::string::npos);
}

TEST_F(HttpsServerTest, work_holds_up_nobody_else_and_too_much_of_it_is_refused) {
  std::promise<void> go_on;
  const auto gone_on = go_on.get_future().share();
  ServerLimits limits;
  limits.workers = 2;
  limits.pending = 2;
  auto server = plain_server(limits, [&](const Incoming& request) {
    if (request.path == "/wait") gone_on.wait();
    return echo(request);
  });
  const std::string wait = "GET /wait HTTP/1.1\r\nHost: a\r\n\r\n";
  auto slow = connection(server->address(), wait);
  wait_for([&] { return server->load().pending == 1; });
  EXPECT_NE(until(connection(server->address(), kGet), "b c ").find("200 OK"), std::string::npos);
  wait_for([&] { return server->load().pending == 1; });
  auto slow_too = connection(server->address(), wait);
  wait_for([&] { return server->load().pending == 2; });
  const std::string refused = until(connection(server->address(), kGet), "moment");
  EXPECT_NE(refused.find("503"), std::string::npos);
  EXPECT_NE(refused.find("Retry-After: 1\r\n"), std::string::npos);
  go_on.set_value();
}

TEST_F(HttpsServerTest, what_was_begun_is_finished_at_the_end) {
  std::promise<void> go_on;
  const auto gone_on = go_on.get_future().share();
  auto server = plain_server({}, [&](const Incoming& request) {
    gone_on.wait();
    return echo(request);
  });
  auto asks = connection(server->address(), kGet);
  auto idle = connection(server->address());
  wait_for([&] { return server->load().pending == 1 && server->load().connections == 2; });
  auto ended = std::async(std::launch::async, [&] { server.reset(); });
  EXPECT_TRUE(closed(idle));
  go_on.set_value();
  EXPECT_NE(rest(asks).find("Connection: close"), std::string::npos);
  ended.wait();
}

TEST_F(HttpsServerTest, handler_that_throws_is_a_500_and_harms_nobody) {
  auto server = plain_server({}, [](const Incoming&) -> Answer { throw std::runtime_error("a mistake"); });
  auto asks = connection(server->address(), kGet + kGet);
  EXPECT_NE(until(asks, "mistake\n").find(" 500 "), std::string::npos);
  EXPECT_NE(until(asks, "mistake\n").find(" 500 "), std::string::npos);
}

}  // namespace
}  // namespace enclayer::http
