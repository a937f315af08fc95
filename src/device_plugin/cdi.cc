// SPDX-License-Identifier: Apache-2.0
#include "device_plugin/cdi.h"

#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "base/log.h"

namespace enclayer::device_plugin {
namespace {

constexpr auto kKind = "enclayer.io/sgx";
constexpr auto kFileName = "enclayer.io-sgx.json";
constexpr std::size_t kMaxSpec = 64 << 10;

using Json = nlohmann::ordered_json;

}  // namespace

std::string cdi_name(const Device& device) { return std::string(kKind) + "=" + device.name; }

Json cdi_device_nodes(const Device& device) {
  Json nodes = Json::array();
  for (const std::string& path : device.container_paths)
    nodes.push_back({{"path", path},
                     {"hostPath", device.host_path},
                     {"type", "c"},
                     {"permissions", "rw"},
                     {"fileMode", 0666},
                     {"uid", 0},
                     {"gid", device.look().group}});
  return nodes;
}

std::string cdi_spec(std::span<const Device> devices) {
  Json all = Json::array();
  for (const Device& device : devices)
    all.push_back({{"name", device.name}, {"containerEdits", {{"deviceNodes", cdi_device_nodes(device)}}}});
  return Json({{"cdiVersion", "0.5.0"}, {"kind", kKind}, {"devices", all}})
             .dump(2, ' ', false, Json::error_handler_t::replace) +
         "\n";
}

Result<> write_cdi_spec(const std::filesystem::path& folder, std::span<const Device> devices) {
  const std::string text = cdi_spec(devices);
  if (auto there = base::Root(folder).read_text(kFileName, kMaxSpec); there && *there == text) return {};
  if (std::error_code error; !std::filesystem::is_directory(folder, error))
    ENCLAYER_CHECK(base::make_folder(folder, 0755));
  ENCLAYER_CHECK(base::write_file_atomic(folder / kFileName, base::as_bytes(text), 0644));
  base::log::info("CDI specification written", {{"file", (folder / kFileName).string()}});
  return {};
}

}  // namespace enclayer::device_plugin
