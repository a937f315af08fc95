// SPDX-License-Identifier: Apache-2.0
#include "http/url.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

namespace enclayer::http {
namespace {

using testing::HasSubstr;
using testing::Not;

// "HOST:PORT" of the proxy, "direct", or "refused".
std::string through(const std::string& url, const Proxies& proxies) {
  auto proxy = proxy_for(parse_url(url).value(), proxies);
  if (!proxy) return "refused";
  return *proxy ? (*proxy)->host + ":" + (*proxy)->port : "direct";
}

TEST(Url, has_parts) {
  auto url = parse_url("https://[::1]:8081/a/b?c=d#e");
  ASSERT_TRUE(url) << url.error().message();
  EXPECT_EQ(url->scheme, "https");
  EXPECT_EQ(url->host, "::1");
  EXPECT_EQ(url->host_header(), "[::1]:8081");
  EXPECT_EQ(url->target, "/a/b?c=d");
  EXPECT_EQ(parse_url("http://pcs.example?a=b")->target, "/?a=b");
  EXPECT_EQ(parse_url("http://pcs.example")->port_to_use(), "80");
  EXPECT_EQ(parse_url("https://pcs.example")->port_to_use(), "443");
}

TEST(CheckedUrl, has_one_normal_form) {
  EXPECT_EQ(checked_url("https://pccs.example:8081/sgx/certification/v4/").value(),
            "https://pccs.example:8081/sgx/certification/v4");
  EXPECT_EQ(checked_url("HTTPS://pccs.example").value(), "https://pccs.example");
  EXPECT_EQ(checked_url("http://[::1]:8081").value(), "http://[::1]:8081");
}

TEST(CheckedUrl, refuses_what_no_service_has) {
  for (const char* bad : {"", "pccs.example", "ftp://pccs.example", "file:///tmp/x", "https://", "https://h/x?y=1",
                          "https://h/x#y", "https://h:99999/", "https://h:0/", "https://h:/", "https://h h/",
                          "https://[::1/", "https://[h]/", "https://[::1]x/", "https://h/\r\nX: y", "https://h\\x/"})
    EXPECT_EQ(checked_url(bad).error().kind(), ErrorKind::kInvalidArgument) << bad;
  auto secret = checked_url("https://me:hunter2@pccs.example");
  ASSERT_FALSE(secret);
  EXPECT_THAT(secret.error().message(), Not(HasSubstr("hunter2")));
}

TEST(Proxies, are_read_from_the_environment_as_libcurl_does) {
  auto proxies = [](std::map<std::string, std::string> set) {
    return proxies_of_environment([&](const char* name) { return set[name]; });
  };
  EXPECT_EQ(proxies({{"http_proxy", "a"}, {"all_proxy", "b"}}).http, "a");
  EXPECT_EQ(proxies({{"http_proxy", "a"}, {"all_proxy", "b"}}).https, "b");
  EXPECT_EQ(proxies({{"HTTPS_PROXY", "a"}, {"ALL_PROXY", "b"}}).https, "a");
  EXPECT_EQ(proxies({{"https_proxy", "a"}, {"HTTPS_PROXY", "b"}}).https, "a");
  EXPECT_EQ(proxies({{"HTTP_PROXY", "a"}}).http, "");
  EXPECT_EQ(proxies({{"NO_PROXY", "a"}}).none, "a");
}

TEST(Proxies, lead_to_services_of_their_scheme) {
  const Proxies proxies{"http://one.example:3128/", "two.example", ""};
  EXPECT_EQ(through("http://pcs.example/", proxies), "one.example:3128");
  EXPECT_EQ(through("https://pcs.example/", proxies), "two.example:1080");
  EXPECT_EQ(through("https://pcs.example/", {}), "direct");
  EXPECT_EQ(through("http://pcs.example/", {"[::1]:3128", "", ""}), "::1:3128");
}

TEST(Proxies, of_another_kind_are_refused_without_their_password) {
  for (const char* bad : {"socks5://me:hunter2@p", "https://me:hunter2@p", "me:hunter2@", "me:hunter2@p:x"}) {
    auto refused = proxy_for(*parse_url("http://pcs.example"), {bad, "", ""});
    ASSERT_FALSE(refused) << bad;
    EXPECT_EQ(refused.error().kind(), ErrorKind::kInvalidArgument);
    EXPECT_THAT(refused.error().message(), Not(HasSubstr("hunter2")));
  }
}

TEST(Proxies, are_not_for_hosts_that_are_excepted) {
  auto is_direct = [](const std::string& none, const std::string& host) {
    return through("http://" + host + "/", {"p:1", "", none}) == "direct";
  };
  EXPECT_TRUE(is_direct("*", "pcs.example"));
  EXPECT_TRUE(is_direct("pcs.example", "pcs.example"));
  EXPECT_TRUE(is_direct("other, EXAMPLE", "pcs.example"));
  EXPECT_TRUE(is_direct(".example other", "pcs.example"));
  EXPECT_TRUE(is_direct(".pcs.example", "pcs.example"));
  EXPECT_FALSE(is_direct("cs.example", "pcs.example"));
  EXPECT_FALSE(is_direct("pcs.example.org", "pcs.example"));
  EXPECT_FALSE(is_direct(",, ,", "pcs.example"));
  EXPECT_TRUE(is_direct("10.1.2.3", "10.1.2.3"));
  EXPECT_TRUE(is_direct("10.0.0.0/9", "10.127.2.3"));
  EXPECT_FALSE(is_direct("10.0.0.0/9", "10.128.2.3"));
  EXPECT_FALSE(is_direct("10.0.0.0/33", "10.0.0.0"));
  EXPECT_FALSE(is_direct("2.3", "10.1.2.3"));
  EXPECT_TRUE(is_direct("fd00::/8", "[fd12::1]"));
  EXPECT_FALSE(is_direct("::/0", "10.1.2.3"));
}

}  // namespace
}  // namespace enclayer::http
