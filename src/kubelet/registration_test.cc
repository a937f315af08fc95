// SPDX-License-Identifier: Apache-2.0
// Registration and plugin server against the kubelet stand-in, over real sockets.
#include "kubelet/registration.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <functional>
#include <regex>
#include <set>
#include <thread>

#include "base/error.h"
#include "base/file.h"
#include "fake/kubelet.h"
#include "fake/temp_folder.h"
#include "kubelet/resource_lock.h"

namespace enclayer::kubelet {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using Resource = fake::Kubelet::Resource;

constexpr auto kName = "example.com/epc";
constexpr auto kSoon = 100s;  // a deadline, not a pause

std::size_t sockets_in(const fs::path& folder) {
  std::size_t count = 0;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error))
    count += fs::is_socket(entry.symlink_status()) ? 1 : 0;
  return count;
}

class RegistrationTest : public testing::Test {
 protected:
  using Way = Registration::Way;

  Result<std::unique_ptr<Registration>> try_start(std::size_t devices, const std::string& name = kName,
                                                  Registration::Timing timing = {}, Way way = Way::kRegister) {
    Plugin plugin{name, DeviceList::of(devices).value(), [](std::span<const std::size_t> given) -> Result<Grant> {
                    Grant grant;
                    grant.envs["GIVEN"] = std::to_string(given.size());
                    grant.devices.push_back({"/dev/inside", "/dev/null", "rw"});
                    grant.mounts.push_back({"/inside", "/outside", true});
                    return grant;
                  }};
    return Registration::start(std::move(plugin), folder_.path(), way, metrics_, timing);
  }

  std::unique_ptr<Registration> start(std::size_t devices, const std::string& name = kName,
                                      Registration::Timing timing = {}, Way way = Way::kRegister) {
    auto started = try_start(devices, name, timing, way);
    EXPECT_TRUE(started) << started.error().message();
    return std::move(*started);
  }

  void expect(const std::function<bool(const Resource&)>& enough) {
    auto seen = kubelet_.wait_for(kName, enough, kSoon);
    ASSERT_TRUE(seen) << seen.error().message();
  }

  void expect_devices(std::size_t count) {
    expect([&](const Resource& r) { return r.allocatable == count; });
  }

  // Registered for the `times`-th time, and with `count` devices.
  void expect_devices_after(int times, std::size_t count) {
    expect([&](const Resource& r) { return r.registrations == times && r.allocatable == count; });
  }

  static bool wait_until(const std::function<bool()>& enough) {
    auto deadline = std::chrono::steady_clock::now() + kSoon;
    while (!enough()) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      std::this_thread::yield();
    }
    return true;
  }

  bool counted(const std::string& result, int count) const {
    return metrics_.text().find("enclayer_registrations_total{resource=\"" + std::string(kName) + "\",result=\"" +
                                result + "\"} " + std::to_string(count)) != std::string::npos;
  }

  fs::path lock_file() const {
    for (const auto& entry : fs::directory_iterator(our_folder_))
      if (entry.path().extension() == ".lock") return entry.path();
    return {};
  }

  fake::TempFolder folder_;
  base::Metrics metrics_;
  fake::Kubelet kubelet_{folder_.path()};
  fs::path device_plugins_ = folder_.path() / "device-plugins", our_folder_ = device_plugins_ / "enclayer",
           plugins_registry_ = folder_.path() / "plugins_registry";
};

TEST_F(RegistrationTest, kubelet_that_is_there_gets_the_list) {
  ASSERT_TRUE(kubelet_.start());
  auto registration = start(8192);
  expect_devices(8192);
  auto ids = kubelet_.device_ids(kName);
  EXPECT_EQ(std::set<std::string>(ids.begin(), ids.end()).size(), 8192u);
  EXPECT_TRUE(kubelet_.resource(kName).endpoint.starts_with("enclayer/epc.")) << kubelet_.resource(kName).endpoint;
}

TEST_F(RegistrationTest, kubelet_folder_and_socket_may_come_later) {
  auto registration = start(5);
  EXPECT_FALSE(registration->established());
  ASSERT_TRUE(kubelet_.start());  // makes device-plugins, then kubelet.sock
  expect_devices(5);
}

TEST_F(RegistrationTest, kubelet_socket_may_come_later_into_a_folder_that_is_there) {
  fs::create_directory(folder_.path() / "device-plugins");
  auto registration = start(5);
  ASSERT_TRUE(kubelet_.start());
  expect_devices(5);
}

TEST_F(RegistrationTest, container_gets_what_the_plugin_grants) {
  ASSERT_TRUE(kubelet_.start());
  auto registration = start(10);
  expect_devices(10);
  auto given = kubelet_.allocate(kName, 3);
  ASSERT_TRUE(given) << given.error().message();
  EXPECT_EQ(given->envs, (std::map<std::string, std::string>{{"GIVEN", "3"}}));
  ASSERT_EQ(given->devices.size(), 1u);
  EXPECT_EQ(given->devices[0].container_path, "/dev/inside");
  EXPECT_EQ(given->devices[0].host_path, "/dev/null");
  EXPECT_EQ(given->devices[0].permissions, "rw");
  ASSERT_EQ(given->mounts.size(), 1u);
  EXPECT_TRUE(given->mounts[0].read_only);
  EXPECT_EQ(kubelet_.allocate(kName, 8).error().kind(), ErrorKind::kExhausted) << "7 are left";
}

TEST_F(RegistrationTest, requests_for_unknown_doubled_or_no_devices_are_refused_and_the_next_one_is_served) {
  ASSERT_TRUE(kubelet_.start());
  auto registration = start(10);
  expect_devices(10);
  auto unknown = kubelet_.allocate_ids(kName, {"A", "K"});
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().kind(), ErrorKind::kNotFound);
  EXPECT_NE(unknown.error().message().find("'K'"), std::string::npos) << unknown.error().message();
  EXPECT_EQ(kubelet_.allocate_ids(kName, {"A\n\x01"}).error().message().find('\n'), std::string::npos);
  EXPECT_EQ(kubelet_.allocate_ids(kName, {"A", "A"}).error().kind(), ErrorKind::kInvalidArgument);
  EXPECT_EQ(kubelet_.allocate_ids(kName, {}).error().kind(), ErrorKind::kInvalidArgument);
  EXPECT_TRUE(kubelet_.allocate(kName, 10));
  std::string text = metrics_.text();
  EXPECT_NE(text.find(R"(enclayer_allocations_total{resource="example.com/epc",result="error"} 4)"), std::string::npos)
      << text;
  EXPECT_NE(text.find(R"(enclayer_allocations_total{resource="example.com/epc",result="ok"} 1)"), std::string::npos)
      << text;
}

TEST_F(RegistrationTest, restarted_kubelet_gets_the_list_again_from_a_fresh_socket) {
  ASSERT_TRUE(kubelet_.start());
  auto registration = start(7);
  expect_devices(7);
  std::string first = kubelet_.resource(kName).endpoint;
  ASSERT_TRUE(kubelet_.restart());
  expect_devices(7);
  EXPECT_NE(kubelet_.resource(kName).endpoint, first);
  EXPECT_EQ(sockets_in(our_folder_), 1u) << "the socket of the former round was left";
}

TEST_F(RegistrationTest, kubelet_that_restarts_all_the_time_is_served_at_once_each_time) {
  ASSERT_TRUE(kubelet_.start());
  auto registration = start(7);
  expect_devices(7);
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(kubelet_.restart());
    auto seen =
        kubelet_.wait_for_devices(kName, 7, 5s);  // takes 10 ms, or 10 s when a pause or a deadline was waited out
    ASSERT_TRUE(seen) << "restart " << i << ": " << seen.error().message();
  }
}

TEST_F(RegistrationTest, kubelet_that_was_away_for_a_while_is_found_again) {
  ASSERT_TRUE(kubelet_.start());
  auto registration = start(7);
  expect_devices(7);
  kubelet_.stop();  // leaves a socket that refuses
  EXPECT_TRUE(wait_until([&] { return !registration->established(); }));
  ASSERT_TRUE(kubelet_.start());
  expect_devices(7);
}

TEST_F(RegistrationTest, list_that_the_kubelet_ended_is_offered_again) {
  ASSERT_TRUE(kubelet_.start());
  auto registration = start(7);
  expect_devices(7);
  kubelet_.end_list(kName);
  auto again = kubelet_.wait_for(
      kName, [](const Resource& r) { return r.registrations == 2 && r.allocatable == 7; }, kSoon);
  EXPECT_TRUE(again) << again.error().message();
}

TEST_F(RegistrationTest, deleted_socket_of_ours_is_made_anew) {
  ASSERT_TRUE(kubelet_.start());
  auto registration = start(7);
  expect_devices(7);
  fs::remove(folder_.path() / "device-plugins" / kubelet_.resource(kName).endpoint);
  auto again = kubelet_.wait_for(
      kName, [](const Resource& r) { return r.registrations == 2 && r.allocatable == 7; }, kSoon);
  EXPECT_TRUE(again) << again.error().message();
}

TEST_F(RegistrationTest, folder_that_is_wiped_and_made_again_is_used_again) {
  ASSERT_TRUE(kubelet_.start());
  auto registration = start(7);
  expect_devices(7);
  kubelet_.stop();
  fs::remove_all(folder_.path() / "device-plugins");
  ASSERT_TRUE(kubelet_.start());
  expect_devices(7);
}

TEST_F(RegistrationTest, end_takes_the_devices_and_the_socket_away) {
  ASSERT_TRUE(kubelet_.start());
  auto registration = start(7);
  expect_devices(7);
  registration.reset();
  EXPECT_EQ(sockets_in(our_folder_), 0u);
  auto gone = kubelet_.wait_for_devices(kName, 0, kSoon);
  ASSERT_TRUE(gone) << gone.error().message();
  EXPECT_EQ(gone->capacity, 7u) << "the kubelet keeps the capacity for five minutes";
}

TEST_F(RegistrationTest, end_comes_at_once_while_nothing_answers) {
  auto begun = std::chrono::steady_clock::now();
  start(7).reset();
  fs::create_directory(folder_.path() / "device-plugins");
  start(7).reset();
  EXPECT_LT(std::chrono::steady_clock::now() - begun, kSoon);
}

TEST_F(RegistrationTest, kubelet_that_takes_calls_and_answers_none_is_given_up_and_the_next_one_served) {
  fs::path path = folder_.path() / "device-plugins" / "kubelet.sock";
  fs::create_directory(path.parent_path());
  base::UniqueFd silent(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.native().copy(address.sun_path, sizeof address.sun_path - 1);
  ASSERT_EQ(::bind(silent.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(::listen(silent.get(), 16), 0);

  Registration::Timing timing;
  timing.register_deadline = 100ms;
  auto registration = start(7, kName, timing);
  EXPECT_TRUE(wait_until([&] { return counted("error", 2); })) << metrics_.text();

  registration.reset();  // also while a call hangs
  registration = start(7);
  ASSERT_TRUE(kubelet_.start());
  expect_devices(7);
}

TEST_F(RegistrationTest, dead_socket_of_a_killed_instance_is_removed_and_a_stranger_is_left_alone) {
  ASSERT_TRUE(kubelet_.start());
  auto first = start(7);
  expect_devices(7);
  fs::path dead = folder_.path() / "device-plugins" / kubelet_.resource(kName).endpoint;
  dead.replace_filename(
      std::regex_replace(dead.filename().string(), std::regex("[0-9a-f]{8}\\.sock"), "01234567.sock"));
  fs::path stranger = our_folder_ / "epc.txt";
  // A socket file that was bound and then abandoned: that of the stopped kubelet, moved.
  kubelet_.stop();
  fs::rename(folder_.path() / "device-plugins" / "kubelet.sock", dead);
  ASSERT_TRUE(base::write_file_atomic(stranger, {}, 0644));
  first.reset();
  ASSERT_TRUE(kubelet_.start());
  auto second = start(7);
  expect_devices(7);
  EXPECT_FALSE(fs::exists(dead));
  EXPECT_TRUE(fs::exists(stranger));
  EXPECT_EQ(sockets_in(our_folder_), 1u);
}

TEST_F(RegistrationTest, two_resources_live_beside_each_other) {
  ASSERT_TRUE(kubelet_.start());
  auto one = start(7), other = start(9, "example.com/quote");
  expect_devices(7);
  EXPECT_TRUE(kubelet_.wait_for_devices("example.com/quote", 9, kSoon));
  one.reset();
  EXPECT_TRUE(kubelet_.wait_for_devices(kName, 0, kSoon));
  EXPECT_EQ(kubelet_.resource("example.com/quote").allocatable, 9u);
}

TEST_F(RegistrationTest, the_largest_node_is_listed_and_given_away_in_one_piece) {
#ifdef __SANITIZE_THREAD__
  constexpr std::size_t kMost = 65'536;  // the stand-in's parsing of more takes a quarter of an hour there
#else
  constexpr std::size_t kMost = 262'144;
#endif
  ASSERT_TRUE(kubelet_.start());
  auto registration = start(kMost);
  auto seen = kubelet_.wait_for_devices(kName, kMost, kSoon);
  ASSERT_TRUE(seen) << seen.error().message();
  auto given = kubelet_.allocate(kName, kMost);
  ASSERT_TRUE(given) << given.error().message();
  EXPECT_EQ(given->envs.at("GIVEN"), std::to_string(kMost));
}

TEST_F(RegistrationTest, refused_registration_is_tried_again_until_it_is_taken) {
  kubelet_.refuse_registrations(3, "not now");
  ASSERT_TRUE(kubelet_.start());
  auto registration = start(7);
  expect_devices_after(1, 7);
  EXPECT_EQ(kubelet_.resource(kName).refusals, 3);
  EXPECT_TRUE(counted("error", 3)) << metrics_.text();
  EXPECT_EQ(sockets_in(our_folder_), 1u) << "a socket of a refused round was left";
}

TEST_F(RegistrationTest, kubelet_may_take_its_time_to_register_us) {
  kubelet_.take_time_to_register(300ms);
  ASSERT_TRUE(kubelet_.start());
  auto registration = start(7);
  expect_devices_after(1, 7);
  EXPECT_FALSE(counted("error", 1)) << metrics_.text();
}

TEST_F(RegistrationTest, registration_that_takes_too_long_is_given_up_and_tried_again) {
  kubelet_.take_time_to_register(300ms);
  ASSERT_TRUE(kubelet_.start());
  Registration::Timing timing;
  timing.register_deadline = 50ms;
  auto registration = start(7, kName, timing);
  ASSERT_TRUE(wait_until([&] { return counted("error", 2); })) << metrics_.text();
  kubelet_.take_time_to_register(0ms);
  expect_devices(7);
  EXPECT_EQ(sockets_in(our_folder_), 1u);
}

TEST_F(RegistrationTest, kubelet_that_accepts_and_asks_for_no_list_is_asked_again) {
  kubelet_.forget_to_list(2);
  ASSERT_TRUE(kubelet_.start());
  Registration::Timing timing;
  timing.first_list_deadline = timing.list_deadline = 400ms;
  auto registration = start(7, kName, timing);
  expect_devices_after(3, 7);
  EXPECT_TRUE(counted("error", 2)) << metrics_.text();
}

TEST_F(RegistrationTest, kubelet_that_forgot_us_is_asked_after_a_moment_that_doubles) {
  kubelet_.forget_to_list(4);
  ASSERT_TRUE(kubelet_.start());
  Registration::Timing timing;
  timing.first_list_deadline = 10ms;
  timing.list_deadline = kSoon * 10;
  auto registration = start(7, kName, timing);
  expect_devices_after(5, 7);  // 10 + 20 + 40 + 80 ms
}

TEST_F(RegistrationTest, file_in_the_place_of_our_folder_is_waited_for) {
  ASSERT_TRUE(kubelet_.start());
  std::ofstream(our_folder_) << "somebody's";
  auto registration = start(7);
  ASSERT_TRUE(wait_until([&] { return counted("error", 2); })) << metrics_.text();
  EXPECT_TRUE(fs::is_regular_file(our_folder_)) << "it is not ours to remove";
  fs::remove(our_folder_);
  expect_devices(7);
}

TEST_F(RegistrationTest, link_in_the_place_of_our_folder_is_not_followed) {
  ASSERT_TRUE(kubelet_.start());
  const fs::path target = folder_.path() / "target";
  ASSERT_TRUE(base::make_folder(target, 0711));
  fs::create_directory_symlink(target, our_folder_);
  auto registration = start(7);
  ASSERT_TRUE(wait_until([&] { return counted("error", 2); })) << metrics_.text();
  EXPECT_EQ(fs::status(target).permissions(), fs::perms(0711));
  EXPECT_TRUE(fs::is_empty(target));
  fs::remove(our_folder_);
  expect_devices(7);
}

TEST_F(RegistrationTest, old_stream_whose_end_is_noticed_after_the_new_one_began_costs_one_more_round) {
  ASSERT_TRUE(kubelet_.start());
  auto registration = start(7);
  expect_devices(7);
  kubelet_.notice_next_end_late();
  fs::remove(device_plugins_ / kubelet_.resource(kName).endpoint);
  expect_devices_after(3, 7);
}

TEST_F(RegistrationTest, kubelet_that_ends_the_list_again_and_again_is_asked_slowly) {
  ASSERT_TRUE(kubelet_.start());
  Registration::Timing timing;
  timing.longest_pause = 300ms;
  auto registration = start(7, kName, timing);
  for (int times = 1; times <= 4; ++times) {
    expect_devices_after(times, 7);
    ASSERT_TRUE(wait_until([&] { return registration->established(); }));
    auto before = std::chrono::steady_clock::now();
    kubelet_.end_list(kName);
    expect_devices_after(times + 1, 7);
    if (times >= 3) {
      EXPECT_GE(std::chrono::steady_clock::now() - before, 300ms) << "end number " << times;
    }
  }
}

TEST_F(RegistrationTest, folder_that_is_deleted_under_a_running_kubelet_does_not_cost_the_list) {
  ASSERT_TRUE(kubelet_.start());
  auto registration = start(7);
  expect_devices(7);
  fs::remove_all(device_plugins_);
  registration->set_devices(DeviceList::of(8).value());  // told only in a round that has looked, and stayed
  expect([](const Resource& r) { return r.lists == 2 && r.allocatable == 8; });
  EXPECT_EQ(kubelet_.resource(kName).registrations, 1);
  EXPECT_TRUE(kubelet_.allocate(kName, 1));
  ASSERT_TRUE(kubelet_.restart());
  expect_devices_after(2, 8);
}

TEST_F(RegistrationTest, second_one_for_the_same_resource_is_refused_and_the_first_is_left_alone) {
  ASSERT_TRUE(kubelet_.start());
  auto first = start(7);
  expect_devices(7);
  auto second = try_start(9);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind(), ErrorKind::kConflict);
  for (const std::string& part :
       {std::string(kName), our_folder_.string(), "process " + std::to_string(::getpid()) + " on "})
    EXPECT_NE(second.error().message().find(part), std::string::npos) << second.error().message();
  EXPECT_EQ(kubelet_.resource(kName).registrations, 1);
  EXPECT_TRUE(kubelet_.allocate(kName, 7));
  first.reset();
  second = try_start(9);
  ASSERT_TRUE(second) << second.error().message();
  expect_devices(9);
}

TEST_F(RegistrationTest, of_many_that_start_at_the_same_moment_one_serves) {
  ASSERT_TRUE(kubelet_.start());
  std::vector<std::unique_ptr<Registration>> started(8);
  std::atomic<std::size_t> ready = 0, conflicts = 0;
  std::vector<std::thread> threads;
  for (auto& slot : started)
    threads.emplace_back([&] {
      ++ready;
      while (ready < started.size()) std::this_thread::yield();
      auto one = try_start(7);
      if (one)
        slot = std::move(*one);
      else if (one.error().kind() == ErrorKind::kConflict)
        ++conflicts;
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(conflicts, 7u);
  expect_devices_after(1, 7);
}

TEST_F(RegistrationTest, resources_of_two_vendors_may_have_the_same_last_word) {
  ASSERT_TRUE(kubelet_.start());
  auto one = start(7), other = start(9, "example.org/epc");
  expect_devices(7);
  EXPECT_TRUE(kubelet_.wait_for_devices("example.org/epc", 9, kSoon));
  EXPECT_EQ(sockets_in(our_folder_), 2u);
}

TEST_F(RegistrationTest, lock_is_taken_anew_after_the_folder_was_deleted) {
  ASSERT_TRUE(kubelet_.start());
  auto first = start(7);
  expect_devices(7);
  kubelet_.stop();
  fs::remove_all(device_plugins_);
  ASSERT_TRUE(kubelet_.start());
  expect_devices(7);
  auto second = try_start(9);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind(), ErrorKind::kConflict);
}

TEST_F(RegistrationTest, lock_that_somebody_else_took_after_the_folder_was_deleted_is_waited_for) {
  ASSERT_TRUE(kubelet_.start());
  Registration::Timing timing;
  timing.longest_pause = 50ms;
  auto registration = start(7, kName, timing);
  expect_devices(7);
  fs::path lock = lock_file();
  kubelet_.stop();
  fs::remove_all(device_plugins_);
  fs::create_directories(our_folder_);
  {
    auto other = ResourceLock::take(lock);
    ASSERT_TRUE(other) << other.error().message();
    ASSERT_TRUE(kubelet_.start());
    EXPECT_TRUE(wait_until([&] { return counted("error", 2); })) << metrics_.text();
    EXPECT_EQ(kubelet_.resource(kName).registrations, 1);
  }
  expect_devices_after(2, 7);
}

TEST_F(RegistrationTest, lost_devices_are_told_and_so_is_their_return) {
  ASSERT_TRUE(kubelet_.start());
  Registration::Timing timing;
  timing.coalesce = 10ms;
  auto registration = start(7, kName, timing);
  expect_devices(7);
  auto devices = DeviceList::of(7).value();
  registration->set_devices(devices.lost());
  expect([](const Resource& r) { return r.capacity == 7 && r.allocatable == 0; });
  registration->set_devices(devices);
  expect_devices(7);
  EXPECT_EQ(kubelet_.resource(kName).registrations, 1) << "the same stream tells them all";
}

TEST_F(RegistrationTest, changes_that_are_undone_before_the_kubelet_may_be_told_are_never_told) {
  ASSERT_TRUE(kubelet_.start());
  Registration::Timing timing;
  timing.coalesce = 500ms;
  auto registration = start(7, kName, timing);
  expect_devices(7);
  ASSERT_TRUE(wait_until([&] { return registration->established(); }));
  auto seven = DeviceList::of(7).value();
  for (int i = 0; i < 100; ++i) {
    registration->set_devices(seven.lost());
    registration->set_devices(seven);
  }
  auto told = std::chrono::steady_clock::now();
  registration->set_devices(DeviceList::of(9).value());
  expect_devices(9);
  registration->set_devices(seven);
  expect_devices(7);
  EXPECT_EQ(kubelet_.resource(kName).lists, 3);
  EXPECT_GE(std::chrono::steady_clock::now() - told, 500ms) << "from 9 devices to 7";
}

TEST_F(RegistrationTest, round_begins_with_the_newest_list) {
  auto registration = start(7);
  registration->set_devices(DeviceList::of(9).value());
  ASSERT_TRUE(kubelet_.start());
  expect([](const Resource& r) { return r.lists == 1 && r.allocatable == 9; });
  kubelet_.stop();
  registration->set_devices(DeviceList::of(5).value());
  ASSERT_TRUE(kubelet_.start());
  expect([](const Resource& r) { return r.lists == 2 && r.allocatable == 5; });
}

TEST_F(RegistrationTest, plugin_watcher_finds_the_socket_and_gets_the_list) {
  kubelet_.watch_plugins();
  ASSERT_TRUE(kubelet_.start());
  auto registration = start(7, kName, {}, Way::kWatcher);
  expect_devices_after(1, 7);
  EXPECT_EQ(fs::path(kubelet_.resource(kName).endpoint).parent_path(), plugins_registry_);
  EXPECT_TRUE(wait_until([&] { return registration->established(); }));
  EXPECT_TRUE(kubelet_.allocate(kName, 7));
  EXPECT_FALSE(fs::exists(our_folder_)) << "nothing is needed there";
  registration.reset();
  EXPECT_EQ(sockets_in(plugins_registry_), 0u);
  expect_devices(0);
}

TEST_F(RegistrationTest, plugin_watcher_that_comes_later_finds_the_socket_that_waits_for_it) {
  Registration::Timing timing;
  timing.list_deadline = 1ms;  // does not run while no kubelet is there
  fs::create_directory(plugins_registry_);
  auto registration = start(7, kName, timing, Way::kWatcher);
  ASSERT_TRUE(wait_until([&] { return sockets_in(plugins_registry_) == 1; }));
  for (auto until = std::chrono::steady_clock::now() + 100ms; std::chrono::steady_clock::now() < until;)
    ASSERT_FALSE(counted("error", 1)) << metrics_.text();
  registration.reset();

  fs::remove_all(plugins_registry_);
  registration = start(7, kName, {}, Way::kWatcher);
  kubelet_.watch_plugins();
  ASSERT_TRUE(kubelet_.start());
  expect_devices_after(1, 7);
}

TEST_F(RegistrationTest, plugin_watcher_of_a_restarted_kubelet_gets_the_list_again) {
  kubelet_.watch_plugins();
  ASSERT_TRUE(kubelet_.start());
  auto registration = start(7, kName, {}, Way::kWatcher);
  for (int i = 0; i < 5; ++i) {
    expect_devices(7);
    ASSERT_TRUE(kubelet_.restart());
  }
  expect_devices(7);
  EXPECT_TRUE(wait_until([&] { return sockets_in(plugins_registry_) == 1; }));
}

TEST_F(RegistrationTest, plugin_watcher_that_refuses_finds_another_socket_until_it_takes_us) {
  kubelet_.watch_plugins();
  kubelet_.refuse_registrations(2, "not now");
  ASSERT_TRUE(kubelet_.start());
  auto registration = start(7, kName, {}, Way::kWatcher);
  expect_devices_after(1, 7);
  EXPECT_EQ(kubelet_.resource(kName).refusals, 2);
  EXPECT_TRUE(counted("error", 2)) << metrics_.text();
}

TEST_F(RegistrationTest, plugin_watcher_that_asks_for_no_list_finds_another_socket) {
  kubelet_.watch_plugins();
  kubelet_.forget_to_list(1);
  ASSERT_TRUE(kubelet_.start());
  Registration::Timing timing;
  timing.list_deadline = 500ms;
  auto registration = start(7, kName, timing, Way::kWatcher);
  expect_devices_after(2, 7);
  EXPECT_EQ(sockets_in(plugins_registry_), 1u);
}

TEST_F(RegistrationTest, folder_of_the_plugin_watcher_that_is_deleted_and_made_again_is_used_again) {
  kubelet_.watch_plugins();
  ASSERT_TRUE(kubelet_.start());
  auto registration = start(7, kName, {}, Way::kWatcher);
  expect_devices(7);
  fs::remove_all(plugins_registry_);
  expect_devices(0);  // the watcher has seen it go
  fs::create_directory(plugins_registry_);
  expect_devices_after(2, 7);
}

TEST_F(RegistrationTest, second_one_for_the_plugin_watcher_is_refused_too) {
  fs::create_directory(plugins_registry_);
  auto first = start(7, kName, {}, Way::kWatcher);
  auto second = try_start(9, kName, {}, Way::kWatcher);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind(), ErrorKind::kConflict);
}

TEST_F(RegistrationTest, folder_whose_path_is_too_long_for_a_socket_is_refused_at_start) {
  Plugin plugin{kName, DeviceList::of(1).value(), nullptr};
  auto started =
      Registration::start(plugin, folder_.path() / std::string(100, 'x'), Registration::Way::kRegister, metrics_);
  ASSERT_FALSE(started);
  EXPECT_NE(started.error().message().find("107"), std::string::npos) << started.error().message();
}

}  // namespace
}  // namespace enclayer::kubelet
