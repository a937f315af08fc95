// SPDX-License-Identifier: Apache-2.0
// enclayer-quote-helper, the real binary: what clients of the AESM socket see, honest and other ones.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <future>
#include <map>
#include <mutex>
#include <thread>

#include "aesm/att_key_id.h"
#include "aesm/client.h"
#include "enclayer/collateral.h"
#include "enclayer/policy.h"
#include "enclayer/verify.h"
#include "fake/aesm_frames.h"
#include "fake/http_get.h"
#include "fake/listen.h"
#include "fake/load.h"
#include "fake/memory.h"
#include "fake/process.h"
#include "fake/quote_helper.h"
#include "fake/raw_client.h"
#include "fake/temp_folder.h"
#include "net/frame_client.h"
#include "proto/aesm.pb.h"
#include "sim/enclave.h"
#include "sim/platform.h"

namespace enclayer {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using fake::Process;
using fake::RawClient;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr auto kPatience = 30s;
constexpr char kProgram[] = ENCLAYER_BIN_DIR "/enclayer-quote-helper";
double resident_mib(const Process& process) { return fake::memory_mib(process.pid(), "VmRSS"); }

// The command, with a limit of 128 open files.
std::vector<std::string> few_descriptors(const std::vector<std::string>& command) {
  std::vector<std::string> all = {"/bin/sh", "-c", "ulimit -n 128 && exec \"$@\"", "sh"};
  all.insert(all.end(), command.begin(), command.end());
  return all;
}

std::map<std::string, std::string> content(const fs::path& folder) {
  std::map<std::string, std::string> out;
  for (const auto& entry : fs::recursive_directory_iterator(folder))
    if (entry.is_regular_file()) out[entry.path()] = base::read_text(entry.path(), 1 << 20).value();
  return out;
}

class QuoteHelperTest : public testing::Test {
 protected:
  std::vector<std::string> argv(std::vector<std::string> more = {}) {
    return fake::sim_quote_helper(socket_, state_, more);
  }
  std::unique_ptr<Process> start(std::vector<std::string> more = {}) {
    auto process = std::make_unique<Process>(argv(std::move(more)));
    EXPECT_TRUE(process->wait_for_output(" serving ", kPatience)) << process->output();
    return process;
  }

  Result<Bytes> ask(ByteView request) { return client_.ask(request); }
  Bytes reply(ByteView request) {
    auto got = ask(request);
    EXPECT_TRUE(got) << got.error().message();
    return got ? *got : Bytes{};
  }
  void expect_served() {
    EXPECT_EQ(base::to_hex(reply(fake::aesm_body("quote_ex-num.req"))),
              base::to_hex(fake::aesm_body("quote_ex-num.standin-res")));
  }
  quoting::QuoteTarget target() { return client_.target().value(); }
  Bytes quote() { return client_.attest().value(); }

  // The first of `signals` ends it.
  void expect_begun_request_is_answered_after(const std::vector<int>& signals) {
    auto helper = start();
    RawClient begun(socket_);
    Bytes frame = fake::aesm_frame("quote_ex-num.req");
    ASSERT_TRUE(begun.send(ByteView(frame).first(6)));
    expect_served();
    for (int number : signals) {
      helper->signal(number);
      ASSERT_TRUE(helper->wait_for_output("stopping reason=SIGTERM", kPatience));
    }
    ASSERT_TRUE(begun.send(ByteView(frame).subspan(6)));
    EXPECT_EQ(begun.receive_frame(), fake::aesm_body("quote_ex-num.standin-res"));
    EXPECT_EQ(helper->wait(kPatience), 0);
  }

  fake::TempFolder folder_;
  fs::path socket_ = folder_.path() / "run" / "aesm.socket", state_ = folder_.path() / "state";
  fake::QuoteClient client_{socket_};
};

// ---- Serving ----

TEST_F(QuoteHelperTest, recorded_frames_of_real_clients_get_replies_of_the_right_kind_and_size) {
  auto helper = start();
  for (const std::string& name : fake::aesm_requests()) {
    SCOPED_TRACE(name);
    RawClient client(socket_);
    ASSERT_TRUE(client.send(fake::aesm_frame(name)));
    auto got = client.receive_frame();
    ASSERT_TRUE(got);
    if (name.find("-quote") != std::string::npos) {
      // Their reports are filler bytes: no Quoting Enclave may sign them.
      EXPECT_EQ(base::to_hex(*got), "8a0102082a");
      continue;
    }
    if (name.find("-size") != std::string::npos) {
      EXPECT_GT(aesm::read_quote_size_reply(*got).value(), 1052u);
      continue;
    }
    std::string standin = name.substr(0, name.find(".req"));
    if (standin.starts_with("dcap_ql-init1")) standin = "dcap_ql-init1";
    Bytes expected = fake::aesm_body(standin + ".standin-res");
    EXPECT_EQ(got->size(), expected.size());
    if (name.find("init1") != std::string::npos) {
      EXPECT_EQ(aesm::read_init_size_reply(*got).value(), 32u);
    } else if (name.find("init2") != std::string::npos) {
      EXPECT_EQ(aesm::read_init_reply(*got)->pub_key_id, target().pub_key_id);
    } else {
      EXPECT_EQ(base::to_hex(*got), base::to_hex(expected));
    }
  }
}

TEST_F(QuoteHelperTest, quote_verifies_against_what_the_helper_published) {
  auto helper = start();
  Bytes quoted = quote();
  auto collateral =
      parse_collateral_json(base::read_text(sim::public_collateral_path(state_), 1 << 20).value()).value();
  auto root = TrustedRoot::from_pem(base::read_text(sim::public_root_path(state_), 1 << 20).value()).value();
  Time now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
  auto verification = verify(quoted, collateral, root, now);
  EXPECT_TRUE(judge(verification, {.allow_simulated = true}).trusted) << verification.detail;
  EXPECT_FALSE(verify(quoted, collateral, TrustedRoot::intel(), now).verified());
  EXPECT_TRUE(helper->wait_for_output("quote made slot=legacy ", kPatience));
}

TEST_F(QuoteHelperTest, keys_are_the_same_after_a_restart) {
  auto helper = start();
  auto before = target();
  helper->signal(SIGTERM);
  ASSERT_EQ(helper->wait(kPatience), 0);
  helper = start();
  EXPECT_EQ(target().pub_key_id, before.pub_key_id);
  EXPECT_EQ(target().qe, before.qe);
}

TEST_F(QuoteHelperTest, socket_is_for_everybody_and_nothing_else_is_in_its_folder) {
  auto helper = start();
  struct stat found {};
  ASSERT_EQ(::lstat(socket_.c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 07777, 0666u);
  EXPECT_EQ(std::distance(fs::directory_iterator(socket_.parent_path()), {}), 1);
}

TEST_F(QuoteHelperTest, log_says_loudly_that_quotes_are_simulated) {
  auto helper = start();
  EXPECT_THAT(helper->err(), HasSubstr("warn  QUOTES ARE SIMULATED"));
}

// ---- Bad input ----

TEST_F(QuoteHelperTest, report_with_a_wrong_mac_is_told_to_ask_for_the_target_again_and_logged) {
  auto helper = start();
  auto report = client_.report().value();
  report.raw[431] ^= 1;
  auto refused = client_.quote(report);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message(), HasSubstr("ATT_KEY_NOT_INITIALIZED (42)"));
  EXPECT_TRUE(
      helper->wait_for_output("result=\"ATT_KEY_NOT_INITIALIZED (42)\" reason=\"the report's MAC is wrong", kPatience))
      << helper->err();
  EXPECT_THAT(helper->err(), HasSubstr("client=\"legacy (process " + std::to_string(::getpid())));
  EXPECT_FALSE(quote().empty());
}

TEST_F(QuoteHelperTest, frames_that_break_the_protocol_are_closed_logged_and_cost_nobody_else) {
  auto helper = start();
  RawClient too_long(socket_), garbage(socket_), cut_off(socket_), empty(socket_), slow(socket_);
  ASSERT_TRUE(too_long.send({0xff, 0xff, 0xff, 0x7f}));
  ASSERT_TRUE(garbage.send_frame(Bytes(100, 0xff)));
  Bytes half = fake::aesm_frame("quote_ex-quote.req");
  half.resize(half.size() / 2);
  ASSERT_TRUE(cut_off.send(half));
  cut_off.shut_down_sending();
  ASSERT_TRUE(empty.send({0, 0, 0, 0}));
  ASSERT_TRUE(slow.send({0x10}));
  expect_served();
  for (RawClient* client : {&too_long, &garbage, &cut_off, &empty}) EXPECT_TRUE(client->closed_by_server());
  for (int i = 0; i < 50; ++i) expect_served();
  EXPECT_TRUE(slow.closed_by_server());  // after its five seconds
  for (const char* reason : {"longer than the limit", "not a request", "cut off", "not complete in time"})
    EXPECT_TRUE(helper->wait_for_output("frame rejected reason=\"" + std::string(reason) + "\"", kPatience)) << reason;
  EXPECT_FALSE(quote().empty());
}

TEST_F(QuoteHelperTest, huge_buf_size_costs_nothing) {
  auto helper = start();
  auto report = client_.report().value();
  Bytes got = reply(aesm::quote_request(report, 1 << 30, std::nullopt));
  EXPECT_LT(got.size(), 20'000u);
}

// Fields that are wrong, missing, too long or unknown: the answers are those that Intel's aesmd was seen to give.
TEST_F(QuoteHelperTest, odd_requests_get_the_answers_that_aesmd_gives) {
  using ::aesm::message::Request;
  auto helper = start();
  auto recorded = [](const char* name) {
    Request request;
    EXPECT_TRUE(request.ParseFromString(std::string(base::as_text(fake::aesm_body(name)))));
    return request;
  };
  auto reply_hex = [&](const Request& request) {
    std::string bytes = request.SerializePartialAsString();
    return base::to_hex(reply(base::as_bytes(bytes)));
  };
  Request size = recorded("quote_ex-size.req"), init1 = recorded("quote_ex-init1.req"),
          init2 = recorded("quote_ex-init2.req"), ids = recorded("quote_ex-ids.req");
  std::string key_id = size.get_quote_size_ex().att_key_id(), right_size = reply_hex(size);
  auto with_key = [&](std::string other) {
    Request request = size;
    request.mutable_get_quote_size_ex()->set_att_key_id(std::move(other));
    return reply_hex(request);
  };
  EXPECT_EQ(with_key(key_id + std::string(44, 'x')), right_size) << "300 bytes";
  EXPECT_EQ(with_key(key_id.substr(0, 158) + std::string(98, 'x')), right_size) << "only 158 bytes count";
  EXPECT_EQ(with_key(key_id.substr(0, 255)), "82010408031000");
  EXPECT_EQ(with_key(""), "82010408031000");
  key_id[157] ^= 1;
  EXPECT_EQ(with_key(key_id), "82010408261000");

  ids.mutable_get_supported_att_key_ids()->set_buf_size(255);
  EXPECT_EQ(reply_hex(ids), "b201020803");
  ids.mutable_get_supported_att_key_ids()->set_buf_size(0xffffffff);
  EXPECT_EQ(reply_hex(ids), "b201020803");

  std::string sized = reply_hex(init1);
  init1.mutable_init_quote_ex()->set_buf_size(0x7f6e5118b020);  // what stood on the client's stack
  EXPECT_EQ(reply_hex(init1), sized);
  init1.mutable_init_quote_ex()->clear_b_pub_key_id();
  EXPECT_EQ(reply_hex(init1), "7a0408011800");
  init2.mutable_init_quote_ex()->set_buf_size(33);
  EXPECT_EQ(reply_hex(init2), "7a0408031821");
  init2.mutable_init_quote_ex()->clear_buf_size();
  EXPECT_EQ(reply_hex(init2), "7a0408031800");

  for (int bytes : {0, 431, 433, 10'000}) {
    Request quote_request = recorded("quote_ex-quote-qeinfo.req");
    quote_request.mutable_get_quote_ex()->set_report(std::string(static_cast<std::size_t>(bytes), 'r'));
    EXPECT_EQ(reply_hex(quote_request), "8a01020803") << bytes;
    quote_request = recorded("quote_ex-quote-qeinfo.req");
    quote_request.mutable_get_quote_ex()->set_qe_report_info(std::string(static_cast<std::size_t>(bytes), 'i'));
    EXPECT_EQ(reply_hex(quote_request), "8a01020803") << bytes;
  }

  // Fields that nobody knows, in the request and beside it, and garbage in `timeout`.
  Bytes num = fake::aesm_body("quote_ex-num.req"), expected = fake::aesm_body("quote_ex-num.standin-res");
  Bytes unknown_beside = num;
  base::append(unknown_beside, base::from_hex("920603616263"
                                              "9806ffffffff0f")
                                   .value());
  EXPECT_EQ(reply(unknown_beside), expected);
  Bytes unknown_within = {0xaa, 0x01, 0x06, 0x48, 0xff, 0x7f, 0x98, 0x06, 0x01};
  EXPECT_EQ(reply(unknown_within), expected);
}

TEST_F(QuoteHelperTest, requests_sent_at_once_are_answered_in_their_order) {
  auto helper = start();
  auto report = client_.report().value();
  RawClient client(socket_);
  Bytes all;
  auto add = [&](const Bytes& body) {
    Bytes length(4);
    base::store_le32(length.data(), static_cast<std::uint32_t>(body.size()));
    base::append(all, length);
    base::append(all, body);
  };
  add(fake::aesm_body("quote_ex-num.req"));
  add(aesm::quote_request(report, 8192, std::nullopt));
  add(aesm::quote_size_request());
  add(aesm::quote_request(report, 8192, std::nullopt));
  ASSERT_TRUE(client.send(all));
  EXPECT_EQ(client.receive_frame(), fake::aesm_body("quote_ex-num.standin-res"));
  EXPECT_TRUE(aesm::read_quote_reply(client.receive_frame().value_or(Bytes{}), false));
  EXPECT_TRUE(aesm::read_quote_size_reply(client.receive_frame().value_or(Bytes{})));
  client.shut_down_sending();
  EXPECT_TRUE(aesm::read_quote_reply(client.receive_frame().value_or(Bytes{}), false)) << "after the half-close";
  EXPECT_TRUE(client.closed_by_server());
}

TEST_F(QuoteHelperTest, client_that_leaves_without_its_quote_costs_nobody_else) {
  auto helper = start();
  auto report = client_.report().value();
  Bytes request = aesm::quote_request(report, 8192, std::nullopt);
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(RawClient(socket_).send_frame(request));
  EXPECT_FALSE(quote().empty());
}

// Everything that stops, swells or freezes Intel's aesmd, all at the same time.
TEST_F(QuoteHelperTest, misuse_by_a_thousand_connections_costs_neither_memory_nor_honest_clients) {
  ASSERT_TRUE(fake::allow_descriptors(4000)) << "this test needs more open files";
  auto helper = start();
  expect_served();
  double before = resident_mib(*helper);
  std::vector<std::unique_ptr<RawClient>> held;
  auto hold = [&](std::initializer_list<std::uint8_t> bytes) {
    held.push_back(std::make_unique<RawClient>(socket_));
    if (bytes.size() > 0) {
      ASSERT_TRUE(held.back()->send(bytes));
    }
  };
  auto began = std::chrono::steady_clock::now();
  std::vector<std::chrono::milliseconds> took;
  auto honest = [&] {
    auto begin = std::chrono::steady_clock::now();
    expect_served();
    EXPECT_FALSE(quote().empty());
    took.push_back(std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - begin));
  };
  for (int i = 0; i < 500; ++i) {
    hold({});
    hold({0x10});
    if (i % 10 == 0) {
      hold({0xff, 0xff, 0xff, 0x7f});
      hold({0xff, 0xff, 0xff, 0xff});
      hold({0x00, 0x00, 0x01, 0x00});  // 64 KiB announced, which is allowed
    }
    if (i % 25 == 0) honest();
  }
  auto report = client_.report().value();
  for (int i = 0; i < 20; ++i) EXPECT_LT(reply(aesm::quote_request(report, 1 << 30, std::nullopt)).size(), 20'000u);
  Bytes half(60'000, 0xaa);
  base::store_le32(half.data(), 64 << 10);
  for (int i = 0; i < 200; ++i) {  // 12 MB of unfinished frames
    held.push_back(std::make_unique<RawClient>(socket_));
    held.back()->send(half);
  }
  honest();
  // An honest client makes five connections in each of these times: 1 ms when nothing else runs on the machine. The
  // worst of them is left out, so that a machine that stalls once fails nothing.
  std::sort(took.begin(), took.end());
  EXPECT_LT(took[took.size() - 2], 2s) << "held up by misuse, from " << took.front().count() << " ms";
  if (!fake::kSanitized) {
    EXPECT_LT(resident_mib(*helper) - before, 16);
  }
  // Nobody who was silent is held for longer than the deadline.
  for (auto& client : held) EXPECT_TRUE(client->closed_by_server());
  EXPECT_GE(std::chrono::steady_clock::now() - began, 4s) << "closed without need: there was room for all";
}

TEST_F(QuoteHelperTest, silent_connections_on_all_places_give_way_to_whoever_asks) {
  // 128 descriptors leave 32 places.
  auto helper = std::make_unique<Process>(few_descriptors(argv({"--metrics-listen", "127.0.0.1:0"})));
  ASSERT_TRUE(helper->wait_for_output(" serving ", kPatience)) << helper->output();
  EXPECT_THAT(helper->err(), HasSubstr("max_connections=32"));
  std::vector<std::unique_ptr<RawClient>> held;
  auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < 300; ++i) {
    held.push_back(std::make_unique<RawClient>(socket_));
    if (i % 3 == 0) held.back()->send({0x10});
    if (i % 10 == 0) expect_served();
  }
  EXPECT_FALSE(quote().empty());
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 4s) << "waited for the others' deadlines";
}

TEST_F(QuoteHelperTest, flood_of_bad_frames_cannot_fill_the_log) {
  auto helper = start();
  for (int i = 0; i < 500; ++i) {
    RawClient client(socket_);
    ASSERT_TRUE(client.send({0, 0, 0, 0}));
    ASSERT_TRUE(client.closed_by_server());
  }
  std::string log = helper->err();
  int lines = 0;
  for (std::size_t at = 0; (at = log.find("frame rejected", at)) != std::string::npos; ++at) ++lines;
  EXPECT_GE(lines, 20);
  EXPECT_LT(lines, 60);
}

// ---- Whose socket ----

TEST_F(QuoteHelperTest, instances_succeed_each_other_under_load_and_no_request_fails) {
  std::vector<std::unique_ptr<Process>> instances;
  instances.push_back(start());
  fake::Load load({socket_}, target());
  for (int handover = 0; handover < 5; ++handover) {
    EXPECT_TRUE(load.more(300));
    instances.push_back(start());
    auto &before = *instances.end()[-2], &after = *instances.back();
    EXPECT_EQ(before.wait(kPatience), 0) << before.output();
    EXPECT_THAT(before.err(), HasSubstr("another instance has taken over, pid " + std::to_string(after.pid())));
    EXPECT_THAT(before.err(), Not(HasSubstr("connections dropped")));
  }
  EXPECT_THAT(instances.back()->err(), HasSubstr("generation=6"));
  EXPECT_TRUE(load.more(300)) << "nobody is served after the last handover";
  EXPECT_THAT(load.failures(), IsEmpty());
}

// Instances with names, as the pods of a DaemonSet have them: it starts the new pod beside the old one, and starts the
// container of a pod again whenever it ends, until the pod is deleted.
class RolloutTest : public QuoteHelperTest {
 protected:
  std::unique_ptr<Process> start_pod(const std::string& name, const std::string& line = " serving ") {
    auto process = std::make_unique<Process>(argv({"--instance", name, "--metrics-listen", "127.0.0.1:0"}));
    EXPECT_TRUE(process->wait_for_output(line, kPatience)) << process->output();
    return process;
  }
  static std::string page(const Process& pod, const char* path) {
    return fake::http_get(fake::metrics_address(pod.err()), path);
  }
  static void expect_waits(Process& pod) {
    EXPECT_TRUE(pod.wait_for_output("sockets handed over", kPatience)) << pod.output();
    std::string ready = page(pod, "/readyz");
    EXPECT_THAT(ready, HasSubstr(" 200 "));
    EXPECT_THAT(ready, HasSubstr("ok, another instance serves, and this one waits"));
    EXPECT_THAT(page(pod, "/metrics"), HasSubstr("\nenclayer_socket_ours 0\n"));
  }
  static void expect_ends(Process& pod, int signal = SIGTERM, int exit_code = 0) {
    pod.signal(signal);
    EXPECT_EQ(pod.wait(kPatience), exit_code) << pod.output();
  }
  static std::size_t count(const std::string& text, const std::string& what) {
    std::size_t times = 0;
    for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++times;
    return times;
  }
};

TEST_F(RolloutTest, no_request_fails_over_rollouts_and_the_old_pod_waits_until_it_is_deleted) {
  auto pod = start_pod("uid-0");
  fake::Load load({socket_}, target());
  for (int rollout = 1; rollout <= 3; ++rollout) {
    auto fresh = start_pod("uid-" + std::to_string(rollout));
    expect_waits(*pod);
    EXPECT_TRUE(load.more(300));
    // Its container crashes, and is started again.
    expect_ends(*pod, SIGKILL, 128 + SIGKILL);
    pod = start_pod("uid-" + std::to_string(rollout - 1), " waiting, another instance serves ");
    EXPECT_TRUE(load.more(300));
    EXPECT_THAT(page(*pod, "/readyz"), HasSubstr("this one waits"));
    expect_ends(*pod);
    EXPECT_TRUE(load.more(300));
    for (const char* lost : {"socket lost", "sockets handed over"}) EXPECT_THAT(fresh->err(), Not(HasSubstr(lost)));
    pod = std::move(fresh);
  }
  EXPECT_THAT(load.failures(), IsEmpty());
}

TEST_F(RolloutTest, old_pod_serves_again_while_the_new_one_crashes_and_gives_way_whenever_it_is_back) {
  auto old = start_pod("old");
  for (int crash = 1; crash <= 3; ++crash) {
    auto fresh = start_pod("new");
    EXPECT_THAT(fresh->err(), HasSubstr("generation=2"));
    ASSERT_TRUE(old->wait_for_output("sockets handed over", kPatience));
    expect_ends(*fresh, SIGKILL, 128 + SIGKILL);
    std::string again = "enclayer_socket_resumed_total " + std::to_string(crash);
    auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (page(*old, "/metrics").find(again) == std::string::npos && std::chrono::steady_clock::now() < deadline)
      std::this_thread::yield();
    EXPECT_THAT(page(*old, "/metrics"), HasSubstr("\nenclayer_socket_ours 1\n"));
    expect_served();
    EXPECT_FALSE(quote().empty());
    EXPECT_EQ(count(old->err(), "sockets handed over"), static_cast<std::size_t>(crash)) << old->err();
  }
  EXPECT_THAT(old->err(), Not(HasSubstr("socket lost")));
}

// As a rollback deletes it while the old pod is still there.
TEST_F(RolloutTest, new_pod_that_is_deleted_lets_the_old_one_take_over_and_no_request_fails) {
  auto old = start_pod("old");
  fake::Load load({socket_}, target());
  for (const char* name : {"new", "newer", "new"}) {
    auto fresh = start_pod(name);
    EXPECT_TRUE(load.more(300));
    expect_ends(*fresh);
    EXPECT_THAT(fresh->err(), HasSubstr("sockets handed over reason=\"this instance ends\""));
    EXPECT_TRUE(load.more(300));
  }
  EXPECT_THAT(load.failures(), IsEmpty());
  EXPECT_EQ(count(old->err(), "sockets taken"), 3u) << old->err();
}

TEST_F(RolloutTest, whatever_is_started_first_after_a_reboot_the_newer_pod_serves_in_the_end) {
  auto old = start_pod("old"), fresh = start_pod("new");
  for (bool old_first : {true, false, true}) {
    for (Process* pod : {old.get(), fresh.get()}) expect_ends(*pod, SIGKILL, 128 + SIGKILL);
    fs::remove_all(socket_.parent_path());  // as /run after a boot
    if (old_first) {
      old = start_pod("old");
      fresh = start_pod("new");
      expect_waits(*old);
    } else {
      fresh = start_pod("new");
      old = start_pod("old", " waiting, another instance serves ");
    }
    EXPECT_THAT(page(*fresh, "/metrics"), HasSubstr("\nenclayer_socket_ours 1\n"));
    expect_served();
  }
  for (const auto& pod : {std::cref(*old), std::cref(*fresh)})
    EXPECT_THAT(pod.get().err(), Not(HasSubstr("sockets taken")));
}

TEST_F(RolloutTest, two_that_start_at_once_agree_on_one_and_leave_it_at_that) {
  for (int times = 0; times < 3; ++times) {
    Process one(argv({"--instance", "one"})), two(argv({"--instance", "two"}));
    for (Process* pod : {&one, &two}) EXPECT_TRUE(pod->wait_for_output("generation=", kPatience)) << pod->output();
    auto waits = [](Process& pod) {
      return pod.err().find("sockets handed over") != std::string::npos ||
             pod.err().find(" waiting, ") != std::string::npos;
    };
    auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (!waits(one) && !waits(two) && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
    EXPECT_NE(waits(one), waits(two)) << one.err() << two.err();
    expect_served();
    for (Process* pod : {&one, &two}) {
      EXPECT_THAT(pod->err(), Not(HasSubstr("sockets taken")));
      EXPECT_THAT(pod->err(), Not(HasSubstr("taken back")));
    }
    for (Process* pod : {&one, &two}) expect_ends(*pod, SIGKILL, 128 + SIGKILL);
  }
}

// A client that has found the old socket, and then is slow: to connect, to ask, or to ask all.
TEST_F(QuoteHelperTest, clients_of_the_old_socket_are_answered_or_refused_but_never_lost) {
  auto first = start();
  fs::path old_socket = folder_.path() / "old";
  fs::create_hard_link(socket_, old_socket);
  auto second = start();
  ASSERT_TRUE(first->wait_for_output("sockets handed over", kPatience));
  RawClient silent(old_socket), begun(old_socket);
  Bytes frame = fake::aesm_frame("quote_ex-num.req"), answer = fake::aesm_body("quote_ex-num.standin-res");
  ASSERT_TRUE(begun.send(ByteView(frame).first(6)));
  int answered = 0;
  while (true) {
    auto got = net::call(old_socket, fake::aesm_body("quote_ex-num.req"), kPatience);
    if (!got) {
      EXPECT_EQ(got.error().kind(), ErrorKind::kUnavailable) << got.error().message();
      break;
    }
    ++answered;
  }
  EXPECT_GT(answered, 0) << "refused as soon as there was a successor";
  ASSERT_TRUE(silent.send(frame));
  EXPECT_EQ(silent.receive_frame(), answer);
  ASSERT_TRUE(begun.send(ByteView(frame).subspan(6)));
  EXPECT_EQ(begun.receive_frame(), answer);
  EXPECT_EQ(first->wait(kPatience), 0) << first->output();
  expect_served();
}

TEST_F(QuoteHelperTest, socket_that_a_stranger_replaced_or_removed_is_taken_back_and_counted) {
  auto helper = start({"--metrics-listen", "127.0.0.1:0"});
  RawClient connected(socket_);
  Bytes frame = fake::aesm_frame("quote_ex-num.req");
  ASSERT_TRUE(connected.send(ByteView(frame).first(6)));
  std::vector<base::UniqueFd> strangers;
  for (int times : {1, 2}) {
    fs::remove(socket_);
    if (times == 1) strangers.push_back(fake::listen_at(socket_).value());
    ASSERT_TRUE(helper->wait_for_output(times == 1 ? "socket lost reason=\"somebody put another socket there\""
                                                   : "socket lost reason=\"the socket was removed\"",
                                        kPatience))
        << helper->err();
    ASSERT_TRUE(helper->wait_for_output(
        "socket taken back generation=1 not_again_within_s=" + std::to_string(2 * times), kPatience));
    if (times == 1) {
      ASSERT_TRUE(connected.send(ByteView(frame).subspan(6))) << "the old socket's client was dropped";
      EXPECT_EQ(connected.receive_frame(), fake::aesm_body("quote_ex-num.standin-res"));
    }
    expect_served();
    EXPECT_FALSE(quote().empty());
    EXPECT_THAT(fake::http_get(fake::metrics_address(helper->err()), "/metrics"),
                HasSubstr("\nenclayer_socket_replaced_total " + std::to_string(times) + "\n"));
  }
  EXPECT_EQ(std::distance(fs::directory_iterator(socket_.parent_path()), {}), 1);
  auto successor = start();
  EXPECT_EQ(helper->wait(kPatience), 0) << helper->output();
  expect_served();
}

TEST_F(QuoteHelperTest, two_that_fight_for_the_path_pause_longer_each_time_and_cost_no_request) {
  auto one = start();
  fake::Load load({socket_}, std::nullopt);
  auto argv_other = argv({"--replace"});
  argv_other[8] = folder_.path() / "other-state";
  Process other(argv_other);
  for (const char* pause : {"not_again_within_s=2", "not_again_within_s=4"})
    for (Process* process : {one.get(), &other})
      EXPECT_TRUE(process->wait_for_output(pause, kPatience)) << process->output();
  EXPECT_TRUE(load.more(100));
  EXPECT_THAT(load.failures(), IsEmpty());
  for (Process* process : {one.get(), &other}) {
    process->signal(SIGTERM);
    EXPECT_EQ(process->wait(kPatience), 0) << process->output();
  }
}

// As a pod sees the socket: its folder, mounted read-only.
TEST_F(QuoteHelperTest, clients_with_a_read_only_mount_of_the_folder_are_served_also_after_an_update) {
  auto helper = start();
  fs::path mounted = folder_.path() / "mounted";
  fs::create_directory(mounted);
  std::promise<bool> updated;
  std::string not_permitted;
  std::vector<Result<Bytes>> replies;
  int removed = 0, removal = 0;
  std::promise<void> asked;
  // In a thread, because a thread can have a mount namespace of its own; it is gone with the thread.
  std::thread pod([&] {
    auto or_why = [&](const char* what, int result) {
      if (result != 0) not_permitted = std::string(what) + ": " + std::strerror(errno);
      return result == 0;
    };
    bool ready =
        or_why("unshare", ::unshare(CLONE_NEWNS)) &&
        or_why("private mounts", ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr)) &&
        or_why("bind mount", ::mount(socket_.parent_path().c_str(), mounted.c_str(), nullptr, MS_BIND, nullptr)) &&
        or_why("read-only mount",
               ::mount(nullptr, mounted.c_str(), nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY, nullptr));
    auto ask_there = [&] {
      if (ready) replies.push_back(net::call(mounted / "aesm.socket", fake::aesm_body("quote_ex-num.req"), kPatience));
    };
    ask_there();
    if (ready) {
      removed = ::unlink((mounted / "aesm.socket").c_str());
      removal = errno;
    }
    asked.set_value();
    updated.get_future().wait();
    ask_there();
  });
  asked.get_future().wait();
  if (not_permitted.empty()) {
    auto successor = start();
    EXPECT_EQ(helper->wait(kPatience), 0) << helper->output();
    updated.set_value(true);
    pod.join();
  } else {
    updated.set_value(false);
    pod.join();
    GTEST_SKIP() << "this test has to make mounts of its own: " << not_permitted;
  }
  ASSERT_EQ(replies.size(), 2u);
  for (const auto& got : replies) {
    ASSERT_TRUE(got) << got.error().message();
    EXPECT_EQ(*got, fake::aesm_body("quote_ex-num.standin-res"));
  }
  EXPECT_EQ(removed, -1);
  EXPECT_EQ(removal, EROFS) << "the mount is not read-only";
}

TEST_F(QuoteHelperTest, stranger_who_answers_is_left_alone_and_named) {
  fs::create_directories(socket_.parent_path());
  auto stranger = fake::listen_at(socket_).value();
  auto finished = fake::run(argv());
  EXPECT_EQ(finished.exit_code, 5);
  EXPECT_THAT(finished.err,
              HasSubstr("process " + std::to_string(::getpid()) + " already answers at " + socket_.string()));
  EXPECT_THAT(finished.err, HasSubstr("--replace"));
  EXPECT_TRUE(net::connect_to(socket_, 5s)) << "the stranger's socket is gone";
}

TEST_F(QuoteHelperTest, stranger_is_replaced_when_told_to) {
  fs::create_directories(socket_.parent_path());
  auto stranger = fake::listen_at(socket_).value();
  auto helper = start({"--replace"});
  expect_served();
}

TEST_F(QuoteHelperTest, instance_with_another_state_directory_is_a_stranger) {
  auto first = start();
  auto argv_other = argv();
  argv_other.back() = folder_.path() / "other-state";
  auto finished = fake::run(argv_other);
  EXPECT_EQ(finished.exit_code, 5) << finished.err;
  EXPECT_THAT(finished.err, HasSubstr("process " + std::to_string(first->pid()) + " already answers"));
  expect_served();
}

TEST_F(QuoteHelperTest, socket_that_a_killed_instance_left_behind_is_replaced) {
  auto helper = start();
  helper->signal(SIGKILL);
  ASSERT_EQ(helper->wait(kPatience), 128 + SIGKILL);
  ASSERT_TRUE(fs::exists(socket_));
  helper = start();
  expect_served();
}

TEST_F(QuoteHelperTest, file_in_the_sockets_place_is_moved_aside_and_kept) {
  fs::create_directories(socket_.parent_path());
  ASSERT_TRUE(base::write_file_atomic(socket_, base::as_bytes("precious"), 0600));
  auto helper = start();
  expect_served();
  std::vector<std::string> kept;
  for (const auto& entry : fs::directory_iterator(socket_.parent_path()))
    if (entry.path() != socket_) kept.push_back(base::read_text(entry.path(), 100).value());
  EXPECT_EQ(kept, std::vector<std::string>{"precious"});
}

// ---- Reloading ----

TEST_F(QuoteHelperTest, hangup_publishes_again_what_was_removed_and_disturbs_nobody) {
  auto helper = start();
  auto before = target();
  fs::remove_all(state_ / "public");
  helper->signal(SIGHUP);
  ASSERT_TRUE(helper->wait_for_output("reloaded", kPatience)) << helper->err();
  EXPECT_TRUE(fs::exists(sim::public_collateral_path(state_)));
  EXPECT_TRUE(fs::exists(sim::public_root_path(state_)));
  EXPECT_EQ(target().pub_key_id, before.pub_key_id);
  EXPECT_FALSE(helper->wait(0ms));
}

TEST_F(QuoteHelperTest, hangup_while_it_ends_does_not_cut_it_short) {
  expect_begun_request_is_answered_after({SIGTERM, SIGHUP});
}

// ---- Ending ----

TEST_F(QuoteHelperTest, sigterm_and_sigint_end_it_with_0_and_leave_the_socket_file) {
  for (int number : {SIGTERM, SIGINT}) {
    auto helper = start();
    expect_served();
    helper->signal(number);
    EXPECT_EQ(helper->wait(kPatience), 0) << helper->output();
    EXPECT_TRUE(fs::exists(socket_)) << "unlinked: a successor's socket would have been lost";
    EXPECT_EQ(ask(fake::aesm_body("quote_ex-num.req")).error().kind(), ErrorKind::kUnavailable);
  }
}

TEST_F(QuoteHelperTest, request_that_was_begun_is_answered_after_sigterm) {
  expect_begun_request_is_answered_after({SIGTERM});
}

TEST_F(QuoteHelperTest, second_signal_ends_it_at_once) {
  auto helper = start();
  RawClient begun(socket_);
  ASSERT_TRUE(begun.send({6, 0}));
  expect_served();
  helper->signal(SIGTERM);
  ASSERT_TRUE(helper->wait_for_output("stopping", kPatience));
  // It is not known when exactly the second one kills; but it is long before the five seconds of the held connection.
  auto start_of_wait = std::chrono::steady_clock::now();
  while (!helper->wait(10ms)) helper->signal(SIGTERM);
  EXPECT_EQ(helper->wait(0ms), 128 + SIGTERM);
  EXPECT_LT(std::chrono::steady_clock::now() - start_of_wait, 4s);
}

// ---- State and flags ----

TEST_F(QuoteHelperTest, damaged_state_directory_is_reported_and_left_untouched) {
  start()->signal(SIGTERM);
  fs::path key = state_ / "private" / "pck.key";
  std::string whole = base::read_text(key, 1 << 16).value();
  ASSERT_TRUE(base::write_file_atomic(key, base::as_bytes(whole.substr(0, 120)), 0600));
  auto before = content(state_);
  auto finished = fake::run(argv());
  EXPECT_EQ(finished.exit_code, 2) << finished.err;
  EXPECT_THAT(finished.err, HasSubstr(key.string() + ": not a private key"));
  EXPECT_THAT(finished.err, HasSubstr("Nothing was changed"));
  EXPECT_EQ(content(state_), before);
}

TEST_F(QuoteHelperTest, folders_that_cannot_be_made_are_named) {
  ASSERT_TRUE(base::write_file_atomic(folder_.path() / "file", base::as_bytes(""), 0600));
  auto bad_state = argv();
  bad_state.back() = folder_.path() / "file" / "state";
  auto finished = fake::run(bad_state);
  EXPECT_EQ(finished.exit_code, 3) << finished.err;
  EXPECT_THAT(finished.err, HasSubstr((folder_.path() / "file" / "state").string()));
}

TEST_F(QuoteHelperTest, metrics_count_requests_errors_rejections_and_quotes) {
  auto helper = start({"--metrics-listen", "127.0.0.1:0"});
  std::string log = helper->err();
  std::size_t at = log.find("address=127.0.0.1:");
  ASSERT_NE(at, std::string::npos) << log;
  int port = std::stoi(log.substr(at + 18));
  quote();
  reply(fake::aesm_body("quote_ex-quote.req"));
  { RawClient(socket_).send({0, 0, 0, 0}); }

  auto page = [&] {
    base::UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<std::uint16_t>(port));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    net::set_timeout(fd.get(), kPatience);
    EXPECT_EQ(::connect(fd.get(), reinterpret_cast<sockaddr*>(&to), sizeof to), 0);
    std::string request = "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n", text;
    EXPECT_GT(::send(fd.get(), request.data(), request.size(), MSG_NOSIGNAL), 0);
    char chunk[4096];
    for (ssize_t n; (n = ::recv(fd.get(), chunk, sizeof chunk, 0)) > 0;)
      text.append(chunk, static_cast<std::size_t>(n));
    return text;
  };
  auto deadline = std::chrono::steady_clock::now() + kPatience;
  // Clients that have gone are noticed a moment later.
  auto settled = testing::AllOf(HasSubstr("enclayer_frames_rejected_total{reason=\"not_a_request\"} 1"),
                                HasSubstr("enclayer_connections_open 0"));
  while (!testing::Value(page(), settled) && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  std::string text = page();
  EXPECT_THAT(text, HasSubstr("enclayer_aesm_requests_total{code=\"0\",request=\"get_quote_ex\"} 1"));
  EXPECT_THAT(text, HasSubstr("enclayer_aesm_requests_total{code=\"42\",request=\"get_quote_ex\"} 1"));
  EXPECT_THAT(text, HasSubstr("enclayer_aesm_errors_total 1"));
  EXPECT_THAT(text, HasSubstr("enclayer_quotes_total 1"));
  EXPECT_THAT(text, HasSubstr("enclayer_connections_open 0"));
  EXPECT_THAT(text, HasSubstr("enclayer_frames_rejected_total{reason=\"not_a_request\"} 1"));
}

TEST_F(QuoteHelperTest, help_teaches_and_wrong_flags_are_refused_with_1) {
  auto help = fake::run({kProgram, "--help"});
  EXPECT_EQ(help.exit_code, 0);
  EXPECT_THAT(help.out, HasSubstr("enclayer-quote-helper --platform sim --socket"));
  EXPECT_EQ(fake::run({kProgram, "--version"}).exit_code, 0);
  for (std::vector<std::string> wrong : {std::vector<std::string>{kProgram, "--nonsense"},
                                         {kProgram, "extra"},
                                         {kProgram, "--platform", "magic"},
                                         {kProgram, "--socket"}}) {
    auto finished = fake::run(wrong);
    EXPECT_EQ(finished.exit_code, 1);
    EXPECT_THAT(finished.err, HasSubstr("--help"));
  }
}

TEST_F(QuoteHelperTest, hardware_is_the_default_and_never_falls_back_to_the_simulation) {
  for (std::vector<std::string> platform : {std::vector<std::string>{}, {"--platform", "hardware"}}) {
    std::vector<std::string> all = {kProgram,      "--socket", socket_, "--slots-dir", folder_.path() / "slots",
                                    "--state-dir", state_};
    all.insert(all.end(), platform.begin(), platform.end());
    auto finished = fake::run(all);
    EXPECT_EQ(finished.exit_code, 4);
    EXPECT_THAT(finished.err, HasSubstr("--platform sim"));
    EXPECT_FALSE(fs::exists(socket_));
    EXPECT_FALSE(fs::exists(state_));
  }
}

}  // namespace
}  // namespace enclayer
