#include "net/http_endpoint.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "base/file.h"
#include "base/metrics.h"

namespace enclayer::net {
namespace {

// Sends `request` and gives back all that comes until the server closes; "" when nothing comes within 10 s.
std::string ask(const std::string& address, const std::string& request) {
  base::UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<std::uint16_t>(std::stoi(address.substr(address.rfind(':') + 1))));
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  timeval deadline{10, 0};
  ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &deadline, sizeof deadline);
  if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&to), sizeof to) != 0) return "";
  if (::send(fd.get(), request.data(), request.size(), MSG_NOSIGNAL) < 0) return "";
  std::string reply;
  char chunk[4096];
  for (ssize_t n; (n = ::recv(fd.get(), chunk, sizeof chunk, 0)) > 0;) reply.append(chunk, static_cast<std::size_t>(n));
  return reply;
}

std::unique_ptr<HttpEndpoint> endpoint() {
  auto made = HttpEndpoint::listen("127.0.0.1:0", [](const std::string& path) {
    return path == "/metrics" ? HttpReply{200, "text/plain", "up 1\n"} : HttpReply{404, "text/plain", "nothing here\n"};
  });
  return made ? std::move(*made) : nullptr;
}

TEST(HttpEndpoint, get_is_answered_by_the_handler_without_the_query) {
  auto served = endpoint();
  std::string reply = ask(served->address(), "GET /metrics?x=1 HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(reply.substr(0, 15), "HTTP/1.1 200 OK");
  EXPECT_NE(reply.find("\r\n\r\nup 1\n"), std::string::npos) << reply;
}

TEST(HttpEndpoint, unknown_paths_other_methods_and_garbage_do_not_stop_it) {
  auto served = endpoint();
  EXPECT_EQ(ask(served->address(), "GET / HTTP/1.1\r\nHost: a\r\n\r\n").substr(0, 12), "HTTP/1.1 404");
  EXPECT_EQ(ask(served->address(), "POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n").substr(0, 12),
            "HTTP/1.1 405");
  EXPECT_EQ(ask(served->address(), "\x16\x03\x01 garbage\r\n\r\n"), "");
  EXPECT_EQ(ask(served->address(), "GET /" + std::string(20000, 'x') + " HTTP/1.1\r\n\r\n"), "");
  EXPECT_EQ(ask(served->address(), "GET /metrics HTTP/1.0\r\n\r\n").substr(0, 12), "HTTP/1.1 200");
}

TEST(HttpEndpoint, a_daemons_metrics_and_health_are_served) {
  base::Metrics metrics;
  metrics.counter({"enclayer_test_total", base::MetricType::kCounter, "", "test", "A test."}).add();
  auto served = serve_metrics("127.0.0.1:0", metrics);
  ASSERT_TRUE(served);
  EXPECT_NE(ask((*served)->address(), "GET /metrics HTTP/1.1\r\n\r\n").find("enclayer_test_total 1"),
            std::string::npos);
  EXPECT_NE(ask((*served)->address(), "GET /healthz HTTP/1.1\r\n\r\n").find("\r\n\r\nok\n"), std::string::npos);
  EXPECT_EQ(ask((*served)->address(), "GET / HTTP/1.1\r\n\r\n").substr(0, 12), "HTTP/1.1 404");
}

TEST(HttpEndpoint, readiness_says_what_is_missing_and_figures_are_brought_up_to_date_before_a_page) {
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

TEST(HttpEndpoint, address_that_is_none_and_port_that_is_taken_are_refused) {
  auto nothing = [](const std::string&) { return HttpReply{}; };
  for (const char* address : {"", "9090", "localhost:9090", "127.0.0.1:", "127.0.0.1:70000", "127.0.0.1:90x"}) {
    auto made = HttpEndpoint::listen(address, nothing);
    ASSERT_FALSE(made) << address;
    EXPECT_EQ(made.error().kind(), ErrorKind::kInvalidArgument) << address;
  }
  auto first = HttpEndpoint::listen("127.0.0.1:0", nothing);
  ASSERT_TRUE(first);
  auto second = HttpEndpoint::listen((*first)->address(), nothing);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind(), ErrorKind::kConflict);
}

}  // namespace
}  // namespace enclayer::net
