// SPDX-License-Identifier: Apache-2.0
#include "helper/slot_sockets.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <thread>

#include "base/bytes.h"
#include "fake/frame_answers.h"
#include "fake/listen.h"
#include "fake/raw_client.h"
#include "fake/temp_folder.h"
#include "net/frame_client.h"

namespace enclayer::helper {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

class SlotSocketsTest : public testing::Test {
 protected:
  void look(bool serves = true, std::chrono::seconds later = 0s) { slots_.look(serves, now_ += later); }
  void make(const std::string& name) { ASSERT_TRUE(slots::make_slot(parent_, name)); }
  void hold(const std::string& name, slots::Holder holder) {
    holders_[name] = std::move(holder);
    ASSERT_TRUE(slots::write_holders(parent_ / slots::kHoldersFile, holders_));
  }
  fs::path socket(const std::string& name) { return parent_ / name / slots::kSocket; }
  // Who the server says is asking there; empty when nobody answers.
  std::string asked_as(const std::string& name) {
    auto reply = net::call(socket(name), base::as_bytes("who"), 20s);
    return reply ? std::string(base::as_text(*reply)) : "";
  }

  fake::TempFolder folder_;
  fs::path parent_ = folder_.path() / "quotes";
  slots::Holders holders_;
  base::Metrics metrics_;
  ClientIdentities identities_;
  QuoteAudit audit_{identities_, metrics_};
  bool still_ours_ = true;
  class Names final : public net::FrameHandler {
   public:
    explicit Names(const ClientIdentities& identities) : identities_(identities) {}
    void attach(Replies) override {}
    net::FrameOutcome frame(ByteView, const net::Client& client, net::Ticket) override {
      std::string name = identities_.name(client);
      return Bytes(name.begin(), name.end());
    }
    std::optional<Bytes> overdue(net::Ticket) override { return std::nullopt; }
    void abandoned(net::Ticket) override {}

   private:
    const ClientIdentities& identities_;
  } names_{identities_};
  std::unique_ptr<net::FrameServer> server_ = net::FrameServer::start({}, names_, metrics_).value();
  SlotSockets slots_{parent_, identities_, audit_, *server_, [this] { return still_ours_; }};
  SlotSockets::Moment now_{1h};
};

TEST_F(SlotSocketsTest, folders_that_come_and_go_are_served_and_forgotten) {
  look();
  EXPECT_EQ(slots_.not_ready(), "") << "no device plugin yet";
  make("p0"), make("p1");
  look();
  EXPECT_EQ(asked_as("p0"), "p0");
  EXPECT_EQ(asked_as("p1"), "p1");
  EXPECT_EQ(slots_.served(), 2u);
  fake::RawClient client(socket("p1"));
  ASSERT_TRUE(client.send_frame(base::as_bytes("who")));
  ASSERT_TRUE(client.receive_frame());
  fs::remove_all(parent_ / "p1");
  make("p2");
  look();
  EXPECT_TRUE(client.closed_by_server());
  EXPECT_EQ(asked_as("p2"), "p2");
  EXPECT_EQ(asked_as("p0"), "p0");
  EXPECT_EQ(slots_.served(), 2u);
}

TEST_F(SlotSocketsTest, holder_has_its_name_as_soon_as_that_is_known_and_without_it_is_served_all_the_same) {
  make("p0");
  look();
  EXPECT_EQ(asked_as("p0"), "p0");
  hold("p0", {1, "bank", "ledger-0", "app", 64});
  look();
  EXPECT_EQ(asked_as("p0"), "p0 (bank/ledger-0/app)");
  ASSERT_TRUE(base::write_file_atomic(parent_ / slots::kHoldersFile, base::as_bytes("{\"slots\": {\"p0\""), 0644));
  look();
  EXPECT_EQ(asked_as("p0"), "p0 (bank/ledger-0/app)") << "half a file changes nothing";
}

TEST_F(SlotSocketsTest, pods_that_have_slots_are_told_once_each) {
  make("p0"), make("p1"), make("p2");
  hold("p0", {1, "bank", "ledger-0", "app", 64, "u-1"});
  hold("p1", {1, "bank", "ledger-0", "side", 0, "u-1"});
  hold("p7", {1, "bank", "gone", "app", 64, "u-7"});
  look();
  EXPECT_EQ(slots_.pods(), (std::vector<troubles::Pod>{{"bank", "ledger-0", "u-1"}}));
}

TEST_F(SlotSocketsTest, what_is_open_is_closed_when_another_container_holds_the_slot) {
  make("p0"), make("p1");
  hold("p0", {1, "bank", "ledger-0", "app", 64});
  look();
  fake::RawClient client(socket("p0")), other(socket("p1"));
  for (fake::RawClient* each : {&client, &other}) {
    ASSERT_TRUE(each->send_frame(base::as_bytes("who")));
    ASSERT_TRUE(each->receive_frame());
  }
  hold("p0", {1, "bank", "ledger-0", "renamed", 64});
  look();
  ASSERT_TRUE(client.send_frame(base::as_bytes("who")));
  EXPECT_TRUE(client.receive_frame()) << "the same generation is the same container";
  hold("p0", {2, "", "", "", 0});
  look();
  EXPECT_TRUE(client.closed_by_server());
  EXPECT_EQ(asked_as("p0"), "p0");
  ASSERT_TRUE(other.send_frame(base::as_bytes("who")));
  EXPECT_TRUE(other.receive_frame());
}

TEST_F(SlotSocketsTest, one_that_waits_has_no_sockets_until_it_serves) {
  make("p0");
  look(false);
  EXPECT_FALSE(fs::exists(socket("p0")));
  look(true);
  EXPECT_EQ(asked_as("p0"), "p0");
}

TEST_F(SlotSocketsTest, one_that_gives_way_is_not_found_at_health_and_serves_what_nobody_else_does) {
  make("p0"), make(slots::kHealth);
  look(true);
  EXPECT_EQ(asked_as(slots::kHealth), slots::kHealth);
  look(false);
  while (!asked_as(slots::kHealth).empty()) std::this_thread::yield();
  EXPECT_EQ(asked_as("p0"), "p0");
  look(true);
  EXPECT_EQ(asked_as(slots::kHealth), slots::kHealth);
  EXPECT_EQ(asked_as("p0"), "p0");
}

TEST_F(SlotSocketsTest, successors_socket_is_left_alone_and_one_that_was_removed_is_put_there_again) {
  make("p0");
  look();
  fs::remove(socket("p0"));
  look(true, SlotSockets::kLookAgain);
  EXPECT_EQ(asked_as("p0"), "p0");
  fs::remove(socket("p0"));
  auto successor = fake::listen_at(socket("p0")).value();
  still_ours_ = false;
  look(true, SlotSockets::kLookAgain);
  EXPECT_EQ(::shutdown(successor.get(), SHUT_RD), 0);
  EXPECT_EQ(asked_as("p0"), "") << "ours was put in its place";
  still_ours_ = true;
  look(true, SlotSockets::kLookAgain);
  EXPECT_EQ(asked_as("p0"), "p0");
}

TEST_F(SlotSocketsTest, links_files_and_hidden_names_are_no_slots_and_a_slot_that_becomes_one_is_forgotten) {
  make("p0");
  fake::TempFolder elsewhere;
  fs::create_directory_symlink(elsewhere.path(), parent_ / "link");
  fs::create_directory(parent_ / ".hidden");
  ASSERT_TRUE(base::write_file_atomic(parent_ / "file", {}, 0644));
  look();
  EXPECT_EQ(slots_.served(), 1u);
  EXPECT_TRUE(fs::is_empty(elsewhere.path()));
  EXPECT_TRUE(fs::is_empty(parent_ / ".hidden"));
  fs::remove_all(parent_ / "p0");
  fs::create_directory_symlink(elsewhere.path(), parent_ / "p0");
  look();
  EXPECT_EQ(slots_.served(), 0u);
  EXPECT_TRUE(fs::is_empty(elsewhere.path()));
}

TEST_F(SlotSocketsTest, folder_that_was_made_anew_under_the_same_name_is_another_one) {
  make("p0");
  look();
  fs::rename(parent_ / "p0", folder_.path() / "away");
  make("p0");
  look();
  EXPECT_EQ(asked_as("p0"), "p0");
}

TEST_F(SlotSocketsTest, of_too_many_folders_those_that_are_served_stay_and_the_rest_is_not) {
  make("z");
  look();
  for (std::size_t i = 0; i < slots::kMostSlots + 100; ++i) fs::create_directory(parent_ / ("s" + std::to_string(i)));
  ASSERT_TRUE(fake::allow_descriptors(4096));
  look();
  EXPECT_EQ(slots_.served(), slots::kMostSlots);
  EXPECT_EQ(asked_as("z"), "z");
}

TEST_F(SlotSocketsTest, what_stands_in_a_sockets_place_is_moved_aside) {
  make("p0");
  fs::create_directories(parent_ / "p0" / slots::kSocket / "full");
  look();
  EXPECT_EQ(asked_as("p0"), "p0");
  EXPECT_EQ(std::distance(fs::directory_iterator(parent_ / "p0"), {}), 2);
}

TEST_F(SlotSocketsTest, moment_without_descriptors_makes_it_not_ready_and_ends_nothing) {
  make("p0");
  look();
  make("p1");
  rlimit files{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &files), 0);
  for (rlim_t few : {3, 40}) {  // none for the parent; some, but not enough
    const rlimit less{few, files.rlim_max};
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &less), 0);
    std::vector<base::UniqueFd> all;
    for (int fd = 0; (fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0;) all.emplace_back(fd);
    if (few > 3) all.pop_back();
    look();
    all.clear();
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &files), 0);
    EXPECT_NE(slots_.not_ready(), "");
    EXPECT_EQ(asked_as("p0"), "p0");
  }
  look(true, 1s);
  EXPECT_EQ(slots_.not_ready(), "");
  EXPECT_EQ(asked_as("p1"), "p1");
}

}  // namespace
}  // namespace enclayer::helper
