// Registration and plugin server against the kubelet stand-in, over real sockets.
#include "kubelet/registration.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <set>
#include <thread>

#include "base/error.h"
#include "base/file.h"
#include "fake/kubelet.h"
#include "fake/temp_folder.h"

namespace enclayer::kubelet {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using Resource = fake::Kubelet::Resource;

constexpr auto kName = "example.com/epc";
constexpr auto kSoon = 20s;

std::size_t sockets_in(const fs::path& folder) {
  std::size_t count = 0;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error))
    count += fs::is_socket(entry.symlink_status()) ? 1 : 0;
  return count;
}

class RegistrationTest : public testing::Test {
 protected:
  std::unique_ptr<Registration> start(std::size_t devices, const std::string& name = kName,
                                      Registration::Timing timing = {}) {
    Plugin plugin{name, DeviceList::of(devices).value(), [](std::span<const std::size_t> given) -> Result<Grant> {
                    Grant grant;
                    grant.envs["GIVEN"] = std::to_string(given.size());
                    grant.devices.push_back({"/dev/inside", "/dev/null", "rw"});
                    grant.mounts.push_back({"/inside", "/outside", true});
                    return grant;
                  }};
    auto started = Registration::start(std::move(plugin), folder_.path() / "device-plugins", metrics_, timing);
    EXPECT_TRUE(started) << started.error().message();
    return std::move(*started);
  }

  void expect_devices(std::size_t count) {
    auto seen = kubelet_.wait_for_devices(kName, count, kSoon);
    ASSERT_TRUE(seen) << seen.error().message();
  }

  fake::TempFolder folder_;
  base::Metrics metrics_;
  fake::Kubelet kubelet_{folder_.path()};
  fs::path our_folder_ = folder_.path() / "device-plugins" / "enclayer";
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
  auto deadline = std::chrono::steady_clock::now() + kSoon;
  while (registration->established() && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  EXPECT_FALSE(registration->established());
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
  auto deadline = std::chrono::steady_clock::now() + kSoon;
  const std::string failed = R"(enclayer_registrations_total{resource="example.com/epc",result="error"} 2)";
  while (metrics_.text().find(failed) == std::string::npos && std::chrono::steady_clock::now() < deadline)
    std::this_thread::yield();
  EXPECT_NE(metrics_.text().find(failed), std::string::npos) << metrics_.text();

  registration.reset();  // also while a call hangs
  registration = start(7);
  ASSERT_TRUE(kubelet_.start());
  expect_devices(7);
}

TEST_F(RegistrationTest, dead_socket_of_a_killed_instance_is_removed_and_a_stranger_is_left_alone) {
  ASSERT_TRUE(kubelet_.start());
  auto first = start(7);
  expect_devices(7);
  fs::path dead = our_folder_ / "epc.0123456789abcdef.sock", stranger = our_folder_ / "epc.txt";
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
  ASSERT_TRUE(kubelet_.start());
  auto registration = start(262'144);
  auto seen = kubelet_.wait_for_devices(kName, 262'144, 90s);  // a sanitizer makes the stand-in's parsing slow
  ASSERT_TRUE(seen) << seen.error().message();
  auto given = kubelet_.allocate(kName, 262'144);
  ASSERT_TRUE(given) << given.error().message();
  EXPECT_EQ(given->envs.at("GIVEN"), "262144");
}

TEST_F(RegistrationTest, name_that_no_kubelet_takes_is_refused_at_start) {
  Plugin plugin{"epc", DeviceList::of(1).value(), nullptr};
  auto started = Registration::start(plugin, folder_.path(), metrics_);
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().kind(), ErrorKind::kInvalidArgument);
}

TEST_F(RegistrationTest, folder_whose_path_is_too_long_for_a_socket_is_refused_at_start) {
  Plugin plugin{kName, DeviceList::of(1).value(), nullptr};
  auto started = Registration::start(plugin, folder_.path() / std::string(100, 'x'), metrics_);
  ASSERT_FALSE(started);
  EXPECT_NE(started.error().message().find("107"), std::string::npos) << started.error().message();
}

}  // namespace
}  // namespace enclayer::kubelet
