// SPDX-License-Identifier: Apache-2.0
#include "addon/kubectl.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>

#include "addon/api_server.h"
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

TEST(Kubectl, many_run_at_the_same_time) {
  // Each waits for the other: one after the other they would never end.
  Script script("touch \"$2.$1\"; while [ ! -e \"$2.$3\" ]; do sleep 0.01; done; echo $1\n");
  const Kubectl kubectl(through(script));
  const std::string mark = script.folder().path() / "mark";
  const Call calls[] = {{.arguments = {"one", mark, "two"}}, {.arguments = {"two", mark, "one"}}};
  Result<Answer> answers[2];
  at_once(2, [&](std::size_t at) { answers[at] = kubectl.run(calls[at]); });
  ASSERT_TRUE(answers[0] && answers[1]);
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

TEST(Kubectl, is_ended_when_it_is_told_to_stop) {
  Script script("exec sleep 600\n");
  const base::Wakeup stop;
  stop.ring();
  auto stopped = Kubectl(through(script)).run(Call{.doing = "list nodes", .stop = stop.fd()});
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().kind(), ErrorKind::kUnavailable);
}

TEST(Kubectl, an_exit_code_may_be_an_answer) {
  Script script("echo found; exit 1\n");
  Kubectl kubectl(through(script));
  EXPECT_EQ(kubectl.run(Call{.doing = "compare", .also_good = 1})->exit_code, 1);
  EXPECT_FALSE(kubectl.run(Call{.doing = "compare"}));
}

TEST(Kubectl, is_found_as_a_shell_finds_it_but_never_in_the_working_directory) {
  Script script("");
  std::string folder = script.folder().path();
  EXPECT_EQ(find_program("kubectl", "/nowhere:" + folder).value(), folder + "/kubectl");
  EXPECT_EQ(find_program(script.path(), "").value(), script.path());
  const auto before = std::filesystem::current_path();
  std::filesystem::current_path(folder);
  for (const char* path : {"", ":", ":/nowhere", "/nowhere:", ".", "./"})
    EXPECT_FALSE(find_program("kubectl", path)) << path;
  std::filesystem::current_path(before);
  for (const char* name : {"kubectl", "/nowhere/kubectl"}) {
    auto missing = find_program(name, "/nowhere:");
    ASSERT_FALSE(missing);
    EXPECT_EQ(missing.error().kind(), ErrorKind::kNotFound);
    EXPECT_THAT(missing.error().message(), HasSubstr("--kubectl"));
  }
}

TEST(Kubectl, what_it_says_when_it_fails_is_told) {
  Script script("echo 'error: no such thing' >&2; exit 3\n");
  auto failed = Kubectl(through(script)).run(Call{.doing = "compare"});
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().kind(), ErrorKind::kIo);
  EXPECT_EQ(failed.error().message(), "cannot compare: kubectl ended with 3: error: no such thing");
}

}  // namespace
}  // namespace enclayer::addon
