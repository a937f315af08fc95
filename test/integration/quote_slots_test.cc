// SPDX-License-Identifier: Apache-2.0
// enclayer-quote-helper, the real binary: a socket for each slot, and clients who mean harm beside honest ones.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstring>
#include <functional>

#include "fake/http_get.h"
#include "fake/load.h"
#include "fake/memory.h"
#include "fake/process.h"
#include "fake/quote_helper.h"
#include "fake/raw_client.h"
#include "fake/temp_folder.h"
#include "slots/slots.h"

namespace enclayer {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using fake::Process;
using fake::RawClient;
using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr auto kPatience = 30s;
// Before pods were told apart, the clients below held honest ones up for half a second to forever. What they cost now
// is measured by bench/aesm; this is far above it, so that a machine that stalls once fails nothing.
constexpr auto kHeldUp = 250ms;

class SlotsTest : public testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : {slots::kHealth, "p0", "p1", "p2", "p3"}) ASSERT_TRUE(slots::make_slot(slots_, name));
  }
  std::unique_ptr<Process> start(std::vector<std::string> more = {}, const std::string& line = " serving ") {
    more.insert(more.end(), {"--metrics-listen", "127.0.0.1:0"});
    auto process = std::make_unique<Process>(fake::sim_quote_helper(legacy_, state_, more));
    EXPECT_TRUE(process->wait_for_output(line, kPatience)) << process->output();
    return process;
  }
  fs::path slot(const std::string& name) const { return slots_ / name / slots::kSocket; }
  fake::QuoteClient client(const std::string& name) const { return fake::QuoteClient(slot(name)); }
  void expect_served(const fs::path& socket) {
    auto got = net::call(socket, cheap_, kPatience);
    EXPECT_TRUE(got) << got.error().message();
  }
  static std::string page(const Process& helper, const char* path) {
    return fake::http_get(fake::metrics_address(helper.err()), path);
  }
  template <class Condition>
  static bool becomes(Condition condition) {
    auto deadline = Clock::now() + kPatience;
    while (!condition()) {
      if (Clock::now() > deadline) return false;
      std::this_thread::yield();
    }
    return true;
  }

  // What an honest client sees that asks one request after the other: the time that nineteen of twenty take at most.
  struct Seen {
    Clock::duration most{};
    int failed = 0;
  };
  Seen ask(const fs::path& socket, const Bytes& request, int times = 40) {
    std::vector<Clock::duration> took;
    Seen seen;
    for (int i = 0; i < times; ++i) {
      auto begin = Clock::now();
      auto got = net::call(socket, request, kPatience);
      bool good = got && (request == cheap_ || aesm::read_quote_reply(*got, false));
      seen.failed += good ? 0 : 1;
      took.push_back(Clock::now() - begin);
    }
    std::sort(took.begin(), took.end());
    seen.most = took[took.size() * 19 / 20];
    return seen;
  }
  Bytes quote_request() {
    return aesm::quote_request(sim::ereport(sim::enclave_body({}), target().qe), 8192, std::nullopt);
  }
  quoting::QuoteTarget target() { return client("p0").target().value(); }

  // While `attack` runs in a process of its own, a client of another slot asks as if nothing was.
  void expect_unharmed_by(const std::function<void()>& attack) {
    const Bytes quote = quote_request();
    pid_t attacker = ::fork();
    if (attacker == 0) {
      attack();
      ::_exit(0);
    }
    auto end = Clock::now() + 3s;
    while (Clock::now() < end) {
      for (const Bytes& request : {cheap_, quote}) {
        Seen seen = ask(slot("p0"), request);
        EXPECT_EQ(seen.failed, 0);
        EXPECT_LT(seen.most, kHeldUp);
      }
    }
    ::kill(attacker, SIGKILL);
    ::waitpid(attacker, nullptr, 0);
  }

  fake::TempFolder folder_;
  fs::path legacy_ = folder_.path() / "run" / "aesm.socket", state_ = folder_.path() / "state",
           slots_ = folder_.path() / "slots";
  const Bytes cheap_ = fake::aesm_body("quote_ex-num.req");
};

// ---- Who asks ----

TEST_F(SlotsTest, every_slot_gives_quotes_and_the_log_says_whose_they_are) {
  ASSERT_TRUE(slots::write_holders(slots_ / slots::kHoldersFile, {{"p1", {1, "bank", "ledger-0", "app", 64}}}));
  auto helper = start();
  EXPECT_THAT(helper->err(), HasSubstr("slots=5"));
  for (const char* name : {"p0", "p1"}) EXPECT_TRUE(client(name).attest());
  EXPECT_TRUE(fake::QuoteClient(legacy_).attest());
  EXPECT_TRUE(helper->wait_for_output("quote made slot=p0 namespace=\"\" pod=\"\" ", kPatience));
  EXPECT_TRUE(helper->wait_for_output("quote made slot=p1 namespace=bank pod=ledger-0 container=app ", kPatience));
  EXPECT_TRUE(helper->wait_for_output("quote made slot=legacy ", kPatience));
  EXPECT_THAT(
      page(*helper, "/metrics"),
      HasSubstr("enclayer_pod_quotes_total{container=\"app\",namespace=\"bank\",pod=\"ledger-0\",result=\"made\","
                "slot=\"p1\"} 1\n"));
}

TEST_F(SlotsTest, sockets_are_for_everybody_and_nothing_else_is_in_the_folders) {
  auto helper = start();
  struct stat found {};
  ASSERT_EQ(::lstat(slot("p0").c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 07777, 0666u);
  EXPECT_EQ(std::distance(fs::directory_iterator(slots_ / "p0"), {}), 1);
}

TEST_F(SlotsTest, folder_that_appears_is_served_and_one_that_disappears_is_forgotten) {
  auto helper = start();
  ASSERT_TRUE(slots::make_slot(slots_, "claim-0b6f3c1e-7a52-4f0c-9d11-2f6f0c9a7b3d-" + std::string(100, 'r')));
  EXPECT_TRUE(becomes([&] {
    return std::distance(fs::directory_iterator(slots_), {}) == 6 &&
           net::connect_to(
               slots_ / ("claim-0b6f3c1e-7a52-4f0c-9d11-2f6f0c9a7b3d-" + std::string(100, 'r')) / slots::kSocket, 1s);
  }));
  RawClient client(slot("p3"));
  ASSERT_TRUE(client.send_frame(cheap_));
  ASSERT_TRUE(client.receive_frame());
  fs::remove_all(slots_ / "p3");
  EXPECT_TRUE(client.closed_by_server());
}

TEST_F(SlotsTest, parent_that_appears_after_the_start_and_is_emptied_and_filled_again_is_served) {
  fs::remove_all(slots_);
  auto helper = start();
  for (int times = 0; times < 3; ++times) {
    ASSERT_TRUE(slots::make_slot(slots_, "p0"));
    EXPECT_TRUE(becomes([&] { return net::call(slot("p0"), cheap_, 1s).has_value(); }));
    if (times == 0) fs::remove_all(slots_ / "p0");
    if (times == 1) fs::remove_all(slots_);
  }
  EXPECT_TRUE(client("p0").attest());
}

TEST_F(SlotsTest, next_holder_of_a_slot_inherits_neither_connections_nor_allowance) {
  ASSERT_TRUE(slots::write_holders(slots_ / slots::kHoldersFile, {{"p0", {1, "bank", "ledger-0", "app", 64}}}));
  auto helper = start({"--quotes-per-minute", "2"});
  Bytes quote = quote_request();
  RawClient before(slot("p0"));
  ASSERT_TRUE(before.send_frame(cheap_));
  ASSERT_TRUE(before.receive_frame());
  EXPECT_EQ(ask(slot("p0"), quote, 3).failed, 1);
  EXPECT_EQ(ask(slot("p1"), quote, 2).failed, 0) << "another one's allowance";
  ASSERT_TRUE(slots::write_holders(slots_ / slots::kHoldersFile, {{"p0", {2, "", "", "", 0}}}));
  EXPECT_TRUE(before.closed_by_server());
  EXPECT_EQ(ask(slot("p0"), quote, 2).failed, 0);
}

TEST_F(SlotsTest, holders_file_that_is_half_huge_or_lying_hinders_nobody) {
  auto helper = start();
  fs::path file = slots_ / slots::kHoldersFile;
  for (std::string text : {std::string("{\"slots\": {\"p0\""), std::string(2 << 20, ' '), std::string("[]"),
                           std::string(R"({"slots": {"p0": {"generation": -1}}})"),
                           std::string(R"({"slots": {"p0": {"generation": 18446744073709551615}}})")}) {
    ASSERT_TRUE(base::write_file_atomic(file, base::as_bytes(text), 0644));
    EXPECT_TRUE(becomes([&] { return net::call(slot("p0"), cheap_, 1s).has_value(); }));
  }
  EXPECT_TRUE(helper->wait_for_output("it is not known who has the slots", kPatience));
  for (const char* name : {"p0", "p1"}) EXPECT_TRUE(becomes([&] { return client(name).attest().has_value(); }));
}

TEST_F(SlotsTest, folders_that_come_and_go_a_thousand_times_disturb_nobody) {
  auto helper = start();
  fake::Load load({slot("p0"), legacy_}, target());
  for (int i = 0; i < 1000; ++i) {
    const fs::path claim = slots_ / ("claim" + std::to_string(i % 7));
    ASSERT_TRUE(slots::make_slot(slots_, claim.filename().native()));
    std::error_code busy;  // a socket may just have been put into it
    while (fs::exists(claim)) fs::remove_all(claim, busy);
  }
  EXPECT_TRUE(load.more(200));
  EXPECT_THAT(load.failures(), IsEmpty());
}

TEST_F(SlotsTest, slot_that_became_a_link_or_a_file_is_not_served_and_the_others_are) {
  auto helper = start();
  fake::TempFolder elsewhere;
  fs::remove_all(slots_ / "p2");
  fs::create_directory_symlink(elsewhere.path(), slots_ / "p2");
  fs::remove_all(slots_ / "p3");
  ASSERT_TRUE(base::write_file_atomic(slots_ / "p3", {}, 0644));
  ASSERT_TRUE(slots::make_slot(slots_, "later"));
  EXPECT_TRUE(becomes([&] { return net::call(slot("later"), cheap_, 1s).has_value(); }));
  EXPECT_TRUE(fs::is_empty(elsewhere.path()));
  expect_served(slot("p0"));
}

TEST_F(SlotsTest, of_ten_thousand_folders_as_many_as_are_possible_are_served_and_the_rest_is_said) {
  auto helper = start();
  for (int i = 0; i < 10'000; ++i) fs::create_directory(slots_ / ("s" + std::to_string(i)));
  EXPECT_TRUE(helper->wait_for_output("there are more slots than are served, the rest is not", kPatience));
  for (const char* name : {"p0", "p3"}) expect_served(slot(name));
  EXPECT_THAT(page(*helper, "/healthz"), HasSubstr(" 200 "));
}

// ---- Who serves ----

TEST_F(SlotsTest, two_instances_during_an_update_serve_all_slots_and_no_request_fails) {
  std::vector<std::unique_ptr<Process>> instances;
  instances.push_back(start());
  fake::Load load({slot("p0"), slot("p1"), slot("p2"), legacy_}, target());
  for (int update = 0; update < 3; ++update) {
    EXPECT_TRUE(load.more(400));
    instances.push_back(start());
    EXPECT_EQ(instances.end()[-2]->wait(kPatience), 0) << instances.end()[-2]->output();
  }
  EXPECT_TRUE(load.more(400));
  EXPECT_THAT(load.failures(), IsEmpty());
}

TEST_F(SlotsTest, helper_of_another_state_directory_leaves_the_slots_to_who_serves_them) {
  auto helper = start();
  auto other =
      fake::run({ENCLAYER_BIN_DIR "/enclayer-quote-helper", "--platform", "sim", "--socket",
                 folder_.path() / "other.socket", "--slots-dir", slots_, "--state-dir", folder_.path() / "other"});
  EXPECT_EQ(other.exit_code, 5);
  EXPECT_THAT(other.err, AllOf(HasSubstr("process " + std::to_string(helper->pid()) + " already serves the slots"),
                               HasSubstr("--slots-dir")));
  EXPECT_TRUE(client("p0").attest());
}

TEST_F(SlotsTest, standby_takes_all_sockets_when_the_one_that_serves_is_killed) {
  auto one = start({"--instance", "pod"});
  auto other = start({"--instance", "pod"}, " waiting, another instance serves ");
  EXPECT_THAT(page(*other, "/readyz"), AllOf(HasSubstr(" 200 "), HasSubstr("this one waits")));
  fake::Load load({slot("p0"), slot("p1"), legacy_}, target(), true);
  for (int kills = 0; kills < 4; ++kills) {
    EXPECT_TRUE(load.more(300));
    one->signal(SIGKILL);
    auto begin = Clock::now();
    EXPECT_TRUE(becomes([&] { return net::call(slot("p2"), cheap_, 1s).has_value(); }));
    EXPECT_LT(Clock::now() - begin, 3s) << "a death is an event; who hangs is noticed after 3 s";
    EXPECT_EQ(one->wait(kPatience), 128 + SIGKILL);
    EXPECT_TRUE(other->wait_for_output("sockets taken, who served is gone", kPatience)) << other->output();
    one = std::move(other);
    other = start({"--instance", "pod"}, " waiting, another instance serves ");
  }
  // Of each of the four clients what was in flight, or came in that moment: on each of three sockets.
  EXPECT_LE(load.failures().size(), 4u * 4u * 3u);
}

TEST_F(SlotsTest, standby_takes_all_sockets_from_one_that_hangs_and_that_one_waits_when_it_wakes_up) {
  auto hangs = start({"--instance", "pod"});
  auto standby = start({"--instance", "pod"}, " waiting, another instance serves ");
  hangs->signal(SIGSTOP);
  auto begin = Clock::now();
  EXPECT_TRUE(standby->wait_for_output("sockets taken, who served is gone", kPatience)) << standby->output();
  EXPECT_GT(Clock::now() - begin, 3s) << "it may have been busy";
  for (const char* name : {"p0", "p1", "health"})
    EXPECT_TRUE(becomes([&] { return net::call(slot(name), cheap_, 1s).has_value(); }));
  hangs->signal(SIGCONT);
  EXPECT_TRUE(hangs->wait_for_output("sockets handed over", kPatience)) << hangs->output();
  EXPECT_THAT(page(*hangs, "/readyz"), HasSubstr("this one waits"));
  for (const char* name : {"p0", "p1", "health"}) expect_served(slot(name));
}

TEST_F(SlotsTest, folder_at_the_legacy_path_is_moved_aside_and_readiness_knows) {
  auto helper = start();
  fs::remove(legacy_);
  fs::create_directories(legacy_ / "full");
  EXPECT_TRUE(helper->wait_for_output("socket taken back", kPatience)) << helper->err();
  expect_served(legacy_);
  EXPECT_THAT(page(*helper, "/metrics"), HasSubstr("\nenclayer_socket_replaced_total 1\n"));
  // The second time it waits for two seconds.
  fs::remove(legacy_);
  EXPECT_TRUE(
      becomes([&] { return page(*helper, "/readyz").find("the legacy socket is not ours") != std::string::npos; }));
  expect_served(slot("p0"));
  EXPECT_TRUE(becomes([&] { return page(*helper, "/readyz").find(" 200 ") != std::string::npos; }));
}

// ---- Clients who mean harm ----

TEST_F(SlotsTest, thousands_of_connections_that_pipeline_the_cheapest_request_hold_nobody_up) {
  auto helper = start();
  expect_unharmed_by([&] {
    fake::allow_descriptors(5000);
    std::vector<RawClient> greedy;
    Bytes many;
    for (int i = 0; i < 200; ++i) base::append(many, fake::aesm_frame("quote_ex-num.req"));
    for (int i = 0; i < 1000; ++i)
      for (const fs::path& socket : {legacy_, slot("p1")}) greedy.emplace_back(socket);
    Bytes replies(1 << 16);
    while (true)
      for (RawClient& client : greedy) {
        client.send_what_fits(many);
        while (::recv(client.fd(), replies.data(), replies.size(), MSG_DONTWAIT) > 0) {
        }
      }
  });
}

TEST_F(SlotsTest, a_quote_in_flight_on_each_of_hundreds_of_connections_holds_nobody_up) {
  auto helper = start();
  const Bytes quote = quote_request();
  expect_unharmed_by([&] {
    fake::allow_descriptors(5000);
    std::vector<std::unique_ptr<RawClient>> greedy;
    for (int i = 0; i < 600; ++i) {
      greedy.push_back(std::make_unique<RawClient>(i % 2 == 0 ? legacy_ : slot("p1")));
      greedy.back()->send_frame(quote);
    }
    Bytes reply(1 << 16);
    while (true)
      for (auto& client : greedy)
        if (::recv(client->fd(), reply.data(), reply.size(), MSG_DONTWAIT) >= 0) {
          client = std::make_unique<RawClient>(legacy_);
          client->send_frame(quote);
        }
  });
}

TEST_F(SlotsTest, ring_of_half_frames_that_is_replaced_as_fast_as_can_be_closes_nobody_elses_connection) {
  auto helper = start();
  pid_t attacker = ::fork();
  if (attacker == 0) {
    fake::allow_descriptors(9000);
    std::vector<std::unique_ptr<RawClient>> ring(5000);
    for (std::size_t i = 0;; ++i) {
      auto& place = ring[i % ring.size()];
      place = std::make_unique<RawClient>(i % 2 == 0 ? legacy_ : slot("p1"));
      place->send({0x40, 2, 0, 0, 0x8a, 1});
    }
  }
  // Honest ones take their time between connecting and asking.
  for (int asked = 0; asked < 500; ++asked) {
    RawClient client(slot("p0"));
    EXPECT_FALSE(client.readable(1ms)) << "closed before it asked";
    ASSERT_TRUE(client.send_frame(cheap_));
    EXPECT_TRUE(client.receive_frame());
  }
  ::kill(attacker, SIGKILL);
  ::waitpid(attacker, nullptr, 0);
}

TEST_F(SlotsTest, descriptors_passed_along_hold_nobody_up) {
  auto helper = start();
  expect_unharmed_by([&] {
    // Wherever a socket lets them through they cost their connection (frame_server_test.cc has both ways).
    while (true) {
      RawClient client(legacy_);
      base::UniqueFd fd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
      for (int i = 0; i < 100 && client.send_descriptor(fd.get(), MSG_DONTWAIT); ++i) {
      }
    }
  });
}

// ---- What hangs beside it ----

TEST_F(SlotsTest, log_that_nobody_reads_holds_nobody_up) {
  fs::path pipe = folder_.path() / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  base::UniqueFd reader(::open(pipe.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  std::vector<std::string> argv = {"/bin/sh", "-c", "exec \"$@\" 2>\"$0\"", pipe};
  for (const std::string& word : fake::sim_quote_helper(legacy_, state_, {"--log-level", "debug"}))
    argv.push_back(word);
  Process helper(argv);
  ASSERT_TRUE(becomes([&] { return net::call(slot("p0"), cheap_, 1s).has_value(); }));
  // 64 KiB fit into the pipe. Each of these has a line, as far as refusals are logged at all: thirty of each slot, and
  // a new holder each time.
  for (std::uint64_t generation = 1; generation <= 30; ++generation) {
    slots::Holders holders;
    for (const char* name : {"p0", "p1", "p2", "p3"})
      holders[name] = {generation, "bank", "ledger-" + std::string(200, '0'), "app", 64};
    ASSERT_TRUE(slots::write_holders(slots_ / slots::kHoldersFile, holders));
    for (const char* name : {"p0", "p1", "p2", "p3"})
      for (int i = 0; i < 8; ++i)
        static_cast<void>(net::call(slot(name), fake::aesm_body("quote_ex-quote.req"), kPatience));
  }
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(becomes([&] { return client("p0").attest().has_value(); }));
  helper.signal(SIGTERM);
  EXPECT_EQ(helper.wait(kPatience), 0);
}

TEST_F(SlotsTest, lock_that_somebody_else_holds_keeps_it_neither_from_serving_nor_from_ending) {
  auto helper = start();
  base::UniqueFd lock(::open((state_ / "lock").c_str(), O_RDWR | O_CLOEXEC));
  ASSERT_EQ(::flock(lock.get(), LOCK_EX), 0);
  fs::remove(legacy_);
  EXPECT_TRUE(helper->wait_for_output("socket lost", kPatience));
  expect_served(slot("p0"));
  helper->signal(SIGTERM);
  EXPECT_EQ(helper->wait(kPatience), 0) << helper->output();
}

TEST_F(SlotsTest, moment_without_space_blocks_no_later_update) {
  // What cannot be written for want of space fails as what is longer than a file may be; XFSZ would kill.
  std::vector<std::string> argv = {"/bin/sh", "-c", "trap '' XFSZ; exec \"$@\"", "sh"};
  for (const std::string& word : fake::sim_quote_helper(legacy_, state_)) argv.push_back(word);
  Process helper(argv);
  ASSERT_TRUE(helper.wait_for_output(" serving ", kPatience)) << helper.output();
  auto is_on_record = [&] {
    struct stat found {};
    auto record = base::read_text(state_ / "sockets", 4096);
    return ::lstat(legacy_.c_str(), &found) == 0 && record &&
           record->find(" " + std::to_string(found.st_ino) + " ") != std::string::npos;
  };
  ASSERT_TRUE(is_on_record());
  const rlimit full{0, RLIM_INFINITY}, space{RLIM_INFINITY, RLIM_INFINITY};
  ASSERT_EQ(::prlimit(helper.pid(), RLIMIT_FSIZE, &full, nullptr), 0);
  fs::remove(legacy_);
  EXPECT_TRUE(becomes([&] { return net::call(legacy_, cheap_, 1s).has_value(); }));
  EXPECT_FALSE(is_on_record());
  ASSERT_EQ(::prlimit(helper.pid(), RLIMIT_FSIZE, &space, nullptr), 0);
  EXPECT_TRUE(becomes(is_on_record));
  auto successor = start();
  EXPECT_EQ(helper.wait(kPatience), 0) << helper.output();
  expect_served(legacy_);
  expect_served(slot("p0"));
}

}  // namespace
}  // namespace enclayer
