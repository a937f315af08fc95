// SPDX-License-Identifier: Apache-2.0
#include "kubelet/checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fake/temp_folder.h"

namespace enclayer::kubelet {
namespace {

using testing::IsEmpty;

const std::string kEpc = "kubernetes.azure.com/sgx_epc_mem_in_MiB", kQuote = "enclayer.io/quote";

// As kubelet 1.36 writes it; what it says for `"AllocResp"` is left out.
const std::string kNotes =
    R"({"Data":{"PodDeviceEntries":[)"
    R"({"PodUID":"11111111-aaaa","ContainerName":"app","ResourceName":"enclayer.io/quote","DeviceIDs":{"-1":["B"]},"AllocResp":"CgA="},)"
    R"({"PodUID":"11111111-aaaa","ContainerName":"app","ResourceName":"kubernetes.azure.com/sgx_epc_mem_in_MiB","DeviceIDs":{"1":["D"],"0":["C","E"]},"AllocResp":"CgA="},)"
    R"({"PodUID":"22222222-bbbb","ContainerName":"main","ResourceName":"enclayer.io/quote","DeviceIDs":{"-1":["A","AA"]},"AllocResp":"CgA="}],)"
    R"("RegisteredDevices":{"enclayer.io/quote":["A","B","C"]}},"Checksum":1234567})";

TEST(PodUidsOfCheckpoint, are_told_by_the_lowest_device_of_each_container) {
  auto quotes = parse_pod_uids(kNotes, kQuote);
  ASSERT_TRUE(quotes) << quotes.error().message();
  EXPECT_EQ(*quotes, (PodUids{{0, "22222222-bbbb"}, {1, "11111111-aaaa"}}));
  EXPECT_EQ(*parse_pod_uids(kNotes, kEpc), (PodUids{{2, "11111111-aaaa"}}));
  EXPECT_THAT(*parse_pod_uids(kNotes, "example.com/other"), IsEmpty());
}

TEST(PodUidsOfCheckpoint, are_of_the_entries_alone_wherever_else_such_words_stand) {
  auto with = [&](const std::string& from, const std::string& to) {
    std::string text = kNotes;
    return text.replace(text.find(from), from.size(), to);
  };
  EXPECT_THAT(*parse_pod_uids(with("\"11111111-aaaa\"", "\"../x\""), kQuote), testing::SizeIs(1));
  EXPECT_THAT(*parse_pod_uids(with("[\"B\"]", "[\"not ours!\"]"), kQuote), testing::SizeIs(1));
  EXPECT_THAT(*parse_pod_uids(with("[\"B\"]", "[[\"B\"]]"), kQuote), testing::SizeIs(1));
  EXPECT_THAT(
      *parse_pod_uids(with("\"PodUID\":\"11111111-aaaa\"", "\"PodUID\":{\"PodUID\":\"11111111-aaaa\"}"), kQuote),
      testing::SizeIs(1));
}

TEST(PodUidsOfCheckpoint, of_a_device_that_two_pods_have_are_not_known) {
  std::string text = kNotes;
  const std::string a = "[\"A\",\"AA\"]";
  EXPECT_THAT(*parse_pod_uids(text.replace(text.find(a), a.size(), "[\"B\"]"), kQuote), IsEmpty());
}

TEST(PodUidsOfCheckpoint, of_what_is_no_such_file_are_malformed) {
  for (const std::string& text : {std::string(), std::string("{}"), std::string("[]"), kNotes.substr(0, 300),
                                  std::string(R"({"Data":{"Other":[]},"Checksum":1})"), std::string(100'000, '['),
                                  std::string(R"({"Other":{"PodDeviceEntries":[]}})")})
    EXPECT_EQ(parse_pod_uids(text, kQuote).error().kind(), ErrorKind::kMalformed) << text.substr(0, 60);
}

TEST(PodUidsOfCheckpoint, are_read_where_the_kubelet_keeps_them) {
  fake::TempFolder folder;
  EXPECT_EQ(read_pod_uids(folder.path(), kQuote).error().kind(), ErrorKind::kNotFound);
  folder.write("device-plugins/kubelet_internal_checkpoint", kNotes);
  EXPECT_THAT(*read_pod_uids(folder.path(), kQuote), testing::SizeIs(2));
}

}  // namespace
}  // namespace enclayer::kubelet
