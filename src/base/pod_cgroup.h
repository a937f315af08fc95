// SPDX-License-Identifier: Apache-2.0
// Which pod and container a process belongs to: what the names of its cgroups say, /proc/PID/cgroup.
//
// Read are the layouts of cgroup v1 and v2, of the kubelet's two drivers, below whatever the kubelet's cgroup root is:
//   cgroupfs  .../kubepods/burstable/pod<uid>/<id>                         (a guaranteed pod:
//   .../kubepods/pod<uid>/<id>) systemd   .../kubepods-burstable-pod<uid, _ for ->.slice/<runtime>-<id>.scope mixed
//   .../kubepods-burstable-pod<uid, _ for ->.slice:<runtime>:<id>  (containerd without its SystemdCgroup)
// Folders above the pod's own are not looked at: a reader in a cgroup namespace of its own does not see them
// ("/../../../burstable/pod<uid>/<id>"), and of the containers of its own pod it does not see the pod ("/../<id>").
//
// Of several pods in a path the outermost counts: a container can make cgroups of any name below its own, and still
// does not become another pod. Who may make cgroups on the host itself can pretend to be one.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace enclayer::base {

// More than any real file has; read it with this limit.
inline constexpr std::size_t kMaxCgroupText = 65'536;

struct PodCgroup {
  std::string pod_uid;       // 8-4-4-4-12 lower-case hex digits; 32 without dashes for a static pod
  std::string container_id;  // 64 lower-case hex digits; empty for a process of the pod in none of its containers

  bool operator==(const PodCgroup&) const = default;
};

// nullopt: no pod is named, so it is a process of the host, or text that is no such file.
std::optional<PodCgroup> pod_of_cgroup(std::string_view text);

// Whether a process lives where the reader does: in a pod, or, as a cgroup namespace shows it, in the reader's own
// cgroup or beside it. Asked of process 1, it tells a PID namespace of our own from the node's.
bool is_of_our_container(std::string_view text);

}  // namespace enclayer::base
