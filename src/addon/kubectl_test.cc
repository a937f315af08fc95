// SPDX-License-Identifier: Apache-2.0
#include "addon/kubectl.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>

#include "fake/temp_folder.h"

namespace enclayer::addon {
namespace {

using testing::HasSubstr;

// A program in place of kubectl.
class Script {
 public:
  explicit Script(const std::string& text) {
    folder_.write("kubectl", "#!/bin/sh\n" + text);
    std::filesystem::permissions(path(), std::filesystem::perms::owner_all);
  }
  std::string path() const { return folder_.path() / "kubectl"; }
  const fake::TempFolder& folder() const { return folder_; }

 private:
  fake::TempFolder folder_;
};

Connection through(const Script& script) {
  Connection out;
  out.program = script.path();
  return out;
}

TEST(Kubectl, arguments_and_input_arrive_as_they_are) {
  Script script("printf '%s|' \"$@\"; cat\n");
  Connection connection = through(script);
  connection.context = "a b";
  connection.kubeconfig = "/k";
  Kubectl kubectl(connection);
  auto answer = kubectl.run(Call{.arguments = {"apply", "$(id)", "*"}, .doing = "try", .input = "text\n"});
  ASSERT_TRUE(answer) << answer.error().message();
  EXPECT_EQ(answer->out, "--context=a b|--kubeconfig=/k|apply|$(id)|*|text\n");
}

TEST(Kubectl, many_run_at_the_same_time_and_answer_in_order) {
  // Each waits for the other: one after the other they would never end.
  Script script("touch \"$2.$1\"; while [ ! -e \"$2.$3\" ]; do sleep 0.01; done; echo $1\n");
  Kubectl kubectl(through(script));
  std::string mark = script.folder().path() / "mark";
  auto answers = kubectl.run({Call{.arguments = {"one", mark, "two"}}, Call{.arguments = {"two", mark, "one"}}});
  ASSERT_EQ(answers.size(), 2U);
  EXPECT_EQ(answers[0]->out, "one\n");
  EXPECT_EQ(answers[1]->out, "two\n");
}

TEST(Kubectl, a_long_answer_is_read_whole_and_a_longer_one_refused) {
  Script script("head -c 3000000 /dev/zero\n");
  Kubectl kubectl(through(script));
  EXPECT_EQ(kubectl.run(Call{.doing = "read", .max_output = 3'000'000})->out.size(), 3'000'000U);
  auto refused = kubectl.run(Call{.doing = "read", .max_output = 2'999'999});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::kExhausted);
}

TEST(Kubectl, who_does_not_answer_in_time_is_ended) {
  Script script("exec sleep 600\n");
  Kubectl kubectl(through(script));
  auto late = kubectl.run(Call{.doing = "list nodes", .timeout = std::chrono::seconds(1)});
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().kind(), ErrorKind::kTimedOut);
  EXPECT_THAT(late.error().message(), HasSubstr("cannot list nodes: kubectl was not done after 1 s"));
}

TEST(Kubectl, an_exit_code_may_be_an_answer) {
  Script script("echo found; exit 1\n");
  Kubectl kubectl(through(script));
  EXPECT_EQ(kubectl.run(Call{.doing = "compare", .also_good = 1})->exit_code, 1);
  EXPECT_FALSE(kubectl.run(Call{.doing = "compare"}));
}

TEST(Kubectl, is_found_as_a_shell_finds_it) {
  Script script("");
  std::string folder = script.folder().path();
  EXPECT_EQ(find_program("kubectl", "/nowhere:" + folder).value(), folder + "/kubectl");
  EXPECT_EQ(find_program(script.path(), "").value(), script.path());
  for (const char* name : {"kubectl", "/nowhere/kubectl"}) {
    auto missing = find_program(name, "/nowhere:");
    ASSERT_FALSE(missing);
    EXPECT_EQ(missing.error().kind(), ErrorKind::kNotFound);
    EXPECT_THAT(missing.error().message(), HasSubstr("--kubectl"));
  }
}

struct Said {
  const char* err;
  ErrorKind kind;
  const char* told;
};

class KubectlErrors : public testing::TestWithParam<Said> {};

TEST_P(KubectlErrors, are_told_apart) {
  Error error = kubectl_error(Call{.doing = "list nodes"}, 1, GetParam().err);
  EXPECT_EQ(error.kind(), GetParam().kind) << error.message();
  EXPECT_THAT(error.message(), HasSubstr("cannot list nodes: "));
  EXPECT_THAT(error.message(), HasSubstr(GetParam().told));
}

// As kubectl 1.32 and 1.36 say it.
INSTANTIATE_TEST_SUITE_P(
    , KubectlErrors,
    testing::Values(
        Said{
            R"(Error from server (Forbidden): nodes is forbidden: User "bob" cannot list resource "nodes" in API group "" at the cluster scope)",
            ErrorKind::kPermissionDenied, R"(user "bob" has no right to list nodes in the whole cluster)"},
        Said{
            R"(Error from server (Forbidden): daemonsets.apps is forbidden: User "bob" cannot create resource "daemonsets" in API group "apps" in the namespace "enclayer-system")",
            ErrorKind::kPermissionDenied, "create daemonsets in namespace enclayer-system"},
        Said{"error: You must be logged in to the server (Unauthorized)", ErrorKind::kPermissionDenied, "log in again"},
        Said{
            R"(Error from server (Forbidden): pods "x" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'p' denied request: no)",
            ErrorKind::kPermissionDenied, "denied request: no"},
        Said{R"(error: context "nope" does not exist)", ErrorKind::kInvalidArgument, R"(there is no context "nope")"},
        Said{"error: stat /nope: no such file or directory", ErrorKind::kInvalidArgument,
             "the kubeconfig is not there"},
        Said{
            R"(E1122 08:47:07.276016   14216 memcache.go:265] "Unhandled Error" err="couldn't get current server API group list"
The connection to the server localhost:8080 was refused - did you specify the right host or port?)",
            ErrorKind::kUnavailable, "kubectl knows no cluster"},
        Said{"The connection to the server 10.0.0.1:6443 was refused - did you specify the right host or port?",
             ErrorKind::kUnavailable, "does not answer"},
        Said{"Unable to connect to the server: dial tcp: lookup nohost.invalid: no such host", ErrorKind::kUnavailable,
             "current-context"},
        Said{"Unable to connect to the server: getting credentials: exec: executable kubelogin not found",
             ErrorKind::kUnavailable, "kubelogin"},
        Said{"Error from server (NotFound): the server could not find the requested resource", ErrorKind::kNotFound,
             ""},
        Said{
            R"(error: resource mapping not found for name: "x" namespace: "" from "STDIN": no matches for kind "MutatingAdmissionPolicy" in version "admissionregistration.k8s.io/v1")",
            ErrorKind::kNotFound, "does not know that kind"},
        Said{"error: Apply failed with 1 conflict: conflict with \"kubectl-edit\" using apps/v1: "
             ".spec.template.spec.containers[name=\"detect\"].image\nPlease review the fields above--they currently "
             "have "
             "other managers.",
             ErrorKind::kConflict,
             "conflict with \"kubectl-edit\" using apps/v1: .spec.template.spec.containers[name=\"detect\"].image; "
             "somebody"},
        Said{R"(Error from server (AlreadyExists): pods "x" already exists)", ErrorKind::kConflict, "already exists"},
        Said{R"(The DaemonSet "x" is invalid: spec: Invalid value)", ErrorKind::kInvalidArgument, "Invalid value"},
        Said{"Error from server (InternalError): an error on the server", ErrorKind::kUnavailable, "InternalError"},
        Said{"error: timed out waiting for the condition on namespaces/x", ErrorKind::kTimedOut, "timed out"},
        Said{"something new", ErrorKind::kIo, "kubectl ended with 1: something new"},
        Said{"", ErrorKind::kIo, "said nothing"}));

}  // namespace
}  // namespace enclayer::addon
