"""The real node of the cluster: containerd 2, its pods on a bridge, and a kubelet that the API server knows."""

import json

from .controlplane import SERVICE_ADDRESS
from .node import NODE, PAUSE_IMAGE, Containerd, Kubelet
from .process import output

NODE_ADDRESS = "192.0.2.1"  # a kubelet takes no loopback address for its node's
POD_NETWORK = "10.98.0.0/24"
CNI_PROGRAMS = "/usr/lib/cni"  # where Debian's containernetworking-plugins are


def addresses():
    """Without kube-proxy nothing translates the service address: so it is one of this node's own. A pod on the bridge reaches it
    through its gateway, which is the node; so do pods in the node's network."""
    for address in (SERVICE_ADDRESS, NODE_ADDRESS):
        output(["ip", "address", "add", f"{address}/32", "dev", "lo"])


class ClusterContainerd(Containerd):
    """containerd 2 with a real pod network."""

    def write_network(self):
        networks = self.folder / "cni/conf"
        networks.mkdir(parents=True)
        (networks / "bridge.conf").write_text(json.dumps({
            "cniVersion": "0.4.0",
            "name": "pods",
            "type": "bridge",
            "bridge": "pods",
            "isGateway": True,
            "ipam": {
                "type": "host-local",
                "subnet": POD_NETWORK,
                "routes": [{"dst": "0.0.0.0/0"}],
                "dataDir": str(self.folder / "cni/addresses"),
            },
        }))

    def config(self):
        # restrict_oom_score_adj: see the other one.
        return f"""
version = 3
root = "{self.folder}/root"
state = "{self.folder}/state"
[grpc]
  address = "{self.socket}"
[plugins.'io.containerd.internal.v1.opt']
  path = "{self.folder}/opt"
[plugins.'io.containerd.cri.v1.images']
  snapshotter = "overlayfs"
[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = "{PAUSE_IMAGE}"
[plugins.'io.containerd.cri.v1.runtime']
  restrict_oom_score_adj = true
[plugins.'io.containerd.cri.v1.runtime'.containerd]
  default_runtime_name = "runc"
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[plugins.'io.containerd.cri.v1.runtime'.cni]
  bin_dirs = ["{CNI_PROGRAMS}"]
  conf_dir = "{self.folder}/cni/conf"
[plugins.'io.containerd.grpc.v1.cri']
  stream_server_address = "127.0.0.1"
"""


class ClusterKubelet(Kubelet):
    """Asks the API server who may ask it, and tells it about its node and pods."""

    def __init__(self, plane, podresources, containerd, work, logs):
        super().__init__(plane.programs / "kubelet", podresources, containerd, work, logs)
        self.plane = plane

    def start(self):
        self.plane.authority.issue("kubelet", f"system:node:{NODE}", "system:nodes")
        super().start()

    def arguments(self):
        return ["--node-ip", NODE_ADDRESS, "--kubeconfig", self.plane.authority.kubeconfig("kubelet", self.plane.server)]

    def config(self):
        return super().config() | {
            "address": NODE_ADDRESS,
            "staticPodPath": "",
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": str(self.plane.authority.certificate("ca"))},
            },
            "authorization": {"mode": "Webhook"},
            "nodeStatusUpdateFrequency": "2s",  # so that a test need not wait 10 s for each change of what the node has
        }
