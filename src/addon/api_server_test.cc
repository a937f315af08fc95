// SPDX-License-Identifier: Apache-2.0
#include "addon/api_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <thread>

#include "addon/cluster.h"
#include "fake/http_service.h"
#include "fake/proxied.h"

namespace enclayer::addon {
namespace {

using fake::http_answer;
using fake::HttpRequest;
using fake::Proxied;
using testing::ElementsAre;
using testing::HasSubstr;

TEST(ApiServer, is_asked_through_kubectl_proxy_in_kubectls_context) {
  std::string head;
  Proxied proxied([&](const HttpRequest& request) {
    head = request.head;
    return http_answer(201, request.body + "!");
  });
  auto api = proxied.start();
  ASSERT_TRUE(api) << api.error().message();
  EXPECT_EQ(proxied.called(),
            "--context=prod proxy --unix-socket=" + ApiServer::socket_in(proxied.folder().path()).string() + "\n");
  EXPECT_EQ((*api)->send({.method = "POST", .path = "/api/v1/pods", .doing = "make it", .body = "{}"}).value(), "{}!");
  EXPECT_THAT(head, HasSubstr("POST /api/v1/pods HTTP/1.1\r\n"));
  EXPECT_THAT(head, HasSubstr("Host: localhost\r\n")) << "others the proxy refuses";
  EXPECT_THAT(head, HasSubstr("Content-Type: application/json\r\n"));
}

TEST(ApiServer, kubectl_that_ends_at_once_says_why) {
  Proxied proxied([](const HttpRequest&) { return http_answer(200, ""); },
                  "echo 'error: context \"prod\" does not exist' >&2; exit 1");
  auto none = proxied.start();
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().kind(), ErrorKind::kInvalidArgument);
  EXPECT_THAT(none.error().message(), HasSubstr("context \"prod\" does not exist"));
  EXPECT_THAT(none.error().message(), HasSubstr("kubectl config get-contexts"));
}

TEST(ApiServer, lists_are_read_page_by_page) {
  Proxied proxied([](const HttpRequest& request) {
    const bool second = request.target.find("continue=abc") != std::string::npos;
    return http_answer(200, second
                                ? R"({"metadata":{"resourceVersion":"7"},"items":[{"n":3}]})"
                                : R"({"metadata":{"resourceVersion":"7","continue":"abc"},"items":[{"n":1},{"n":2}]})");
  });
  auto api = proxied.start();
  ASSERT_TRUE(api);
  std::vector<std::uint64_t> seen;
  auto version =
      (*api)->list("/api/v1/pods?a=b", "list pods", [&](base::JsonValue one) { seen.push_back(one["n"].number()); });
  EXPECT_EQ(version.value(), "7");
  EXPECT_THAT(seen, ElementsAre(1, 2, 3));
  EXPECT_THAT(proxied.requests(), ElementsAre("/api/v1/pods?a=b&limit=500", "/api/v1/pods?a=b&limit=500&continue=abc"));
}

TEST(ApiServer, many_requests_are_answered_in_their_order) {
  Proxied proxied([](const HttpRequest& request) {
    return request.target == "/3" ? http_answer(404, "404 page not found\n") : http_answer(200, request.target);
  });
  auto api = proxied.start();
  ASSERT_TRUE(api);
  std::vector<ApiRequest> requests;
  for (int i = 0; i < 20; ++i) requests.push_back({.path = "/" + std::to_string(i), .doing = "ask"});
  auto answers = (*api)->send_all(requests);
  for (std::size_t i = 0; i < 20; ++i)
    if (i == 3)
      EXPECT_EQ(answers[i].error().code(), 404U);
    else
      EXPECT_EQ(answers[i].value(), requests[i].path);
}

TEST(ApiServer, a_cluster_is_kept_up_to_date_by_what_changes) {
  std::vector<std::string> events = {
      R"({"type":"ADDED","object":{"metadata":{"name":"b","resourceVersion":"8"}}})"
      "\n"
      R"({"type":"MODIFIED","object":{"metadata":{"name":"a","resourceVersion":"9"},"spec":{"unschedulable":true}}})"
      "\n",
      R"({"type":"DELETED","object":{"metadata":{"name":"b","resourceVersion":"10"}}})"
      "\n"
      R"({"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"12"}}})"
      "\n",
      R"({"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired"}})"
      "\n"};
  std::size_t next = 0;
  Proxied proxied([&](const HttpRequest& request) {
    if (request.target.find("watch=1") != std::string::npos) return http_answer(200, events.at(next++));
    return http_answer(200, R"({"metadata":{"resourceVersion":"20"},"items":[{"metadata":{"name":"c"}}]})");
  });
  auto api = proxied.start();
  ASSERT_TRUE(api);
  Cluster first;
  first.versions["/api/v1/nodes"] = "7";
  first.nodes.resize(1);
  first.nodes[0].name = "a";
  ClusterWatch watch(**api, first);
  ASSERT_TRUE(watch.refresh());
  ASSERT_EQ(watch.cluster().nodes.size(), 2U);
  EXPECT_TRUE(watch.cluster().node("a")->cordoned);
  ASSERT_TRUE(watch.refresh());
  EXPECT_EQ(watch.cluster().node("b"), nullptr);
  ASSERT_TRUE(watch.refresh()) << "what the API server no longer knows is listed anew";
  ASSERT_EQ(watch.cluster().nodes.size(), 1U);
  EXPECT_EQ(watch.cluster().nodes[0].name, "c");
  EXPECT_THAT(proxied.requests(),
              ElementsAre(HasSubstr("&timeoutSeconds=2&resourceVersion=7"), HasSubstr("resourceVersion=9"),
                          HasSubstr("resourceVersion=12"), "/api/v1/nodes?limit=500"));
}

TEST(ApiServer, what_is_not_needed_and_may_not_be_watched_stays_as_it_was_read) {
  const std::string claims = "/apis/resource.k8s.io/v1/resourceclaims", nodes = "/api/v1/nodes";
  bool may_watch_nodes = true;
  Proxied proxied([&](const HttpRequest& request) {
    return request.target.starts_with(nodes) && may_watch_nodes ? http_answer(200, "") : http_answer(403, "no");
  });
  auto api = proxied.start();
  ASSERT_TRUE(api);
  Cluster first;
  first.versions = {{nodes, "7"}, {claims, "7"}};
  first.claims = {{"c", "bank", "a", {}, 48}};
  ClusterWatch watch(**api, first);
  ASSERT_TRUE(watch.refresh());
  ASSERT_TRUE(watch.refresh());
  EXPECT_EQ(watch.cluster().claims.size(), 1U);
  EXPECT_THAT(watch.cluster().not_seen, ElementsAre(HasSubstr("cannot list ResourceClaims"))) << "once";
  may_watch_nodes = false;
  EXPECT_EQ(watch.refresh().error().kind(), ErrorKind::kPermissionDenied) << "what is needed is not done without";
}

TEST(ApiServer, that_is_stopped_answers_nothing_any_more) {
  Proxied proxied([](const HttpRequest&) { return fake::HttpAnswer{"", fake::HttpAnswer::Then::kHang}; });
  auto api = proxied.start();
  ASSERT_TRUE(api);
  std::jthread waits([&] { EXPECT_FALSE((*api)->send({.path = "/version", .doing = "ask"})); });
  while (proxied.requests().empty()) std::this_thread::yield();
  const auto begin = std::chrono::steady_clock::now();
  (*api)->stop();
  waits.join();
  EXPECT_FALSE((*api)->send({.path = "/version", .doing = "ask"}));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(20)) << "a request may take a minute";
}

TEST(ReadList, that_is_none_is_malformed) {
  int items = 0;
  auto read = [&](std::string_view text) { return read_list(text, [&](base::JsonValue) { ++items; }); };
  for (const char* bad : {"", "null", "{}", "[]", R"({"items":[)", R"({"items":[{"metadata":)", "Error",
                          R"({"items":[{"a":}]})", R"({"items":[{}]}})", R"({"items":[{"a":"]})"})
    EXPECT_EQ(read(bad).error().kind(), ErrorKind::kMalformed) << bad;
  items = 0;
  EXPECT_TRUE(read(R"({"items":[]})"));
  EXPECT_TRUE(read(R"({"kind":"PartialObjectMetadataList","items":null})"));
  EXPECT_TRUE(read(R"({"kind":"items","x":[1],"items":[{"a":"}]\"{["},{"items":[{}]}],"y":{"items":[{}]}})"));
  EXPECT_EQ(items, 2);
}

TEST(ReadList, an_object_that_cannot_be_read_is_named_and_the_others_are_read) {
  const std::string deep = std::string(100, '[') + std::string(100, ']');
  const std::string list = R"({"items":[{"metadata":{"name":"a"}},{"metadata":{"name":"b","namespace":"bank"},"x":)" +
                           deep + R"(},{"metadata":{"name":"c"},"x":)" + deep + R"(},{"metadata":{"name":"d"}}]})";
  std::string names;
  auto read = [&](Unreadable* unreadable) {
    return read_list(
        list, [&](base::JsonValue one) { names += one["metadata"]["name"].text(); }, unreadable);
  };
  Unreadable unreadable;
  EXPECT_TRUE(read(&unreadable));
  EXPECT_EQ(names, "ad");
  EXPECT_THAT(unreadable.text(), testing::StartsWith("bank/b: JSON text nests deeper than 64 levels (and 1 more)"));
  EXPECT_THAT(read(nullptr).error().message(), testing::StartsWith("bank/b: "));
}

TEST(ReadList, the_largest_pod_that_etcd_takes_is_read) {
  std::string pod = R"({"metadata":{"name":"a"},"args":[""])";  // two bytes in etcd for each
  pod.pop_back();
  for (int i = 0; i < 786'432; ++i) pod += R"(,"")";
  std::size_t args = 0;
  EXPECT_TRUE(
      read_list(R"({"items":[)" + pod + "]}]}", [&](base::JsonValue one) { args = one["args"].entries().size(); }));
  EXPECT_EQ(args, 786'433U);
}

TEST(Reference, is_a_path_of_the_api) {
  EXPECT_EQ((Reference{"apps/v1", "DaemonSet", "e", "x"}.path()), "/apis/apps/v1/namespaces/e/daemonsets/x");
  EXPECT_EQ((Reference{"v1", "Namespace", "", "x"}.path()), "/api/v1/namespaces/x");
  EXPECT_EQ((Reference{"v1", "Pod", "e"}.path()), "/api/v1/namespaces/e/pods");
  EXPECT_EQ(plural("PriorityClass"), "priorityclasses");
  EXPECT_EQ(plural("ValidatingAdmissionPolicy"), "validatingadmissionpolicies");
  EXPECT_EQ(plural("MutatingAdmissionPolicyBinding"), "mutatingadmissionpolicybindings");
}

struct Said {
  unsigned status;
  const char* body;
  ErrorKind kind;
  const char* told;
};

// As kube-apiserver 1.36 and `kubectl proxy` say it.
constexpr Said kErrors[] = {
    Said{
        403,
        R"({"kind":"Status","message":"nodes is forbidden: User \"bob\" cannot list resource","reason":"Forbidden","code":403})",
        ErrorKind::kPermissionDenied, R"(nodes is forbidden: User "bob" cannot list)"},
    Said{401, R"({"kind":"Status","message":"Unauthorized","code":401})", ErrorKind::kPermissionDenied, "log in again"},
    Said{404, "404 page not found\n", ErrorKind::kNotFound, "404 page not found"},
    Said{
        409,
        R"({"kind":"Status","message":"Apply failed with 1 conflict: conflict with \"kubectl-edit\": .spec.x","reason":"Conflict","details":{"causes":[{"reason":"FieldManagerConflict","field":".spec.x"}]},"code":409})",
        ErrorKind::kConflict, "conflict with \"kubectl-edit\": .spec.x; somebody else set these fields"},
    Said{409, R"({"kind":"Status","message":"pods \"x\" already exists","reason":"AlreadyExists","code":409})",
         ErrorKind::kConflict, "already exists"},
    Said{422, R"({"kind":"Status","message":"DaemonSet \"x\" is invalid","reason":"Invalid","code":422})",
         ErrorKind::kInvalidArgument, "is invalid"},
    Said{429, R"({"kind":"Status","message":"too many requests","code":429})", ErrorKind::kUnavailable, "too many"},
    Said{500, "dial tcp 10.0.0.1:6443: connect: connection refused\n", ErrorKind::kUnavailable,
         "does not answer (dial tcp 10.0.0.1:6443: connect: connection refused)"},
    Said{500, "getting credentials: exec: executable kubelogin not found", ErrorKind::kUnavailable, "kubelogin"},
    Said{503, "", ErrorKind::kUnavailable, "status 503"}};

TEST(ApiErrors, are_told_apart_by_their_status) {
  for (const Said& said : kErrors) {
    Error error = api_error(said.status, said.body, "list nodes");
    EXPECT_EQ(error.kind(), said.kind) << error.message();
    EXPECT_EQ(error.code(), said.status);
    EXPECT_THAT(error.message(), HasSubstr("cannot list nodes: "));
    EXPECT_THAT(error.message(), HasSubstr(said.told));
  }
}

}  // namespace
}  // namespace enclayer::addon
