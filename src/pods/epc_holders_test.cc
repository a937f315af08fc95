#include "pods/epc_holders.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <thread>
#include <vector>

#include "fake/in_pieces.h"
#include "fake/temp_folder.h"
#include "pods/checkpoint.h"

namespace enclayer::pods {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::UnorderedElementsAre;

const std::string kEpc = "kubernetes.azure.com/sgx_epc_mem_in_MiB";
const std::string kUid = "0b6f3c1e-7a52-4f0c-9d11-2f6f0c9a7b3d";
const std::string kOtherUid = "1c7a4d2f-8b63-4a1d-8e22-3a7a1d0b8c4e";
const EpcHolders::Clock::time_point kStart{1000h};

// As encoding/json of the kubelet 1.36.3 writes it.
std::string entry(const std::string& uid, const std::string& resource = kEpc,
                  const std::string& devices = R"({"-1":["A","B"]})") {
  return R"({"PodUID":")" + uid + R"(","ContainerName":"app","ResourceName":")" + resource + R"(","DeviceIDs":)" +
         devices + R"(,"AllocResp":"GisKDy9kZXYvc2d4L2VuY2xhdmU="})";
}
std::string checkpoint(const std::string& entries, const std::string& registered = R"({"example.com/x":["1","2"]})") {
  return R"({"Data":{"PodDeviceEntries":)" + entries + R"(,"RegisteredDevices":)" + registered +
         R"(},"Checksum":18446744073709551615})";
}

// In pieces of `piece` bytes.
auto holding(const std::string& text, std::size_t piece = 1 << 20, std::size_t max = kMaxCheckpointBytes) {
  return pods_holding(fake::in_pieces(text, piece), kEpc, max);
}

TEST(Checkpoint, pods_with_a_device_of_the_resource_are_found_in_pieces_of_any_size) {
  std::string text = checkpoint(
      "[" + entry(kUid) + "," + entry(kUid, "enclayer.io/quote") + "," + entry(kOtherUid, "enclayer.io/quote") + "," +
      entry("static", kEpc, R"({"0":[],"1":["A"]})") + "," + entry("old", kEpc, R"(["A"])") + "]");
  for (std::size_t piece : {1, 2, 3, 64, 100'000}) {
    auto pods = holding(text, piece);
    ASSERT_TRUE(pods) << pods.error().message();
    EXPECT_THAT(*pods, UnorderedElementsAre(kUid, "static", "old"));
  }
}

TEST(Checkpoint, entries_without_devices_hold_nothing) {
  for (const char* devices : {"{}", "null", "[]", R"({"-1":[]})", R"({"-1":null})"}) {
    auto pods = holding(checkpoint("[" + entry(kUid, kEpc, devices) + "]"));
    ASSERT_TRUE(pods) << devices << pods.error().message();
    EXPECT_TRUE(pods->empty()) << devices;
  }
}

TEST(Checkpoint, a_node_without_pods_has_null_or_no_entries) {
  for (const char* entries : {"null", "[]"}) {
    auto pods = holding(checkpoint(entries));
    ASSERT_TRUE(pods) << pods.error().message();
    EXPECT_TRUE(pods->empty());
  }
}

TEST(Checkpoint, what_later_kubelets_may_add_is_skipped) {
  auto pods = holding(R"({"Version":{"a":[1,2.5,null,true,"x"]},"Data":{"New":[[{}]],"PodDeviceEntries":[)" +
                      std::string(R"({"New":{"PodUID":"not me"},"PodUID":"me","ResourceName":")") + kEpc +
                      R"(","DeviceIDs":{"-1":["A"]},"More":7}]}})");
  ASSERT_TRUE(pods) << pods.error().message();
  EXPECT_THAT(*pods, UnorderedElementsAre("me"));
}

TEST(Checkpoint, a_device_that_is_registered_or_named_like_an_entry_is_no_holder) {
  auto pods = holding(checkpoint("[]", R"({"PodDeviceEntries":["x"],"PodUID":["y"],")" + kEpc + R"(":["z"]})"));
  ASSERT_TRUE(pods) << pods.error().message();
  EXPECT_TRUE(pods->empty());
}

TEST(Checkpoint, other_texts_are_refused) {
  std::string whole = checkpoint("[" + entry(kUid) + "]");
  for (std::size_t cut = 0; cut < whole.size(); ++cut) EXPECT_FALSE(holding(whole.substr(0, cut))) << cut;
  const std::string deep(kMaxCheckpointDepth, '[');
  for (const std::string& text : {std::string("{}"),
                                  std::string("[]"),
                                  std::string("7"),
                                  std::string("null"),
                                  whole + "x",
                                  std::string(R"({"Data":{}})"),
                                  std::string(R"({"Data":[]})"),
                                  std::string(R"({"Data":null})"),
                                  std::string(R"({"PodDeviceEntries":[]})"),
                                  checkpoint("{}"),
                                  checkpoint("7"),
                                  checkpoint("[7]"),
                                  checkpoint("[[]]"),
                                  checkpoint("[null]"),
                                  checkpoint("[{}]"),
                                  checkpoint(R"([{"PodUID":"a"}])"),
                                  checkpoint(R"([{"ResourceName":"a"}])"),
                                  checkpoint("[" + entry("") + "]"),
                                  checkpoint("[" + entry(std::string(65, 'a')) + "]"),
                                  checkpoint("[" + entry(kUid, kEpc, "7") + "]"),
                                  checkpoint("[" + entry(kUid, kEpc, R"({"-1":[7]})") + "]"),
                                  checkpoint(R"([{"PodUID":["a"]}])"),
                                  checkpoint(R"([{"PodUID":7}])"),
                                  checkpoint("[]", deep)})
    EXPECT_FALSE(holding(text)) << text;
}

TEST(Checkpoint, a_message_says_what_was_not_as_expected) {
  EXPECT_THAT(holding("{}").error().message(), HasSubstr("no Data.PodDeviceEntries"));
  EXPECT_THAT(holding("{\"Data\":x").error().message(), HasSubstr("no JSON at byte 9"));
  EXPECT_THAT(holding(checkpoint("[]", std::string(100, '['))).error().message(), HasSubstr("8 deep"));
  EXPECT_THAT(holding(checkpoint("[{}]")).error().message(), HasSubstr("no PodUID"));
}

TEST(Checkpoint, more_bytes_or_pods_than_the_bounds_are_refused) {
  std::string text = checkpoint("[" + entry(kUid) + "]");
  for (std::size_t piece : {std::size_t{7}, text.size()}) {
    EXPECT_TRUE(holding(text, piece, text.size()));
    auto longer = holding(text, piece, text.size() - 1);
    ASSERT_FALSE(longer);
    EXPECT_THAT(longer.error().message(), HasSubstr("more than " + std::to_string(text.size() - 1) + " bytes"));
  }

  std::string entries;
  for (std::size_t i = 0; i < kMaxPodsHolding; ++i) entries += (i ? "," : "[") + entry(std::to_string(i));
  EXPECT_EQ(holding(checkpoint(entries + "]")).value().size(), kMaxPodsHolding);
  EXPECT_FALSE(holding(checkpoint(entries + "," + entry("one more") + "]")));
}

class Holders : public testing::Test {
 protected:
  // As the kubelet does it.
  void write(const std::string& text) {
    auto temporary = folder_.path() / ".123";
    std::ofstream(temporary) << text;
    fs::rename(temporary, path());
  }
  fs::path path() const { return folder_.path() / "kubelet_internal_checkpoint"; }
  EpcHolders::Open open() {
    return [this] {
      ++opened_;
      return open_checkpoint(path());
    };
  }

  fake::TempFolder folder_;
  std::atomic<int> opened_ = 0;
  EpcHolders holders_{open(), kEpc, 200ms};
};

TEST_F(Holders, a_pod_that_starts_later_is_found_when_it_asks) {
  write(checkpoint("[" + entry(kUid) + "]"));
  EXPECT_TRUE(holders_.holds(kUid, kStart).value());
  EXPECT_FALSE(holders_.holds(kOtherUid, kStart).value());
  write(checkpoint("[" + entry(kUid) + "," + entry(kOtherUid) + "]"));
  EXPECT_TRUE(holders_.holds(kOtherUid, kStart + 200ms).value());
}

TEST_F(Holders, the_file_is_opened_for_unknown_pods_only_and_not_more_often_than_the_interval) {
  write(checkpoint("[" + entry(kUid) + "]"));
  for (int i = 0; i < 100; ++i) {
    EXPECT_TRUE(holders_.holds(kUid, kStart + i * 200ms).value());
    EXPECT_EQ(opened_, 1);
  }
  for (int i = 0; i < 100; ++i) EXPECT_FALSE(holders_.holds(kOtherUid, kStart + 20s + i * 1ms).value());
  EXPECT_EQ(opened_, 2);
}

TEST_F(Holders, who_was_found_stays_found_when_the_file_is_gone_and_nobody_else_is_let_in) {
  write(checkpoint("[" + entry(kUid) + "]"));
  EXPECT_TRUE(holders_.holds(kUid, kStart).value());
  fs::remove(path());
  auto other = holders_.holds(kOtherUid, kStart + 1s);
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().kind(), ErrorKind::kNotFound);
  EXPECT_TRUE(holders_.holds(kUid, kStart + 1s).value());
  ASSERT_FALSE(holders_.holds(kOtherUid, kStart + 1001ms)) << "the last look's error counts until the next look";
  write(checkpoint("[" + entry(kUid) + "]"));
  EXPECT_FALSE(holders_.holds(kOtherUid, kStart + 2s).value());
}

TEST_F(Holders, pods_that_ended_are_forgotten_with_the_next_reading) {
  write(checkpoint("[" + entry(kUid) + "]"));
  EXPECT_TRUE(holders_.holds(kUid, kStart).value());
  write(checkpoint("null"));
  EXPECT_FALSE(holders_.holds(kOtherUid, kStart + 1s).value());
  EXPECT_FALSE(holders_.holds(kUid, kStart + 2s).value());
}

TEST_F(Holders, an_unreadable_file_refuses_with_the_remedy) {
  auto missing = holders_.holds(kUid, kStart);
  ASSERT_FALSE(missing);
  EXPECT_THAT(missing.error().message(), HasSubstr("mount the node's folder " + folder_.path().string()));

  write("{");
  EXPECT_EQ(holders_.holds(kUid, kStart + 1s).error().kind(), ErrorKind::kMalformed);

  write(checkpoint("[" + entry(kUid) + "]"));
  fs::permissions(path(), fs::perms::none);
  fs::permissions(folder_.path(), fs::perms::all);
  const uid_t we = ::geteuid();
  if (we == 0) {
    ASSERT_EQ(::seteuid(65534), 0);
  }
  auto forbidden = holders_.holds(kUid, kStart + 2s);
  if (we == 0) {
    ASSERT_EQ(::seteuid(we), 0);
  }
  ASSERT_FALSE(forbidden);
  EXPECT_EQ(forbidden.error().kind(), ErrorKind::kPermissionDenied);
  EXPECT_THAT(forbidden.error().message(), HasSubstr("runAsUser: 0"));
}

TEST_F(Holders, a_file_that_the_kubelet_has_replaced_under_a_mount_is_not_believed) {
  write(checkpoint("[" + entry(kUid) + "]"));
  base::UniqueFd mounted(::open(path().c_str(), O_RDONLY | O_CLOEXEC));
  EpcHolders holders([&]() -> Result<base::UniqueFd> { return base::UniqueFd(::dup(mounted.get())); }, kEpc);
  EXPECT_TRUE(holders.holds(kUid, kStart).value());
  write(checkpoint("[" + entry(kOtherUid) + "]"));
  auto other = holders.holds(kOtherUid, kStart + 1s);
  ASSERT_FALSE(other);
  EXPECT_THAT(other.error().message(), HasSubstr("mount its folder"));
}

TEST_F(Holders, a_file_that_is_replaced_while_it_is_opened_is_read_anew) {
  EpcHolders holders(
      [&]() -> Result<base::UniqueFd> {
        auto opened = open_checkpoint(path());
        if (++opened_ == 1) write(checkpoint("[" + entry(kUid) + "]"));
        return opened;
      },
      kEpc);
  write(checkpoint("null"));
  EXPECT_TRUE(holders.holds(kUid, kStart).value());
  EXPECT_EQ(opened_, 2);
}

TEST_F(Holders, folders_and_pipes_are_no_checkpoint) {
  fs::create_directory(path());
  EXPECT_FALSE(holders_.holds(kUid, kStart));
  fs::remove(path());
  ASSERT_EQ(::mkfifo(path().c_str(), 0600), 0);
  EXPECT_FALSE(holders_.holds(kUid, kStart + 1s));
}

TEST_F(Holders, threads_may_ask_at_once_while_the_kubelet_writes) {
  write(checkpoint("[" + entry(kUid) + "]"));
  EpcHolders holders(open(), kEpc, 0ms);
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 200; ++i) {
        auto held = holders.holds(kUid, kStart), other = holders.holds(kOtherUid, kStart);
        wrong += !held || !*held || !other || *other;
      }
    });
  for (int i = 0; i < 100; ++i) write(checkpoint("[" + entry(kUid) + "," + entry("pod-" + std::to_string(i)) + "]"));
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace enclayer::pods
