// SPDX-License-Identifier: Apache-2.0
#include "kubelet/allocate.h"

#include "base/printable.h"
#include "proto/deviceplugin.pb.h"

namespace enclayer::kubelet {
namespace {

namespace api = v1beta1;

constexpr std::size_t kLongestId = 63;  // the kubelet's own limit; ours have at most three characters

Result<std::vector<std::size_t>> devices_of(const api::ContainerAllocateRequest& container, const std::string& resource,
                                            const DeviceList& devices, std::vector<bool>& taken) {
  if (container.devices_ids_size() == 0)
    return Error(ErrorKind::kInvalidArgument, "the request for " + resource + " names no device");
  std::vector<std::size_t> out;
  out.reserve(static_cast<std::size_t>(container.devices_ids_size()));
  for (const std::string& id : container.devices_ids()) {
    auto index = devices.index_of(id);
    if (!index)
      return Error(ErrorKind::kNotFound, resource + " has no device '" + base::printable(id, kLongestId) +
                                             "': it was never in the list of " + std::to_string(devices.count()) +
                                             " devices");
    if (taken[*index])
      return Error(ErrorKind::kInvalidArgument,
                   "the request for " + resource + " names device '" + base::printable(id, kLongestId) + "' twice");
    taken[*index] = true;
    out.push_back(*index);
  }
  return out;
}

void write(const Grant& grant, api::ContainerAllocateResponse& out) {
  for (const auto& [name, value] : grant.envs) (*out.mutable_envs())[name] = value;
  for (const Mount& mount : grant.mounts) {
    auto* to = out.add_mounts();
    to->set_container_path(mount.container_path);
    to->set_host_path(mount.host_path);
    to->set_read_only(mount.read_only);
  }
  for (const DeviceNode& device : grant.devices) {
    auto* to = out.add_devices();
    to->set_container_path(device.container_path);
    to->set_host_path(device.host_path);
    to->set_permissions(device.permissions);
  }
  for (const std::string& name : grant.cdi_devices) out.add_cdi_devices()->set_name(name);
}

}  // namespace

Result<AllocateAnswer> answer_allocate(const Plugin& plugin, const DeviceList& devices, std::string_view request) {
  const std::string& resource = plugin.resource;
  if (request.size() > kMaxRequestBytes)
    return Error(ErrorKind::kExhausted, "the request for " + resource + " has " + std::to_string(request.size()) +
                                            " bytes; at most " + std::to_string(kMaxRequestBytes) + " are read");
  api::AllocateRequest asked;
  if (!asked.ParseFromArray(request.data(), static_cast<int>(request.size())))
    return Error(ErrorKind::kMalformed, "the request for " + resource + ", " + std::to_string(request.size()) +
                                            " bytes, is not an AllocateRequest");
  // The kubelet reads the first answer without looking whether there is one.
  if (asked.container_requests_size() == 0)
    return Error(ErrorKind::kInvalidArgument, "the request for " + resource + " names no container");
  if (asked.container_requests_size() > kMaxContainers)
    return Error(ErrorKind::kExhausted, "the request for " + resource + " names " +
                                            std::to_string(asked.container_requests_size()) +
                                            " containers; one call answers at most " + std::to_string(kMaxContainers));
  api::AllocateResponse response;
  AllocateAnswer answer;
  std::vector<bool> taken(devices.count(), false);
  for (const auto& container : asked.container_requests()) {
    ENCLAYER_TRY(auto indices, devices_of(container, resource, devices, taken));
    ENCLAYER_TRY(Grant grant, plugin.allocate(indices));
    write(grant, *response.add_container_responses());
    answer.containers.push_back(indices.size());
  }
  answer.bytes = response.SerializeAsString();
  return answer;
}

}  // namespace enclayer::kubelet
