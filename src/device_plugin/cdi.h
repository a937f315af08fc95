// SPDX-License-Identifier: Apache-2.0
// A CDI specification (Container Device Interface 0.5.0) for the node's SGX devices. The device plugin API can give a
// container a device, but not say with which mode: the node keeps the host's, mostly 0660, and a program that does not
// run as root gets EACCES. CDI can. It needs a runtime that knows it: containerd 1.7 with enable_cdi, or 2.0;
// CRI-O 1.23.
#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <span>

#include "device_plugin/node.h"

namespace enclayer::device_plugin {

// "enclayer.io/sgx=enclave": the name by which Allocate hands the device over.
std::string cdi_name(const Device& device);

// A device's `deviceNodes`: one for each of its container paths, mode 0666, owner root, the host's group. They are in the
// container's own /dev, and only containers that were given the device may open them.
nlohmann::ordered_json cdi_device_nodes(const Device& device);

// The text of the specification.
std::string cdi_spec(std::span<const Device> devices);

// Writes it to <folder>/enclayer.io-sgx.json when it is not what is there, as a whole or not at all. It stays when the
// plugin ends: the kubelet remembers the names that it was told, and a container that restarts later needs them.
Result<> write_cdi_spec(const std::filesystem::path& folder, std::span<const Device> devices);

}  // namespace enclayer::device_plugin
