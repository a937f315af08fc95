// SPDX-License-Identifier: Apache-2.0
#include "http/client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <future>
#include <memory>

#include "base/bytes.h"
#include "base/hex.h"
#include "base/wakeup.h"
#include "fake/http_service.h"
#include "fake/temp_folder.h"

namespace enclayer::http {
namespace {

using fake::http_answer;
using fake::HttpAnswer;
using fake::HttpService;
using std::chrono::milliseconds;
using testing::HasSubstr;

// Patient where nothing should go wrong; pauses are noted, not made.
struct Patient {
  std::vector<milliseconds> pauses;
  Options options;

  Patient() {
    options.advice = {.status = [](long status) { return "advice about " + std::to_string(status); },
                      .words = {},
                      .connect = "advice to connect",
                      .authority = "advice on authorities",
                      .ca_pem = "advice on its PEM",
                      .not_http = "advice on HTTP"};
    options.pause = [this](milliseconds time) { pauses.push_back(time); };
  }
  Result<Response> get(const std::string& url) { return http::Client(options).get(url); }
};

// The n-th request gets the n-th answer, the last one for ever.
HttpService::Handler one_after_another(std::vector<HttpAnswer> answers) {
  return [answers = std::move(answers), next = std::make_shared<std::size_t>(0)](const std::string&) {
    return answers[std::min((*next)++, answers.size() - 1)];
  };
}

std::string text(const Result<Response>& response) {
  return response ? std::string(base::as_text(response->body)) : response.error().message();
}

// As Transfer-Encoding: chunked has it, without the end.
std::string chunks(const std::string& body) {
  std::string out;
  for (std::size_t at = 0; at < body.size(); at += 1000) {
    std::string chunk = body.substr(at, 1000);
    out += base::to_hex(Bytes{static_cast<std::uint8_t>(chunk.size() >> 8), static_cast<std::uint8_t>(chunk.size())}) +
           "\r\n" + chunk + "\r\n";
  }
  return out;
}

// Leaves it to the client whether the connection is kept.
HttpAnswer kept_answer(const std::string& body, HttpAnswer::Then then) {
  return {"HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body, then};
}

TEST(HttpClient, gets_headers_and_body) {
  HttpService service([](const std::string& target) { return http_answer(200, "at " + target, "X-Some: thing\r\n"); });
  Patient client;
  auto response = client.get(service.url() + "/a?b=c");
  EXPECT_EQ(text(response), "at /a?b=c");
  EXPECT_THAT(response->headers, HasSubstr("X-Some: thing\r\n"));
  EXPECT_TRUE(client.pauses.empty());
}

TEST(HttpClient, sends_method_headers_and_body_as_often_as_it_takes) {
  std::vector<std::string> seen;
  HttpService service([&](const fake::HttpRequest& request) {
    seen.push_back(request.method + " " + request.body);
    EXPECT_THAT(request.head, HasSubstr("\r\nX-One: 1\r\n"));
    EXPECT_THAT(request.head, HasSubstr("\r\nContent-Type: text/some\r\n"));
    return http_answer(seen.size() == 1 ? 503 : 200, "well");
  });
  Patient client;
  auto response = Client(client.options).send({service.url(), "PATCH", {"X-One: 1", "Content-Type: text/some"}, "new"});
  EXPECT_EQ(text(response), "well");
  EXPECT_EQ(seen, (std::vector<std::string>{"PATCH new", "PATCH new"}));
}

TEST(HttpClient, the_status_is_the_code_of_the_error) {
  for (int status : {401, 404, 409, 503}) {
    HttpService service(one_after_another({http_answer(status, "")}));
    auto response = Patient().get(service.url());
    ASSERT_FALSE(response);
    EXPECT_EQ(response.error().code(), static_cast<std::uint32_t>(status));
    EXPECT_EQ(response.error().kind() == ErrorKind::kConflict, status == 409);
  }
}

TEST(HttpClient, a_unix_socket_is_asked_whatever_the_host_and_any_status_can_be_an_answer) {
  fake::TempFolder folder;
  Patient patient;
  patient.options.unix_socket = folder.path() / "api";
  patient.options.any_status = true;
  HttpService service(one_after_another({http_answer(201, "made"), http_answer(404, "none"), http_answer(503, "busy")}),
                      std::nullopt, patient.options.unix_socket);
  auto made = patient.get("http://localhost/one");
  ASSERT_TRUE(made) << made.error().message();
  EXPECT_EQ(made->status, 201U);
  EXPECT_EQ(text(made), "made");
  EXPECT_EQ(patient.get("http://localhost/two")->status, 404U);
  EXPECT_TRUE(patient.pauses.empty());
  EXPECT_EQ(patient.get("http://localhost/three")->status, 503U);
  EXPECT_EQ(patient.pauses.size(), 3U) << "trouble that passes is waited out";
  EXPECT_EQ(service.requests().size(), 6U);

  patient.options.unix_socket = folder.path() / std::string(200, 'x');
  EXPECT_THAT(text(patient.get("http://localhost/")), HasSubstr("too long for a unix socket's path"));
}

TEST(HttpClient, a_watch_ends_with_the_first_that_it_brings_and_the_next_one_has_its_own_connection) {
  HttpService service(one_after_another(
      {{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n", HttpAnswer::Then::kHang},
       http_answer(200, "whole")}));
  Patient patient;
  patient.options.limits.tries = 1;
  Client client(patient.options);
  EXPECT_EQ(text(client.send({service.url(), "GET", {}, {}, true})), "first");
  EXPECT_EQ(text(client.send({service.url(), "GET", {}, {}, true})), "whole");
  EXPECT_EQ(service.connections(), 2U);
}

TEST(HttpClient, stops_waiting_when_it_is_told_to) {
  HttpService service([](const std::string&) {
    return HttpAnswer{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", HttpAnswer::Then::kHang};
  });
  base::Wakeup stop;
  Patient patient;
  patient.options.stop = stop.fd();
  patient.options.limits.tries = 1;
  patient.options.limits.request = patient.options.limits.total = patient.options.limits.stalled =
      std::chrono::seconds(600);
  Client client(patient.options);
  auto answer = std::async(std::launch::async, [&] { return client.get(service.url()); });
  stop.ring();
  EXPECT_FALSE(answer.get());
  EXPECT_FALSE(client.get(service.url())) << "it is stopped for good";
}

TEST(HttpClient, stops_waiting_for_another_try_when_it_is_told_to) {
  std::promise<void> asked;
  HttpService service([&](const std::string&) {
    asked.set_value();
    return HttpAnswer{"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 500\r\nContent-Length: 0\r\n\r\n"};
  });
  base::Wakeup stop;
  Patient patient;
  patient.options.pause = nullptr;
  patient.options.stop = stop.fd();
  patient.options.limits.total = std::chrono::seconds(600);
  Client client(patient.options);
  auto answer = std::async(std::launch::async, [&] { return client.get(service.url()); });
  asked.get_future().wait();
  // The longer, the surer it is that the answer has come, and that it is the pause that ends.
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  const auto begin = std::chrono::steady_clock::now();
  stop.ring();
  EXPECT_FALSE(answer.get());
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(60));
}

TEST(HttpClient, interim_answers_are_not_the_answer) {
  HttpAnswer answer = http_answer(200, "body", "X-Some: last\r\n");
  answer.bytes = "HTTP/1.1 103 Early\r\nX-Some: early\r\n\r\n" + answer.bytes;
  HttpService service(one_after_another({answer}));
  auto response = Patient().get(service.url());
  ASSERT_TRUE(response) << response.error().message();
  EXPECT_THAT(response->headers, HasSubstr("X-Some: last\r\n"));
  EXPECT_THAT(response->headers, testing::Not(HasSubstr("early")));
}

TEST(HttpClient, not_found_is_told_with_what_the_service_said_and_not_asked_again) {
  HttpService service(one_after_another({http_answer(404, "No cache\x1b data")}));
  auto response = Patient().get(service.url() + "/tcb");
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().kind(), ErrorKind::kNotFound);
  EXPECT_THAT(response.error().message(), HasSubstr(service.url() + "/tcb: status 404 (\"No cache? data\")"));
  EXPECT_EQ(service.requests().size(), 1U);
}

TEST(HttpClient, what_will_not_get_better_is_not_asked_again) {
  for (int status : {204, 400, 401, 403, 407, 461, 501}) {
    HttpService service(one_after_another({http_answer(status, status == 204 ? "" : "no")}));
    auto response = Patient().get(service.url());
    ASSERT_FALSE(response) << status;
    EXPECT_EQ(response.error().kind(), ErrorKind::kUnavailable) << status;
    EXPECT_THAT(response.error().message(), HasSubstr("status " + std::to_string(status)));
    EXPECT_EQ(service.requests().size(), 1U) << status;
  }
}

TEST(HttpClient, trouble_that_passes_is_waited_out_with_growing_varied_pauses) {
  for (int status : {500, 502, 503, 504, 408}) {
    HttpService service(one_after_another({http_answer(status, ""), http_answer(status, ""), http_answer(200, "ok")}));
    Patient client;
    EXPECT_EQ(text(client.get(service.url())), "ok");
    ASSERT_EQ(client.pauses.size(), 2U);
    EXPECT_GE(client.pauses[0], client.options.limits.first_pause / 2);
    EXPECT_LE(client.pauses[0], client.options.limits.first_pause * 3 / 2);
    EXPECT_GE(client.pauses[1], client.options.limits.first_pause);
    EXPECT_LE(client.pauses[1], client.options.limits.first_pause * 3);
  }
}

TEST(HttpClient, pauses_are_not_the_same_twice) {
  std::vector<milliseconds> pauses;
  HttpService service(one_after_another({http_answer(500, "")}));
  for (int i = 0; i < 8; ++i) {
    Patient client;
    client.options.limits.tries = 2;
    client.options.limits.first_pause = milliseconds(20'000);
    EXPECT_FALSE(client.get(service.url()));
    pauses.insert(pauses.end(), client.pauses.begin(), client.pauses.end());
  }
  std::sort(pauses.begin(), pauses.end());
  EXPECT_NE(pauses.front(), pauses.back());
}

TEST(HttpClient, trouble_that_stays_ends_after_so_many_tries) {
  HttpService service(one_after_another({http_answer(503, "")}));
  auto response = Patient().get(service.url());
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().kind(), ErrorKind::kUnavailable);
  EXPECT_THAT(response.error().message(), HasSubstr("tried 4 times"));
  EXPECT_EQ(service.requests().size(), 4U);
}

TEST(HttpClient, waits_until_the_date_that_the_service_names) {
  HttpService service(one_after_another({http_answer(503, "",
                                                     "Date: Sat, 28 Nov 2026 23:59:58 GMT\r\n"
                                                     "Retry-After: Sun, 29 Nov 2026 00:00:05 GMT\r\n"),
                                         http_answer(200, "ok")}));
  Patient client;
  EXPECT_EQ(text(client.get(service.url())), "ok");
  ASSERT_EQ(client.pauses.size(), 1U);
  EXPECT_GE(client.pauses[0], std::chrono::seconds(7));
  EXPECT_LE(client.pauses[0], std::chrono::seconds(8));
}

TEST(HttpClient, waits_as_long_as_the_service_asks_for) {
  HttpService service(one_after_another({http_answer(429, "", "Retry-After: 7\r\n"), http_answer(200, "ok")}));
  Patient client;
  EXPECT_EQ(text(client.get(service.url())), "ok");
  ASSERT_EQ(client.pauses.size(), 1U);
  EXPECT_GE(client.pauses[0], std::chrono::seconds(7));
  EXPECT_LE(client.pauses[0], std::chrono::seconds(8));
}

TEST(HttpClient, does_not_wait_beyond_the_time_for_everything) {
  HttpService service(one_after_another({http_answer(429, "", "Retry-After: 3600\r\n"), http_answer(200, "ok")}));
  Patient client;
  auto response = client.get(service.url());
  ASSERT_FALSE(response);
  EXPECT_THAT(response.error().message(), HasSubstr("no time is left for another try, of 60000 ms"));
  EXPECT_THAT(response.error().message(), HasSubstr("advice about 429"));
  EXPECT_TRUE(client.pauses.empty());
}

TEST(HttpClient, a_connection_that_breaks_is_tried_again) {
  HttpService service(one_after_another({{"", HttpAnswer::Then::kReset},
                                         {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab", HttpAnswer::Then::kReset},
                                         {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab", HttpAnswer::Then::kClose},
                                         http_answer(200, "whole")}));
  EXPECT_EQ(text(Patient().get(service.url())), "whole");
  EXPECT_EQ(service.requests().size(), 4U);
}

TEST(HttpClient, a_body_beyond_the_limit_is_refused_announced_or_not) {
  std::string huge(Limits().max_body + 1, 'x');
  HttpService service([&](const std::string& target) {
    if (target == "/announced") return http_answer(200, huge);
    if (target == "/chunked")
      return HttpAnswer{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks(huge),
                        HttpAnswer::Then::kHang};
    return HttpAnswer{"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + huge, HttpAnswer::Then::kHang};
  });
  for (const char* path : {"/announced", "/chunked", "/endless"}) {
    Patient client;
    auto response = client.get(service.url() + path);
    ASSERT_FALSE(response) << path << " gives " << response->body.size() << " bytes";
    EXPECT_EQ(response.error().kind(), ErrorKind::kMalformed);
    EXPECT_THAT(response.error().message(), HasSubstr("longer than the 262144 bytes"));
    EXPECT_TRUE(client.pauses.empty());
  }
  HttpService just(one_after_another({http_answer(200, huge.substr(1))}));
  EXPECT_EQ(text(Patient().get(just.url())).size(), Limits().max_body);
}

TEST(HttpClient, chunks_and_what_ends_with_the_connection_are_put_together) {
  const std::string body(2500, 'x');
  HttpService service(one_after_another(
      {{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks(body) + "0\r\n\r\n", HttpAnswer::Then::kClose},
       {"HTTP/1.0 200 OK\r\n\r\n" + body, HttpAnswer::Then::kClose}}));
  for (int i = 0; i < 2; ++i) EXPECT_EQ(text(Patient().get(service.url())), body);
}

TEST(HttpClient, half_a_chunked_answer_is_none) {
  HttpService service(one_after_another(
      {{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks("half"), HttpAnswer::Then::kClose}}));
  auto response = Patient().get(service.url());
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().kind(), ErrorKind::kUnavailable);
  EXPECT_EQ(service.requests().size(), 4U);
}

TEST(HttpClient, a_connection_is_kept_for_the_next_request) {
  HttpService service(one_after_another({kept_answer("well", HttpAnswer::Then::kKeep)}));
  http::Client client{Options()};
  for (int i = 0; i < 3; ++i) EXPECT_EQ(text(client.get(service.url())), "well");
  EXPECT_EQ(service.connections(), 1U);
}

TEST(HttpClient, a_kept_connection_that_was_closed_meanwhile_is_no_failed_try) {
  HttpService service(one_after_another({kept_answer("well", HttpAnswer::Then::kClose)}));
  Patient patient;
  patient.options.limits.tries = 1;
  http::Client client(patient.options);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(text(client.get(service.url())), "well");
  EXPECT_EQ(service.connections(), 3U);
  EXPECT_EQ(service.requests().size(), 3U);
}

TEST(HttpClient, a_header_that_is_more_or_less_than_one_is_not_sent) {
  HttpService service(one_after_another({http_answer(200, "ok")}));
  for (const std::string& header : {std::string("X-One: 1\r\nX-Two: 2"), std::string("no name"), std::string(": 1"),
                                    "X: " + std::string(70'000, 'x')}) {
    auto refused = Client(Patient().options).send({service.url(), "GET", {header}, {}});
    ASSERT_FALSE(refused) << header;
    EXPECT_EQ(refused.error().kind(), ErrorKind::kInvalidArgument);
  }
  EXPECT_TRUE(service.requests().empty());
}

TEST(HttpClient, interim_answers_without_end_are_refused) {
  std::string interim;
  for (int i = 0; i < 1000; ++i) interim += "HTTP/1.1 103 Early\r\n\r\n";
  HttpService service(one_after_another({{interim, HttpAnswer::Then::kHang}}));
  auto response = Patient().get(service.url());
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().kind(), ErrorKind::kMalformed);
}

TEST(HttpClient, headers_beyond_the_limit_are_refused) {
  std::string headers;
  while (headers.size() <= Limits().max_headers) headers += "X-Some: " + std::string(1000, 'x') + "\r\n";
  HttpService service(one_after_another({http_answer(200, "ok", headers)}));
  auto response = Patient().get(service.url());
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().kind(), ErrorKind::kMalformed);
}

TEST(HttpClient, a_service_that_goes_silent_is_given_up_in_time) {
  for (const char* sent : {"", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nx"}) {
    HttpService service(one_after_another({{sent, HttpAnswer::Then::kHang}}));
    Patient client;
    client.options.limits.request = milliseconds(100);
    client.options.limits.tries = 2;
    auto response = client.get(service.url());
    ASSERT_FALSE(response);
    EXPECT_EQ(response.error().kind(), ErrorKind::kTimedOut);
    EXPECT_THAT(response.error().message(), HasSubstr("tried 2 times"));
  }
}

TEST(HttpClient, a_body_that_trickles_is_given_up_before_the_time_of_a_request) {
  for (HttpAnswer::Then then : {HttpAnswer::Then::kHang, HttpAnswer::Then::kDrip}) {
    HttpService service(one_after_another({{"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nx", then}}));
    Patient client;
    client.options.limits.stalled = std::chrono::seconds(1);
    client.options.limits.tries = 1;
    auto response = client.get(service.url());
    ASSERT_FALSE(response);
    EXPECT_EQ(response.error().kind(), ErrorKind::kTimedOut);
    EXPECT_THAT(response.error().message(), HasSubstr("64 bytes/sec"));
  }
}

TEST(HttpClient, all_requests_of_a_client_share_its_time) {
  HttpService service(one_after_another({{"", HttpAnswer::Then::kHang}}));
  Patient client;
  client.options.limits.total = milliseconds(150);
  http::Client http(client.options);
  EXPECT_FALSE(http.get(service.url()));
  auto started = std::chrono::steady_clock::now();
  EXPECT_FALSE(http.get(service.url()));
  EXPECT_LT(std::chrono::steady_clock::now() - started, std::chrono::seconds(5));
}

TEST(HttpClient, redirects_are_told_not_followed) {
  for (int status : {301, 302, 307, 308}) {
    HttpService service(
        one_after_another({http_answer(status, "", "Location: /elsewhere\r\n"), http_answer(200, "followed")}));
    auto response = Patient().get(service.url());
    ASSERT_FALSE(response);
    EXPECT_THAT(response.error().message(), HasSubstr(service.url() + "/elsewhere; redirects are not followed"));
    EXPECT_EQ(service.requests().size(), 1U);
  }
}

TEST(HttpClient, what_is_not_http_is_malformed) {
  HttpService service(one_after_another({{"220 mail.example ESMTP\r\n", HttpAnswer::Then::kClose}}));
  auto response = Patient().get(service.url());
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().kind(), ErrorKind::kMalformed);
  EXPECT_THAT(response.error().message(), HasSubstr("advice on HTTP"));
}

TEST(HttpClient, nobody_there_says_what_to_look_at) {
  std::string url;
  {
    url = HttpService([](const std::string&) { return http_answer(200, ""); }).url();
  }
  auto response = Patient().get(url);
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().kind(), ErrorKind::kUnavailable);
  EXPECT_THAT(response.error().message(), HasSubstr(url));
  EXPECT_THAT(response.error().message(), HasSubstr("advice to connect"));
}

TEST(HttpClient, other_schemes_are_refused) {
  for (const char* url : {"file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://127.0.0.1/x"}) {
    auto response = Patient().get(url);
    ASSERT_FALSE(response) << url;
    EXPECT_EQ(response.error().kind(), ErrorKind::kMalformed);
  }
}

TEST(HttpClient, goes_through_the_proxy_that_it_is_given) {
  HttpService proxy([](const std::string& target) { return http_answer(200, "asked for " + target); });
  Patient client;
  client.options.proxies.http = proxy.url();
  EXPECT_EQ(text(client.get("http://pcs.example/tcb")), "asked for http://pcs.example/tcb");
}

TEST(HttpClient, names_itself_to_a_proxy_and_to_nobody_else) {
  std::string head;
  HttpService proxy([&](const fake::HttpRequest& request) { return head = request.head, http_answer(200, "well"); });
  Patient client;
  client.options.proxies.http = "me:p%40ss@" + proxy.address();
  EXPECT_EQ(text(client.get("http://pcs.example/tcb")), "well");
  EXPECT_THAT(head, HasSubstr("\r\nProxy-Authorization: Basic bWU6cEBzcw==\r\n"));
  client.options.proxies.none = "127.0.0.0/8";
  EXPECT_EQ(text(client.get(proxy.url())), "well");
  EXPECT_THAT(head, testing::Not(HasSubstr("Basic")));
}

TEST(HttpClient, tls_goes_through_a_proxys_tunnel_and_is_checked_at_its_end) {
  fake::TlsIdentity identity = fake::make_tls_identity();
  HttpService service(one_after_another({http_answer(200, "secret")}), identity);
  std::vector<std::string> heads;
  HttpService proxy([&](const fake::HttpRequest& request) {
    heads.push_back(request.head);
    return HttpAnswer{"HTTP/1.1 200 Connected\r\n\r\n", HttpAnswer::Then::kTunnel};
  });
  Patient client;
  client.options.proxies.https = "http://me:you@" + proxy.address();
  EXPECT_FALSE(client.get(service.url()));
  client.options.ca_pem = identity.authority;
  auto send = [&] {
    return http::Client(client.options).send({service.url(), "GET", {"Authorization: Bearer t"}, {}});
  };
  EXPECT_EQ(text(send()), "secret");
  ASSERT_EQ(heads.size(), 2U);
  EXPECT_THAT(heads.back(), testing::StartsWith("CONNECT " + service.address() + " HTTP/1.1\r\n"));
  EXPECT_THAT(heads.back(), HasSubstr("\r\nProxy-Authorization: Basic "));
  EXPECT_THAT(heads.back(), testing::Not(HasSubstr("Bearer")));
}

TEST(HttpClient, a_proxy_that_opens_no_tunnel_is_told_of) {
  HttpService proxy(one_after_another({http_answer(407, "no")}));
  Patient client;
  client.options.proxies.https = proxy.url();
  auto response = client.get("https://pcs.example/tcb");
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().code(), 0U);
  EXPECT_THAT(response.error().message(),
              HasSubstr("the proxy answers CONNECT pcs.example:443 with status 407; advice about 407"));
  EXPECT_EQ(proxy.requests().size(), 1U);
}

TEST(HttpClient, a_certificate_is_for_the_name_that_was_asked) {
  fake::TlsIdentity identity = fake::make_tls_identity("DNS:localhost");
  HttpService service(one_after_another({http_answer(200, "secret")}), identity);
  const std::string by_name = "https://localhost" + service.url().substr(service.url().rfind(':'));
  Patient client;
  client.options.ca_pem = identity.authority;
  EXPECT_EQ(text(client.get(by_name)), "secret");
  auto refused = client.get(service.url());
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message(), HasSubstr("advice on authorities"));
  fake::TlsIdentity other = fake::make_tls_identity("DNS:pcs.example");
  HttpService elsewhere(one_after_another({http_answer(200, "secret")}), other);
  client.options.ca_pem = other.authority;
  EXPECT_FALSE(client.get("https://localhost" + elsewhere.url().substr(elsewhere.url().rfind(':'))));
  EXPECT_EQ(service.requests().size(), 1U);
  EXPECT_TRUE(elsewhere.requests().empty());
}

TEST(HttpClient, a_private_authority_is_trusted_only_where_it_is_given) {
  HttpService service(one_after_another({http_answer(200, "secret")}), fake::make_tls_identity());
  Patient client;
  auto refused = client.get(service.url());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::kUnavailable);
  EXPECT_THAT(refused.error().message(), HasSubstr("advice on authorities"));
  EXPECT_TRUE(client.pauses.empty());
  EXPECT_TRUE(service.requests().empty());
}

TEST(HttpClient, the_given_authority_counts_for_its_own_certificates_only) {
  fake::TlsIdentity identity = fake::make_tls_identity(), other = fake::make_tls_identity();
  HttpService service(one_after_another({http_answer(200, "well")}), identity);
  Patient client;
  client.options.ca_pem = identity.authority;
  EXPECT_EQ(text(client.get(service.url())), "well");
  client.options.ca_pem = other.authority;
  EXPECT_FALSE(client.get(service.url()));
  client.options.ca_pem = "no certificate";
  auto bad_file = client.get(service.url());
  ASSERT_FALSE(bad_file);
  EXPECT_THAT(bad_file.error().message(), HasSubstr("advice on its PEM"));
}

TEST(HttpClient, a_certificate_of_another_address_is_refused) {
  fake::TlsIdentity identity = fake::make_tls_identity("IP:127.0.0.2");
  HttpService service(one_after_another({http_answer(200, "secret")}), identity);
  Patient client;
  client.options.ca_pem = identity.authority;
  auto refused = client.get(service.url());
  ASSERT_FALSE(refused);
  EXPECT_TRUE(service.requests().empty());
}

}  // namespace
}  // namespace enclayer::http
