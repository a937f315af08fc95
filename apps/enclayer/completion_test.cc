// SPDX-License-Identifier: Apache-2.0
#include "completion.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <CLI/CLI.hpp>
#include <map>

namespace enclayer::apps {
namespace {

using Paths = Completion::Paths;
using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Not;
using testing::UnorderedElementsAre;

class CompletionTest : public testing::Test {
 protected:
  CompletionTest() {
    verify_ = app_.add_subcommand("verify", "Say whether a quote is to be trusted");
    verify_->add_option("--quote", text_, "The quote, as bytes")->option_text("FILE (required)");
    verify_->add_option("--state-dir", text_)->option_text("DIR [/var/lib/enclayer]");
    verify_->add_option("--output", text_, "For people or for programs")->check(CLI::IsMember({"text", "json"}));
    verify_->add_option("--ca", text_)->option_text("processor|platform");
    verify_->add_option("--platform", number_)
        ->transform(CLI::CheckedTransformer(std::map<std::string, int>{{"hardware", 0}, {"sim", 1}}));
    verify_->add_option("--timeout", number_)->option_text("SECONDS [60]");
    verify_->add_option("--accept", texts_)->option_text("LIST");
    verify_->add_flag("-v,--verbose", flag_, "More words\nthan one line");
    CLI::App* policy = app_.add_subcommand("policy", "Check a policy file");
    policy->add_subcommand("check")->add_option("FILE", text_)->option_text(" ");
    CLI::App* shell = app_.add_subcommand("completion");
    shell->add_option("SHELL", text_)->check(CLI::IsMember({"bash", "zsh"}))->option_text(" ");
    app_.add_subcommand("secret")->group("");
  }

  std::vector<std::string> words(const std::vector<std::string>& typed) {
    std::vector<std::string> out;
    for (const Candidate& candidate : complete(app_, typed).candidates) out.push_back(candidate.word);
    return out;
  }
  Paths paths(const std::vector<std::string>& typed) { return complete(app_, typed).paths; }

  CLI::App app_{"", "enclayer"};
  CLI::App* verify_ = nullptr;
  std::string text_;
  std::vector<std::string> texts_;
  int number_ = 0;
  bool flag_ = false;
};

TEST_F(CompletionTest, subcommands_that_begin_with_what_was_typed) {
  EXPECT_THAT(words({""}), ElementsAre("verify", "policy", "completion"));
  EXPECT_THAT(words({"v"}), ElementsAre("verify"));
  EXPECT_THAT(words({"policy", ""}), ElementsAre("check"));
  EXPECT_THAT(words({"nonsense", "v"}), IsEmpty());
}

TEST_F(CompletionTest, hidden_subcommands_stay_hidden) { EXPECT_THAT(words({"s"}), IsEmpty()); }

TEST_F(CompletionTest, flags_of_the_command_that_was_chosen) {
  EXPECT_THAT(words({"verify", "--o"}), ElementsAre("--output"));
  EXPECT_THAT(words({"verify", "--"}), UnorderedElementsAre("--help", "--quote", "--state-dir", "--output", "--ca",
                                                            "--platform", "--timeout", "--accept", "--verbose"));
  EXPECT_THAT(words({"--o"}), IsEmpty());
}

TEST_F(CompletionTest, flags_without_a_dash_where_nothing_else_can_stand) {
  EXPECT_THAT(words({"verify", ""}), Contains("--quote"));
  EXPECT_THAT(words({"policy", "check", ""}), IsEmpty());
}

TEST_F(CompletionTest, a_flag_that_was_given_is_not_offered_again_unless_it_can_be_repeated) {
  EXPECT_THAT(words({"verify", "--quote", "q", "--verbose", "--accept", "a", "--"}),
              UnorderedElementsAre("--help", "--state-dir", "--output", "--ca", "--platform", "--timeout", "--accept"));
  EXPECT_THAT(words({"verify", "--quote=q", "--q"}), IsEmpty());
  EXPECT_THAT(words({"verify", "-v", "--v"}), IsEmpty());
}

TEST_F(CompletionTest, values_that_a_flag_allows) {
  EXPECT_THAT(words({"verify", "--output", ""}), ElementsAre("text", "json"));
  EXPECT_THAT(words({"verify", "--output", "j"}), ElementsAre("json"));
  EXPECT_THAT(words({"verify", "--output=j"}), ElementsAre("--output=json"));
  EXPECT_THAT(words({"verify", "--platform", ""}), ElementsAre("hardware", "sim"));
  EXPECT_THAT(words({"verify", "--ca", "p"}), ElementsAre("processor", "platform"));
  EXPECT_THAT(words({"verify", "--timeout", ""}), IsEmpty());
}

TEST_F(CompletionTest, values_are_not_taken_for_subcommands_or_flags) {
  EXPECT_THAT(words({"verify", "--quote", "policy", "--ou"}), ElementsAre("--output"));
  EXPECT_THAT(words({"verify", "--quote", "--output", "--ou"}), ElementsAre("--output"));
  EXPECT_THAT(words({"verify", "--verbose", "--ou"}), ElementsAre("--output"));
}

TEST_F(CompletionTest, values_that_the_shell_knows_better) {
  EXPECT_EQ(paths({"verify", "--quote", ""}), Paths::kFiles);
  EXPECT_EQ(paths({"verify", "--quote=/tm"}), Paths::kFiles);
  EXPECT_EQ(paths({"verify", "--state-dir", ""}), Paths::kFolders);
  EXPECT_EQ(paths({"verify", "--output", ""}), Paths::kNone);
  EXPECT_EQ(paths({"verify", "--timeout", ""}), Paths::kNone);
  EXPECT_EQ(paths({"verify", "--q"}), Paths::kNone);
  EXPECT_EQ(paths({"policy", "check", ""}), Paths::kFiles);
  EXPECT_EQ(paths({"policy", "check", "--", "--x"}), Paths::kFiles);
  EXPECT_EQ(paths({"policy", "check", "file", ""}), Paths::kNone) << "it takes one";
}

TEST_F(CompletionTest, positionals_with_a_choice) {
  EXPECT_THAT(words({"completion", ""}), ElementsAre("bash", "zsh"));
  EXPECT_THAT(words({"completion", "b"}), ElementsAre("bash"));
  EXPECT_THAT(words({"completion", "bash", ""}), Not(Contains("zsh")));
}

TEST_F(CompletionTest, nothing_typed_at_all_completes_to_nothing) {
  EXPECT_THAT(words({}), IsEmpty());
  EXPECT_THAT(words({"verify", "--nonsense="}), IsEmpty());
  EXPECT_THAT(words({"verify", "--verbose="}), IsEmpty());
}

TEST_F(CompletionTest, lines_are_those_of_kubectl) {
  EXPECT_EQ(to_lines(complete(app_, std::vector<std::string>{"ver"})),
            "verify\tSay whether a quote is to be trusted\n:4\n");
  EXPECT_EQ(to_lines(complete(app_, std::vector<std::string>{"verify", "--verb"})), "--verbose\tMore words\n:4\n");
  EXPECT_EQ(to_lines(complete(app_, std::vector<std::string>{"verify", "--output", "j"})), "json\n:4\n");
  EXPECT_EQ(to_lines(complete(app_, std::vector<std::string>{"verify", "--quote", ""})), ":0\n");
  EXPECT_EQ(to_lines(complete(app_, std::vector<std::string>{"verify", "--state-dir", ""})), ":16\n");
}

}  // namespace
}  // namespace enclayer::apps
