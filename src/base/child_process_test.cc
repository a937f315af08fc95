// SPDX-License-Identifier: Apache-2.0
#include "base/child_process.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <filesystem>
#include <thread>

#include "fake/temp_folder.h"

namespace enclayer::base {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

constexpr auto kPatience = 30s;

// All that `program` writes to its standard output and error, until it ends.
std::string output_of(Program program) {
  Pipe pipe = make_pipe().value();
  program.output = program.error = pipe.write.get();
  auto child = ChildProcess::start(program).value();
  pipe.write.reset();
  EXPECT_TRUE(child->wait(kPatience));
  std::string out;
  keep_output(pipe.read, out, 1 << 20);
  return out;
}

std::string how_it_ends(Program program) {
  return ChildProcess::start(program).value()->wait(kPatience).value().text();
}

TEST(ChildProcess, has_our_environment_or_another_and_its_input) {
  ::setenv("ENCLAYER_TEST_WORD", "ours", 1);
  Program program{
      .command = {"/bin/sh", "-c", "printf '%s|' \"$@\" \"$ENCLAYER_TEST_WORD\"; cat", "sh", "a b", "$(id)"}};
  EXPECT_EQ(output_of(program), "a b|$(id)|ours|");
  UniqueFd input = memory_file("input").value();
  program.input = input.get();
  program.environment = {"ENCLAYER_TEST_WORD=another", "PATH=/bin"};
  EXPECT_EQ(output_of(program), "a b|$(id)|another|input");
}

TEST(ChildProcess, has_the_descriptors_that_are_named_and_no_others) {
  UniqueFd leaky(::dup(2));  // without close-on-exec, as other people's libraries make them
  Program program{.command = {"/bin/sh", "-c", "echo /proc/$$/fd/*"}};
  auto only = [](const std::string& found, int last) {
    std::string wanted, out = found;
    for (std::size_t at; (at = out.find("/proc/")) != std::string::npos;) out.erase(at, out.find("/fd/") + 4 - at);
    for (int fd = 0; fd <= last; ++fd) wanted += (fd == 0 ? "" : " ") + std::to_string(fd);
    return out == wanted + "\n";
  };
  // The shell opens the folder for the time of the look.
  EXPECT_TRUE(only(output_of(program), 3)) << output_of(program);
  program.further = leaky.get();
  EXPECT_TRUE(only(output_of(program), 4)) << output_of(program);
}

TEST(ChildProcess, descriptors_may_change_places) {
  Pipe one = make_pipe().value(), two = make_pipe().value();
  UniqueFd zero(::fcntl(0, F_DUPFD_CLOEXEC, 10));
  ASSERT_EQ(::dup2(one.write.get(), 0), 0);  // what is to become 1 has the number that input gets
  auto child = ChildProcess::start(
      {.command = {"/bin/sh", "-c", "echo out; echo err >&2"}, .output = 0, .error = two.write.get()});
  ::dup2(zero.get(), 0);
  ASSERT_TRUE(child) << child.error().message();
  ASSERT_TRUE((*child)->wait(kPatience));
  std::string out, err;
  keep_output(one.read, out, 100);
  keep_output(two.read, err, 100);
  EXPECT_EQ(out, "out\n");
  EXPECT_EQ(err, "err\n");
}

TEST(ChildProcess, that_cannot_be_started_is_an_error_with_the_command_and_the_reason) {
  auto missing = ChildProcess::start({.command = {"/nowhere/kubectl", "get", "nodes"}});
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().kind(), ErrorKind::kNotFound);
  EXPECT_EQ(missing.error().message(), "cannot start /nowhere/kubectl get nodes: No such file or directory");
  auto forbidden = ChildProcess::start({.command = {"/etc/passwd", std::string(5'000, 'x')}});
  ASSERT_FALSE(forbidden);
  EXPECT_THAT(forbidden.error().message(), HasSubstr("xxx...: Permission denied"));
  EXPECT_LT(forbidden.error().message().size(), 300u);
}

TEST(ChildProcess, ending_says_how) {
  EXPECT_EQ(how_it_ends({.command = {"/bin/sh", "-c", "exit 3"}}), "ended with exit code 3");
  EXPECT_EQ(how_it_ends({.command = {"/bin/sh", "-c", "kill -SEGV $$"}}), "was killed by SIGSEGV");
  auto child = ChildProcess::start({.command = {"/bin/sleep", "600"}}).value();
  EXPECT_FALSE(child->wait(0ms));
  EXPECT_TRUE(child->running());
  child->signal(SIGTERM);
  EXPECT_EQ(child->wait(kPatience).value().exit_code(), 128 + SIGTERM);
  EXPECT_FALSE(child->running());
  EXPECT_EQ(child->kill().value().exit_code(), 128 + SIGTERM) << "the ending stays what it was";
}

TEST(ChildProcess, has_no_signal_blocked_and_those_ignored_that_are_named) {
  sigset_t term, before;
  ::sigemptyset(&term);
  ::sigaddset(&term, SIGTERM);
  ::pthread_sigmask(SIG_BLOCK, &term, &before);
  Program program{.command = {"/bin/sh", "-c", "kill -TERM $$; exit 9"}};
  EXPECT_EQ(how_it_ends(program), "was killed by SIGTERM");
  program.ignored_signals = {SIGTERM};
  EXPECT_EQ(how_it_ends(program), "ended with exit code 9");
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

TEST(ChildProcess, is_gone_with_its_object_and_leaves_no_zombie) {
  pid_t pid;
  {
    auto child = ChildProcess::start({.command = {"/bin/sleep", "600"}}).value();
    pid = child->pid();
    EXPECT_EQ(::kill(pid, 0), 0);
  }
  EXPECT_EQ(::kill(pid, 0), -1);
}

TEST(ChildProcess, may_die_with_the_thread_that_started_it) {
  std::unique_ptr<ChildProcess> child;
  std::thread([&] {
    child = ChildProcess::start({.command = {"/bin/sleep", "600"}, .dies_with_thread = true}).value();
  }).join();
  auto ending = child->wait(kPatience);
  ASSERT_TRUE(ending);
  EXPECT_EQ(ending->text(), "was killed by SIGKILL");
}

TEST(ChildProcess, is_in_a_process_group_of_its_own_where_that_is_asked_for) {
  auto ours = ChildProcess::start({.command = {"/bin/sleep", "600"}}).value();
  auto own = ChildProcess::start({.command = {"/bin/sleep", "600"}, .own_group = true}).value();
  EXPECT_EQ(::getpgid(ours->pid()), ::getpgrp());
  EXPECT_EQ(::getpgid(own->pid()), own->pid());
}

TEST(KeepOutput, keeps_the_first_or_the_last_bytes_and_says_whether_it_dropped_any) {
  Pipe pipe = make_pipe().value();
  std::string first, last;
  EXPECT_TRUE(keep_output(pipe.read, first, 4)) << "nothing to read, and no waiting";
  auto write = [&](std::string_view text) {
    EXPECT_EQ(::write(pipe.write.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  };
  write("abcd");
  EXPECT_TRUE(keep_output(pipe.read, first, 4));
  write("ef");
  EXPECT_FALSE(keep_output(pipe.read, first, 4));
  EXPECT_EQ(first, "abcd");
  write(std::string(60'000, 'x') + "wxyz");
  EXPECT_FALSE(keep_output(pipe.read, last, 4, Keep::kLast));
  EXPECT_EQ(last, "wxyz");
  EXPECT_TRUE(pipe.read);
  pipe.write.reset();
  EXPECT_TRUE(keep_output(pipe.read, last, 4, Keep::kLast));
  EXPECT_FALSE(pipe.read) << "closed at its end";
}

TEST(RunToEnd, keeps_what_a_program_says_and_how_it_ends) {
  auto done = run_to_end({.command = {"/bin/sh", "-c", "echo out; echo err >&2; exit 3"}}, "it", {});
  ASSERT_TRUE(done) << done.error().message();
  EXPECT_EQ(done->out, "out\n");
  EXPECT_EQ(done->err, "err\n");
  EXPECT_EQ(done->ending.exit_code(), 3);
}

TEST(RunToEnd, a_program_that_is_stopped_may_clean_up) {
  const fake::TempFolder folder;
  const std::string left = (folder.path() / "left").string();
  Pipe ready = make_pipe().value();
  const std::string script =
      "trap 'kill $!; rm " + left + "; exit' TERM; sleep 600 & touch " + left + "; echo >&3; wait";
  auto stopped = run_to_end({.command = {"/bin/sh", "-c", script}, .further = ready.write.get()}, "the cleaner",
                            {.stop = ready.read.get()});
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().kind(), ErrorKind::kUnavailable);
  EXPECT_EQ(stopped.error().message(), "the cleaner was stopped");
  EXPECT_FALSE(std::filesystem::exists(left));
}

}  // namespace
}  // namespace enclayer::base
