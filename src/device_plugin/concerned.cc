// SPDX-License-Identifier: Apache-2.0
#include "device_plugin/concerned.h"

#include <algorithm>

#include "base/log.h"
#include "base/resource_names.h"
#include "kubelet/pod_resources.h"

namespace enclayer::device_plugin {

std::vector<troubles::Pod> concerned_by(const troubles::Kind& kind, const std::filesystem::path& kubelet_dir) {
  if (kind != troubles::kEpcLost && kind != troubles::kQuotesLost) return {};
  const auto resource = kind == troubles::kEpcLost ? base::kEpcResource : base::kQuoteResource;
  auto containers = kubelet::list_pod_devices(kubelet_dir, {}, resource);
  auto uids = kubelet::read_pod_uids(kubelet_dir, resource);
  for (const Error* error : {containers ? nullptr : &containers.error(), uids ? nullptr : &uids.error()})
    if (error != nullptr) base::log::debug("pods that are concerned are not known", {{"reason", error->message()}});
  if (!containers) return {};
  return pods_of(*containers, uids.value_or(kubelet::PodUids()));
}

std::vector<troubles::Pod> pods_of(const std::vector<kubelet::ContainerDevices>& containers,
                                   const kubelet::PodUids& uids) {
  std::vector<troubles::Pod> out;
  for (const auto& container : containers) {
    if (container.listed.empty()) continue;
    auto same = std::find_if(out.begin(), out.end(), [&](const troubles::Pod& pod) {
      return pod.space == container.pod_namespace && pod.name == container.pod;
    });
    if (same == out.end()) same = out.insert(out.end(), {container.pod_namespace, container.pod, ""});
    if (std::string uid = kubelet::uid_of(container, uids); !uid.empty()) same->uid = std::move(uid);
  }
  return out;
}

}  // namespace enclayer::device_plugin
