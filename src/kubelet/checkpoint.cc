// SPDX-License-Identifier: Apache-2.0
#include "kubelet/checkpoint.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/dns_name.h"
#include "base/file.h"
#include "base/malformed.h"
#include "kubelet/device_ids.h"

namespace enclayer::kubelet {
namespace {

constexpr base::Malformed malformed_notes{"the kubelet's notes of devices "};
constexpr std::size_t kMostUid = 64;
constexpr std::size_t kMostDepth = 64;

// Takes the entries as they pass by. Places are told by the keys that lead there: Data, PodDeviceEntries, then an entry's.
class Reader : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit Reader(std::string_view resource) : resource_(resource) {}

  PodUids found;
  bool has_entries = false;

  bool start_object(std::size_t) override {
    if (depth_ == kEntry - 1 && is_among_entries()) entry_ = {};
    return enter();
  }
  bool end_object() override {
    if (depth_ == kEntry && is_among_entries()) take();
    --depth_;
    return true;
  }
  bool start_array(std::size_t) override {
    if (depth_ == kEntries - 1 && is_among_entries()) has_entries = true;
    return enter();
  }
  bool end_array() override {
    --depth_;
    return true;
  }
  bool key(std::string& text) override {
    if (depth_ < keys_.size()) keys_[depth_] = text.substr(0, kMostKey);
    return true;
  }
  bool string(std::string& text) override {
    if (!is_among_entries()) return true;
    const std::string& of = keys_[kEntry];
    if (depth_ == kEntry && of == "PodUID") entry_.uid = text;
    if (depth_ == kEntry && of == "ResourceName") entry_.is_asked_for = text == resource_;
    if (depth_ != kEntry + 2 || of != "DeviceIDs") return true;
    if (auto index = device_index(text))
      entry_.lowest = std::min(entry_.lowest.value_or(UINT32_MAX), static_cast<std::uint32_t>(*index));
    return true;
  }
  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t, const string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }
  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception&) override { return false; }

 private:
  // How deep the list of entries is, and an entry in it.
  static constexpr std::size_t kEntries = 3, kEntry = 4, kMostKey = 64;

  struct Entry {
    std::string uid;
    bool is_asked_for = false;
    std::optional<std::uint32_t> lowest;
  };

  bool enter() { return ++depth_ < kMostDepth; }
  bool is_among_entries() const { return keys_[1] == "Data" && keys_[2] == "PodDeviceEntries"; }
  void take() {
    if (entry_.is_asked_for && entry_.lowest && base::is_dns_name(entry_.uid, kMostUid) &&
        found.size() < kMaxContainersInReply) {
      auto [same, is_new] = found.emplace(*entry_.lowest, entry_.uid);
      if (!is_new && same->second != entry_.uid) same->second.clear();
    }
  }

  const std::string_view resource_;
  std::array<std::string, kEntry + 1> keys_;  // the last one at each depth
  std::size_t depth_ = 0;
  Entry entry_;
};

}  // namespace

Result<PodUids> parse_pod_uids(std::string_view json, std::string_view resource) {
  Reader reader(resource);
  if (!nlohmann::json::sax_parse(json.begin(), json.end(), &reader)) return malformed_notes("are no JSON");
  if (!reader.has_entries) return malformed_notes("have no \"PodDeviceEntries\"");
  std::erase_if(reader.found, [](const auto& pod) { return pod.second.empty(); });
  return std::move(reader.found);
}

Result<PodUids> read_pod_uids(const std::filesystem::path& kubelet_dir, std::string_view resource) {
  ENCLAYER_TRY(const std::string text,
               base::read_text(kubelet_dir / "device-plugins" / "kubelet_internal_checkpoint", kMostNotes));
  return parse_pod_uids(text, resource);
}

std::string uid_of(const ContainerDevices& container, const PodUids& uids) {
  const auto lowest = std::min_element(container.listed.begin(), container.listed.end());
  if (lowest == container.listed.end()) return {};
  const auto uid = uids.find(*lowest);
  return uid == uids.end() ? "" : uid->second;
}

}  // namespace enclayer::kubelet
