// EPC as a resource of the node: one device per MiB, and with any number of them comes the enclave device.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "enclayer/error.h"
#include "kubelet/plugin.h"

namespace enclayer::device_plugin {

struct EpcOffer {
  std::string resource;
  std::uint64_t mib = 0;
  std::string host_node;  // the enclave device as the kubelet sees it, whatever root we looked under
  bool simulated = false;
};

// A container gets the device under both generations of its path, /dev/sgx_enclave and /dev/sgx/enclave (older PSW and
// SDK images look only for that), readable and writable. On a simulated node also ENCLAYER_PLATFORM=sim, so that nobody
// in it has to guess.
Result<kubelet::Plugin> epc_resource(const EpcOffer& offer);

// The machine's own EPC. kUnavailable says which link is missing.
Result<EpcOffer> offer_of_hardware(const std::string& resource, const std::filesystem::path& dev_root,
                                   const std::filesystem::path& sysfs_root);

// What somebody wants to pretend. `epc` is an amount as Kubernetes writes it, at least 1Mi; `host_node` an absolute
// path of a character device, looked for under `dev_root` when it is below /dev. Everything else is kInvalidArgument.
Result<EpcOffer> offer_of_simulation(const std::string& resource, const std::string& epc, const std::string& host_node,
                                     const std::filesystem::path& dev_root);

}  // namespace enclayer::device_plugin
