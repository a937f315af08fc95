// SPDX-License-Identifier: Apache-2.0
#include "kubelet/pod_resources_wire.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/bytes.h"

namespace enclayer::kubelet {
namespace {

constexpr auto kEpc = "example.com/epc";
constexpr auto kQuote = "example.com/quote";

std::string varint(std::uint64_t value) {
  std::string out;
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  return out + static_cast<char>(value);
}
std::string field(int number, const std::string& bytes) {
  return varint(static_cast<std::uint64_t>(number) << 3 | 2) + varint(bytes.size()) + bytes;
}
std::string device(const std::string& resource, const std::string& id) {
  return field(2, field(1, resource) + field(2, id));
}
std::string pod(const std::string& pod_namespace, const std::string& name, const std::string& containers) {
  return field(1, field(1, name) + field(2, pod_namespace) + containers);
}
std::string container(const std::string& name, const std::string& devices) {
  return field(3, field(1, name) + devices);
}

Result<std::vector<ContainerDevices>> count(const std::string& reply) {
  return count_devices(base::as_bytes(reply), kEpc);
}

Result<std::vector<ContainerDevices>> count_and_list(const std::string& reply) {
  return count_devices(base::as_bytes(reply), kEpc, kQuote);
}

std::string one_device() { return pod("default", "web", container("app", device(kEpc, "A"))); }

TEST(PodResourcesWire, devices_are_counted_by_container_and_only_of_the_resource) {
  std::string reply = pod("default", "web",
                          container("app", device(kEpc, "A") + device("example.com/gpu", "0") + device(kEpc, "BC")) +
                              container("sidecar", device("example.com/gpu", "1")) +
                              container("other", field(2, field(2, "D") + field(1, kEpc) + field(2, "E")))) +
                      pod("kube-system", "proxy", container("proxy", "")) +
                      pod("prod", "db", container("db", device(kEpc, "F")));
  EXPECT_EQ(count(reply).value(),
            (std::vector<ContainerDevices>{
                {"default", "web", "app", 2}, {"default", "web", "other", 2}, {"prod", "db", "db", 1}}));
  EXPECT_TRUE(count("").value().empty());
}

TEST(PodResourcesWire, devices_of_the_other_resource_are_listed_in_the_same_pass) {
  std::string reply = pod("default", "web",
                          container("app", device(kEpc, "A") + device(kQuote, "C") + device(kEpc, "B")) +
                              container("quotes", field(2, field(2, "AB") + field(1, kQuote) + field(2, "A")))) +
                      pod("default", "other", container("app", device("example.com/gpu", "D")));
  EXPECT_EQ(count_and_list(reply).value(), (std::vector<ContainerDevices>{{"default", "web", "app", 2, {2}},
                                                                          {"default", "web", "quotes", 0, {65, 0}}}));
  EXPECT_EQ(count(reply).value(), (std::vector<ContainerDevices>{{"default", "web", "app", 2}}));
}

TEST(PodResourcesWire, ids_that_are_nobodys_are_passed_over) {
  std::string reply =
      pod("default", "web", container("app", device(kQuote, "four") + device(kQuote, "\n") + device(kQuote, "")));
  EXPECT_TRUE(count_and_list(reply).value().empty());
}

TEST(PodResourcesWire, fields_of_later_kubelets_are_stepped_over) {
  std::string later = varint(4 << 3 | 0) + varint(1'000'000) +        // a number
                      varint(9 << 3 | 1) + std::string(8, '\xff') +   // fixed, 64 bits
                      varint(10 << 3 | 5) + std::string(4, '\xff') +  // fixed, 32 bits
                      field(20'000, "bytes") + varint(std::uint64_t{536'870'911} << 3) +
                      "\1";  // the largest number there is
  std::string reply =
      later +
      field(1, later + field(1, "web") + field(2, "default") +
                   field(3, field(1, "app") + later + field(2, field(1, kEpc) + field(2, "A") + field(3, "") + later)));
  EXPECT_EQ(count(reply).value(), (std::vector<ContainerDevices>{{"default", "web", "app", 1}}));
}

TEST(PodResourcesWire, every_cut_is_refused) {
  std::string reply = one_device();
  for (std::size_t size = 1; size < reply.size(); ++size) EXPECT_FALSE(count(reply.substr(0, size))) << size;
}

TEST(PodResourcesWire, what_is_no_such_message_is_malformed_and_says_where) {
  using testing::HasSubstr;
  std::string long_name(254, 'x');
  const std::pair<std::string, const char*> cases[] = {
      {"\x0b", "wire type 3"},                                 // a group
      {std::string(1, '\x02'), "the number 0"},                //
      {std::string(10, '\xff') + "\1", "more than 10 bytes"},  //
      {varint(std::uint64_t{1} << 40 | 2), "the number"},      //
      {"\x0a\x05"
       "abc",
       "says it has 5 bytes, 3 are left"},  //
      {"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "says it has 18446744073709551615 bytes"},
      {"\x08\x01", "field 1 is a number"},
      {pod("default", long_name, container("app", device(kEpc, "A"))), "name of a pod has 254 characters"},
      {pod("", "web", container("app", device(kEpc, "A"))), "name of a namespace has 0"},
      {pod("default", "web", container("a\nb", device(kEpc, "A"))), "name of a container has characters"},
      {pod("default",
           "w\xc3\xa9"
           "b",
           container("app", device(kEpc, "A"))),
       "not printable"},
      {pod("default", "web", field(3, device(kEpc, "A"))), "has no name"},
      {field(1, field(1, "web") + container("app", device(kEpc, "A"))), "no name or namespace"},
  };
  for (const auto& [reply, why] : cases) {
    auto counted = count(reply);
    ASSERT_FALSE(counted) << why;
    EXPECT_EQ(counted.error().kind(), ErrorKind::kMalformed);
    EXPECT_THAT(counted.error().message(), HasSubstr(why));
  }
}

TEST(PodResourcesWire, pods_containers_and_listed_devices_are_bounded) {
  auto times = [](std::size_t n, const std::string& text) {
    std::string out;
    for (std::size_t i = 0; i < n; ++i) out += text;
    return out;
  };
  EXPECT_TRUE(count(times(kMaxPodsInReply, field(1, ""))));
  EXPECT_FALSE(count(times(kMaxPodsInReply + 1, field(1, ""))));
  std::string half = field(1, times(kMaxContainersInReply / 2, field(3, "")));
  EXPECT_TRUE(count(half + half));
  EXPECT_FALSE(count(half + half + field(1, field(3, ""))));
  auto with_quotes = [&](std::size_t n) {
    return pod("default", "web", container("app", field(2, field(1, kQuote) + times(n, field(2, "A")))));
  };
  EXPECT_TRUE(count_and_list(with_quotes(kMaxListedInReply)));
  EXPECT_FALSE(count_and_list(with_quotes(kMaxListedInReply + 1)));
  EXPECT_TRUE(count(with_quotes(kMaxListedInReply + 1)));
}

}  // namespace
}  // namespace enclayer::kubelet
