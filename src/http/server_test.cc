// SPDX-License-Identifier: Apache-2.0
#include "http/server.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <atomic>
#include <future>

#include "base/file.h"
#include "base/metric_names.h"
#include "base/metrics.h"
#include "fake/http_service.h"

namespace enclayer::http {
namespace {

constexpr timeval kPatience{10, 0};  // longer than any of the server's own times

// A connection from `from`, which has sent `said`.
base::UniqueFd connection(const std::string& address, const std::string& said = "", const char* from = "127.0.0.1") {
  base::UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in own{}, to{};
  own.sin_family = to.sin_family = AF_INET;
  ::inet_pton(AF_INET, from, &own.sin_addr);
  to.sin_port = htons(static_cast<std::uint16_t>(std::stoi(address.substr(address.rfind(':') + 1))));
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof kPatience);
  EXPECT_EQ(::bind(fd.get(), reinterpret_cast<sockaddr*>(&own), sizeof own), 0);
  EXPECT_EQ(::connect(fd.get(), reinterpret_cast<sockaddr*>(&to), sizeof to), 0);
  EXPECT_EQ(::send(fd.get(), said.data(), said.size(), MSG_NOSIGNAL), static_cast<ssize_t>(said.size()));
  return fd;
}

// All that comes until the server closes.
std::string rest(const base::UniqueFd& fd) {
  std::string reply;
  char chunk[4096];
  for (ssize_t n; (n = ::recv(fd.get(), chunk, sizeof chunk, 0)) > 0;) reply.append(chunk, static_cast<std::size_t>(n));
  return reply;
}

std::string ask(const std::string& address, const std::string& request) { return rest(connection(address, request)); }

std::string get(const std::string& path) { return "GET " + path + " HTTP/1.1\r\nHost: a\r\n\r\n"; }

// Whether the server has closed it, or does within `seconds`.
bool closed(const base::UniqueFd& fd, int seconds) {
  pollfd one{fd.get(), POLLIN, 0};
  char byte;
  return ::poll(&one, 1, seconds * 1000) == 1 && ::recv(fd.get(), &byte, 1, MSG_DONTWAIT) <= 0;
}

constexpr auto kAlive = "HTTP/1.1 200 OK";

std::unique_ptr<Server> server() {
  auto made = Server::listen("127.0.0.1:0", {{"/metrics",
                                              [] {
                                                return Reply{200, "text/plain", "up 1\n"};
                                              },
                                              /*slow=*/true},
                                             {"/healthz", [] {
                                                return Reply{200, "text/plain", "ok\n"};
                                              }}});
  return made ? std::move(*made) : nullptr;
}

TEST(HttpServer, get_is_answered_by_the_handler_without_the_query) {
  auto served = server();
  std::string reply = ask(served->address(), "GET /metrics?x=1 HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(reply.substr(0, 15), "HTTP/1.1 200 OK");
  EXPECT_NE(reply.find("\r\n\r\nup 1\n"), std::string::npos) << reply;
}

TEST(HttpServer, unknown_paths_other_methods_and_garbage_do_not_stop_it) {
  auto served = server();
  EXPECT_EQ(ask(served->address(), "GET / HTTP/1.1\r\nHost: a\r\n\r\n").substr(0, 12), "HTTP/1.1 404");
  EXPECT_EQ(ask(served->address(), "POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n").substr(0, 12),
            "HTTP/1.1 405");
  EXPECT_EQ(ask(served->address(), "\x16\x03\x01 garbage\r\n\r\n"), "");
  EXPECT_EQ(ask(served->address(), "GET /" + std::string(20000, 'x') + " HTTP/1.1\r\n\r\n"), "");
  EXPECT_EQ(ask(served->address(), "GET /metrics HTTP/1.0\r\n\r\n").substr(0, 12), "HTTP/1.1 200");
}

TEST(HttpServer, who_does_not_know_the_path_learns_nothing_and_other_names_of_the_host_are_refused) {
  auto made = Server::listen("127.0.0.1:0",
                             {{"/secret/",
                               [] {
                                 return Reply{200, "text/html", "<p>", {{"Cache-Control", "no-store"}}};
                               }}},
                             Audience::kWhoKnowsThePath);
  ASSERT_TRUE(made);
  const std::string address = (*made)->address();
  auto asked = [&](const std::string& line, const std::string& host) {
    return ask(address, line + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n");
  };
  EXPECT_THAT(asked("GET /secret/", address), testing::AllOf(testing::StartsWith("HTTP/1.1 200"),
                                                             testing::HasSubstr("\r\nCache-Control: no-store\r\n")));
  for (const char* line : {"GET /", "GET /secret", "GET /secret/x", "GET /sfcret/", "POST /"})
    EXPECT_THAT(asked(line, address),
                testing::AllOf(testing::StartsWith("HTTP/1.1 404"), testing::Not(testing::HasSubstr("secret"))))
        << line;
  EXPECT_THAT(asked("POST /secret/", address), testing::StartsWith("HTTP/1.1 405"));
  const std::string port = address.substr(address.find(':'));
  for (const std::string& host : {"evil.example" + port, "localhost" + port, std::string("127.0.0.1"), std::string()})
    EXPECT_THAT(asked("GET /secret/", host), testing::StartsWith("HTTP/1.1 421")) << host;
  EXPECT_THAT(ask(address, "GET /secret/ HTTP/1.0\r\n\r\n"), testing::StartsWith("HTTP/1.1 421"));
}

TEST(HttpServer, a_daemons_metrics_and_health_are_served) {
  base::Metrics metrics;
  metrics.counter({"enclayer_test_total", base::MetricType::kCounter, "", "test", "A test."}).add();
  auto served = serve_metrics("127.0.0.1:0", metrics);
  ASSERT_TRUE(served);
  EXPECT_NE(ask((*served)->address(), "GET /metrics HTTP/1.1\r\n\r\n").find("enclayer_test_total 1"),
            std::string::npos);
  EXPECT_NE(ask((*served)->address(), "GET /healthz HTTP/1.1\r\n\r\n").find("\r\n\r\nok\n"), std::string::npos);
  EXPECT_EQ(ask((*served)->address(), "GET / HTTP/1.1\r\n\r\n").substr(0, 12), "HTTP/1.1 404");
}

TEST(HttpServer, readiness_says_what_is_missing_and_figures_are_brought_up_to_date_before_a_page) {
  base::Metrics metrics;
  std::string missing = "the kubelet is not there\n";
  int pages = 0;
  std::string remark;
  auto served =
      serve_metrics("127.0.0.1:0", metrics, {[&] { ++pages; }, [&] { return missing; }, [&] { return remark; }});
  ASSERT_TRUE(served) << served.error().message();
  std::string refused = ask((*served)->address(), "GET /readyz HTTP/1.1\r\n\r\n");
  EXPECT_TRUE(refused.starts_with("HTTP/1.1 503")) << refused;
  EXPECT_NE(refused.find("the kubelet is not there"), std::string::npos) << refused;
  missing.clear();
  std::string ready = ask((*served)->address(), "GET /readyz HTTP/1.1\r\n\r\n");
  EXPECT_TRUE(ready.starts_with("HTTP/1.1 200") && ready.ends_with("\nok\n")) << ready;
  remark = "for the second time";
  ready = ask((*served)->address(), "GET /readyz HTTP/1.1\r\n\r\n");
  EXPECT_TRUE(ready.starts_with("HTTP/1.1 200") && ready.ends_with("\nok, for the second time\n")) << ready;
  EXPECT_EQ(pages, 0);
  ask((*served)->address(), "GET /metrics HTTP/1.1\r\n\r\n");
  EXPECT_EQ(pages, 1);
}

TEST(HttpServer, a_prober_beside_a_daemon_hears_what_it_says_or_that_nobody_answers) {
  base::Metrics metrics;
  std::string missing;
  auto served = serve_metrics("127.0.0.1:0", metrics, {.not_ready = [&] { return missing; }});
  ASSERT_TRUE(served) << served.error().message();
  const std::string address = (*served)->address();
  EXPECT_TRUE(probe(address, "/readyz")) << probe(address, "/readyz").error().message();
  missing = "no list yet";
  EXPECT_NE(probe(address, "/readyz").error().message().find("no list yet"), std::string::npos);
  EXPECT_EQ(probe(address, "/readyz").error().kind(), ErrorKind::kUnavailable);
  EXPECT_EQ(probe(address, "/healthz").value(), "ok\n");
  metrics.gauge(base::metric::kEpcMib).set(7);
  EXPECT_THAT(probe(address, "/metrics").value(), testing::EndsWith("enclayer_epc_mib 7\n"));
  served->reset();
  EXPECT_NE(probe(address, "/healthz").error().message().find("does not answer"), std::string::npos);
  EXPECT_EQ(probe("nowhere", "/healthz").error().kind(), ErrorKind::kInvalidArgument);
}

TEST(HttpServer, a_prober_refuses_an_answer_that_is_cut_off_or_has_no_end) {
  std::string answer;
  fake::HttpService service([&](const fake::HttpRequest&) { return fake::HttpAnswer{answer}; });
  answer = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nok\n";
  EXPECT_THAT(probe(service.address(), "/metrics").error().message(), testing::HasSubstr("was cut off after 3 bytes"));
  answer = "HTTP/1.1 200 OK\r\nContent-Length: 5000000\r\n\r\n" + std::string(5'000'000, 'x');
  EXPECT_THAT(probe(service.address(), "/metrics").error().message(), testing::HasSubstr("more than 4194304 bytes"));
}

TEST(HttpServer, a_probe_is_answered_behind_connections_that_say_nothing_or_half) {
  auto served = server();
  std::vector<base::UniqueFd> silent;
  for (std::size_t i = 0; i < 3 * Server::kMaxReading; ++i) {
    silent.push_back(connection(served->address(), i % 2 == 0 ? "" : "GET /healthz HTTP/1.1\r\nHost:"));
    if (i % 16 != 15) continue;
    EXPECT_TRUE(ask(served->address(), get("/healthz")).starts_with(kAlive)) << i;
  }
  EXPECT_TRUE(ask(served->address(), get("/metrics")).starts_with(kAlive));
  EXPECT_TRUE(closed(silent.front(), 2));  // sooner than its time to ask ends
  EXPECT_FALSE(closed(silent.back(), 0));
}

TEST(HttpServer, a_peer_crowds_out_itself_first) {
  auto served = server();
  base::UniqueFd first = connection(served->address(), "GET /heal");
  std::vector<base::UniqueFd> silent;
  for (std::size_t i = 0; i < 2 * Server::kMaxReading; ++i)
    silent.push_back(connection(served->address(), "", "127.0.0.2"));
  EXPECT_TRUE(closed(silent.front(), 2));
  ::send(first.get(), "thz HTTP/1.1\r\n\r\n", 17, MSG_NOSIGNAL);
  EXPECT_TRUE(rest(first).starts_with(kAlive));
}

TEST(HttpServer, a_probe_is_answered_while_pages_are_made_and_all_who_wait_share_the_next) {
  base::Metrics metrics;
  std::atomic<int> pages = 0;
  std::promise<void> begun, go_on;
  auto served = serve_metrics("127.0.0.1:0", metrics, {.before_metrics = [&] {
                                if (pages++ > 0) return;
                                begun.set_value();
                                go_on.get_future().wait();
                              }});
  ASSERT_TRUE(served);
  base::UniqueFd first = connection((*served)->address(), get("/metrics"));
  begun.get_future().wait();
  std::vector<base::UniqueFd> scrapes;  // all that may wait, and more
  for (std::size_t i = 0; i < 2 * Server::kMaxAnswering; ++i)
    scrapes.push_back(connection((*served)->address(), get("/metrics")));
  EXPECT_TRUE(ask((*served)->address(), get("/healthz")).starts_with(kAlive));
  EXPECT_TRUE(ask((*served)->address(), get("/readyz")).starts_with(kAlive));
  EXPECT_EQ(rest(first), "");  // the oldest of those who wait is gone
  go_on.set_value();
  EXPECT_TRUE(rest(scrapes.back()).starts_with(kAlive));
  EXPECT_EQ(pages, 2);
}

TEST(HttpServer, a_client_that_does_not_read_holds_nobody_up) {
  const std::string large(16 << 20, 'x');  // more than sockets take
  auto made = Server::listen("127.0.0.1:0", {{"/metrics",
                                              [&] {
                                                return Reply{200, "text/plain", large};
                                              },
                                              /*slow=*/true},
                                             {"/healthz", [] {
                                                return Reply{200, "text/plain", "ok\n"};
                                              }}});
  ASSERT_TRUE(made);
  std::vector<base::UniqueFd> deaf;
  for (std::size_t i = 0; i < 2 * Server::kMaxAnswering; ++i)
    deaf.push_back(connection((*made)->address(), get("/metrics")));
  EXPECT_TRUE(ask((*made)->address(), get("/healthz")).starts_with(kAlive));
  EXPECT_TRUE(ask((*made)->address(), get("/metrics")).ends_with(large.substr(0, 100)));
}

TEST(HttpServer, address_that_is_none_and_port_that_is_taken_are_refused) {
  const std::vector<Page> nothing;
  for (const char* address : {"", "9090", "localhost:9090", "127.0.0.1:", "127.0.0.1:70000", "127.0.0.1:90x"}) {
    auto made = Server::listen(address, nothing);
    ASSERT_FALSE(made) << address;
    EXPECT_EQ(made.error().kind(), ErrorKind::kInvalidArgument) << address;
  }
  auto first = Server::listen("127.0.0.1:0", nothing);
  ASSERT_TRUE(first);
  auto second = Server::listen((*first)->address(), nothing);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind(), ErrorKind::kConflict);
}

}  // namespace
}  // namespace enclayer::http
