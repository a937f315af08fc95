// SPDX-License-Identifier: Apache-2.0
#include "dra/cdi_files.h"

#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "base/file.h"
#include "device_plugin/cdi.h"

namespace enclayer::dra {
namespace {

using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;

constexpr auto kKind = "k8s.sgx.enclayer.io/epc";
constexpr std::string_view kSuffix = ".json";
// The lowest that has all we use (dots in a kind), since runtimes refuse what they do not know.
constexpr auto kVersion = "0.6.0";

std::string device_name(const std::string& uid, const Share& share) {
  return uid + "-" + share.device + "-" + share.share_id;
}

}  // namespace

std::string cdi_id(const std::string& uid, const Share& share) {
  return std::string(kKind) + "=" + device_name(uid, share);
}

std::string slot_of(const std::string& uid, const Share& share) { return uid + "." + share.request; }

std::string cdi_spec(const Allocation& allocation, const device_plugin::Node& node, const fs::path& slots) {
  const std::string& uid = allocation.claim.uid;
  Json devices = Json::array();
  for (const Share& share : allocation.shares) {
    const bool epc = share.mib > 0;
    if (!epc && !node.provision) continue;  // a name that the runtime does not find keeps the container from starting
    Json edits = {{"deviceNodes", device_plugin::cdi_device_nodes(epc ? node.enclave : *node.provision)}};
    Json env = Json::array();
    if (epc) env.push_back("ENCLAYER_EPC_MIB=" + std::to_string(share.mib));
    if (node.simulated) env.push_back("ENCLAYER_PLATFORM=sim");
    if (share.quotes) {
      env.push_back("SGX_AESM_ADDR=1");
      edits["mounts"] = {{{"hostPath", (slots / slot_of(uid, share)).string()},
                          {"containerPath", "/var/run/aesmd"},
                          {"options", {"rbind", "ro", "nosuid", "nodev", "noexec"}}}};
    }
    if (!env.empty()) edits["env"] = std::move(env);
    devices.push_back({{"name", device_name(uid, share)}, {"containerEdits", std::move(edits)}});
  }
  return Json{{"cdiVersion", kVersion}, {"kind", kKind}, {"devices", std::move(devices)}}.dump(
             2, ' ', false, Json::error_handler_t::replace) +
         "\n";
}

fs::path CdiFiles::file(const std::string& uid) const {
  return folder_ / (std::string(kPrefix) + uid + std::string(kSuffix));
}

Result<> CdiFiles::write(const std::string& uid, const std::string& spec) const {
  if (std::error_code error; !fs::is_directory(folder_, error)) ENCLAYER_CHECK(base::make_folder(folder_, 0755));
  return base::write_file_atomic(file(uid), base::as_bytes(spec), 0644);
}

Result<> CdiFiles::remove(const std::string& uid) const {
  std::error_code error;
  fs::remove(file(uid), error);
  if (error) return Error(ErrorKind::kIo, "cannot remove " + file(uid).string() + ": " + error.message());
  return {};
}

std::set<std::string> CdiFiles::claims() const {
  std::set<std::string> uids;
  for (std::string name : base::Root(folder_).list("")) {
    if (!name.starts_with(kPrefix) || !name.ends_with(kSuffix)) continue;
    name = name.substr(kPrefix.size(), name.size() - kPrefix.size() - kSuffix.size());
    if (is_uuid(name)) uids.insert(std::move(name));
  }
  return uids;
}

}  // namespace enclayer::dra
