// SPDX-License-Identifier: Apache-2.0
#include "base/pod_cgroup.h"

#include <gtest/gtest.h>

namespace enclayer::base {
namespace {

const std::string kUid = "0b6f3c1e-7a52-4f0c-9d11-2f6f0c9a7b3d";
const std::string kUidUnderscore = "0b6f3c1e_7a52_4f0c_9d11_2f6f0c9a7b3d";
const std::string kStaticUid = "9c2e4d6f8a0b1c3d5e7f9a1b3c5d7e9f";
const std::string kOtherUid = "ffffffff-7a52-4f0c-9d11-2f6f0c9a7b3d";
const std::string kId = "4a6f0d2b8c1e3f5a7b9c0d2e4f6a8b0c4a6f0d2b8c1e3f5a7b9c0d2e4f6a8b0c";
const PodCgroup kContainer{kUid, kId};

TEST(PodCgroup, is_found_in_the_layouts_of_both_drivers) {
  const std::string slice = "kubepods-burstable-pod" + kUidUnderscore + ".slice";
  for (const std::string& path : {
           "/kubepods/burstable/pod" + kUid + "/" + kId,
           "/kubepods/besteffort/pod" + kUid + "/" + kId,
           "/kubepods/pod" + kUid + "/" + kId,
           "/kubepods/pod" + kUid + "/crio-" + kId,
           "/enclayer-e2e/kubepods/burstable/pod" + kUid + "/" + kId,
           "/docker/" + kId + "/kubelet/kubepods/besteffort/pod" + kUid + "/" + kId,
           "/kubepods.slice/kubepods-burstable.slice/" + slice + "/cri-containerd-" + kId + ".scope",
           "/kubepods.slice/kubepods-burstable.slice/" + slice + "/crio-" + kId + ".scope",
           "/kubepods.slice/kubepods-burstable.slice/" + slice + "/docker-" + kId + ".scope",
           "/kubepods.slice/kubepods-pod" + kUidUnderscore + ".slice/cri-containerd-" + kId + ".scope",
           "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/kubelet-kubepods-besteffort-pod" +
               kUidUnderscore + ".slice/cri-containerd-" + kId + ".scope",
           "/system.slice/containerd.service/" + slice + ":cri-containerd:" + kId,
           // Below the container, and after it has gone.
           "/kubepods/burstable/pod" + kUid + "/" + kId + "/init.scope",
           "/kubepods/burstable/pod" + kUid + "/" + kId + " (deleted)",
           // As a reader in another cgroup namespace sees it.
           "/../../../kubepods-burstable.slice/" + slice + "/cri-containerd-" + kId + ".scope",
           "/../../../burstable/pod" + kUid + "/" + kId,
           "/../../pod" + kUid + "/" + kId,
       })
    EXPECT_EQ(pod_of_cgroup("0::" + path + "\n"), kContainer) << path;
}

TEST(PodCgroup, is_found_on_any_line_of_cgroup_v1) {
  const std::string path = "/kubepods/burstable/pod" + kUid + "/" + kId;
  EXPECT_EQ(pod_of_cgroup("12:pids:" + path + "\n11:cpu,cpuacct:" + path + "\n1:name=systemd:" + path + "\n0::/\n"),
            kContainer);
  EXPECT_EQ(pod_of_cgroup("13:misc:/\n12:rdma:/\n3:memory:" + path + "\n0::/system.slice/containerd.service\n"),
            kContainer);
  EXPECT_EQ(pod_of_cgroup("3:memory:/kubepods/pod" + kUid + "\n2:cpu:" + path), kContainer)
      << "the line that says more";
}

TEST(PodCgroup, static_pods_have_a_uid_without_dashes) {
  PodCgroup expected{kStaticUid, kId};
  EXPECT_EQ(pod_of_cgroup("0::/kubepods/burstable/pod" + kStaticUid + "/" + kId), expected);
  EXPECT_EQ(pod_of_cgroup("0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" + kStaticUid +
                          ".slice/crio-" + kId + ".scope"),
            expected);
}

TEST(PodCgroup, a_process_of_the_pod_outside_its_containers_has_no_container) {
  const PodCgroup pod{kUid, ""};
  EXPECT_EQ(pod_of_cgroup("0::/kubepods/burstable/pod" + kUid), pod);
  EXPECT_EQ(pod_of_cgroup("0::/kubepods.slice/kubepods-pod" + kUidUnderscore + ".slice/crio-conmon-" + kId + ".scope"),
            pod);
  EXPECT_EQ(pod_of_cgroup("0::/kubepods/burstable/pod" + kUid + "/not-an-id"), pod);
  EXPECT_EQ(pod_of_cgroup("0::/kubepods/burstable/pod" + kUid + "/" + kId + "a"), pod);
}

TEST(PodCgroup, a_container_that_makes_cgroups_does_not_become_another_pod) {
  EXPECT_EQ(pod_of_cgroup("0::/kubepods/burstable/pod" + kUid + "/" + kId + "/kubepods/burstable/pod" + kOtherUid +
                          "/" + std::string(64, 'f')),
            kContainer);
  EXPECT_EQ(pod_of_cgroup("0::/kubepods/pod" + kUid + "/pod" + kOtherUid + "/" + kId), (PodCgroup{kUid, ""}));
}

TEST(PodCgroup, everything_else_belongs_to_the_host) {
  for (const std::string& text : {
           std::string(),
           std::string("\n\n\n"),
           std::string("0::/\n"),
           std::string("0::/system.slice/kubelet.service\n"),
           std::string("0::/user.slice/user-1000.slice/session-1.scope\n"),
           std::string("0::/kubepods.slice\n"),
           "0::/docker/" + kId,
           "/kubepods/burstable/pod" + kUid + "/" + kId,                       // no colons
           "0::/kubepods/burstable/pod" + kUid + "0/" + kId,                   // too long
           "0::/kubepods/burstable/pod" + kUid.substr(1) + "/" + kId,          // too short
           "0::/kubepods/burstable/pod" + kUidUnderscore + "/" + kId,          // the other driver's
           "0::/kubepods/burstable/podZ" + kUid.substr(1) + "/" + kId,         // not hex
           "0::/kubepods/burstable/pod0B6F3C1E" + kUid.substr(8) + "/" + kId,  // no UID that Kubernetes makes
           "0::/mypods-burstable-pod" + kUidUnderscore + ".slice/crio-" + kId + ".scope",
           "0::/xkubepods-pod" + kUidUnderscore + ".slice/crio-" + kId + ".scope",
           "0::/kubepods-pod" + kUidUnderscore + ".slicex/crio-" + kId + ".scope",
           "0::/kubepods-pod" + kUid + ".slice/crio-" + kId + ".scope",
           "0::" + std::string(60'000, '/'),
           std::string(60'000, ':'),
       })
    EXPECT_EQ(pod_of_cgroup(text), std::nullopt) << text.substr(0, 200);
}

}  // namespace
}  // namespace enclayer::base
