"""One Kubernetes node without a control plane: containerd, and a standalone kubelet that runs static pods."""

import json
import os
import socket
import ssl
import urllib.request
from datetime import datetime
from functools import cached_property
from pathlib import Path

from .isolation import CGROUP, KUBELET_DIR
from .process import Daemon, output, wait_for

NODE = "e2e"
PODS_LOGS = Path("/var/log/pods")
PAUSE_IMAGE = "localhost/enclayer-e2e/pause:1"
PATH = f"{os.environ['PATH']}:/usr/local/sbin:/usr/sbin:/sbin"  # runc and the shim

# The second depends on the first: with the first alone switched off a kubelet does not start.
WITHOUT_HEALTH = {"ResourceHealthStatus": False, "ResourceHealthStatusMessage": False}

NO_NETWORK = """#!/bin/sh
[ "$CNI_COMMAND" = ADD ] || exit 0
cat <<END
{"cniVersion": "0.4.0", "interfaces": [{"name": "$CNI_IFNAME", "sandbox": "$CNI_NETNS"}],
 "ips": [{"version": "4", "address": "192.0.2.1/32", "interface": 0}]}
END
"""


class Containerd:
    """Debian's, with pods that have no network. `programs` is the folder of another containerd with its shim and ctr."""

    def __init__(self, work, logs, programs=None):
        self.programs = programs
        self.folder = work / "containerd"
        self.socket = self.folder / "containerd.sock"
        self.daemon = Daemon("containerd", logs / "containerd.log")

    def start(self):
        self.folder.mkdir()
        config = self.folder / "config.toml"
        config.write_text(self.config())
        self.write_network()
        path = f"{self.programs}:{PATH}" if self.programs else PATH
        self.daemon.start([self.program("containerd"), "--config", config], env={**os.environ, "PATH": path})
        wait_for("containerd serves its CRI plugin", self.serves_cri, 30)

    def write_network(self):
        """Every pod has a network namespace of its own with nothing in it: this plugin does nothing and says it did."""
        programs, networks = self.folder / "cni/bin", self.folder / "cni/conf"
        programs.mkdir(parents=True)
        networks.mkdir()
        for name in ("loopback", "nothing"):
            (programs / name).write_text(NO_NETWORK)
            (programs / name).chmod(0o755)
        (networks / "nothing.conf").write_text(json.dumps({"cniVersion": "0.4.0", "name": "nothing", "type": "nothing"}))

    def program(self, name):
        return self.programs / name if self.programs else name

    def serves_cri(self):
        return any(line.split()[1:2] == ["cri"] and line.split()[-1] == "ok" for line in self.ctr("plugins", "ls").splitlines())

    def load(self, tar_file):
        self.ctr("--namespace", "k8s.io", "images", "import", tar_file)

    def ctr(self, *arguments):
        return output([self.program("ctr"), "--address", self.socket, *arguments])

    def config(self):
        # restrict_oom_score_adj: without CAP_SYS_RESOURCE runc cannot lower a score and every pod would fail.
        # native: works on any file system, and our images are small.
        return f"""
version = 2
root = "{self.folder}/root"
state = "{self.folder}/state"
[grpc]
  address = "{self.socket}"
[plugins."io.containerd.internal.v1.opt"]
  path = "{self.folder}/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  restrict_oom_score_adj = true
  stream_server_address = "127.0.0.1"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "native"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{self.folder}/cni/bin"
    conf_dir = "{self.folder}/cni/conf"
"""


class Kubelet:
    """`program` is the kubelet binary, `podresources` the client of its pod-resources socket. `feature_gates` count from the
    next start."""

    checkpoint = KUBELET_DIR / "device-plugins/kubelet_internal_checkpoint"
    pod_resources_socket = KUBELET_DIR / "pod-resources/kubelet.sock"

    def __init__(self, program, podresources, containerd, work, logs):
        self.program = program
        self.podresources = podresources
        self.containerd = containerd
        self.feature_gates = {}
        self.folder = work / "kubelet-config"
        self.manifests = self.folder / "manifests"
        self.daemon = Daemon("kubelet", logs / "kubelet.log")
        self.port = None

    @cached_property
    def minor(self):
        """36 of Kubernetes 1.36.3."""
        return int(output([self.program, "--version"]).split(".")[1])

    def start(self):
        self.manifests.mkdir(parents=True, exist_ok=True)
        (self.folder / "resolv.conf").touch()
        self.port = free_port()
        config = self.folder / "config.json"
        config.write_text(json.dumps(self.config(), indent=2))
        self.daemon.start(
            [self.program, "--config", config, "--root-dir", KUBELET_DIR, "--hostname-override", NODE, "--cert-dir",
             self.folder / "certificates", "--v", "2", *self.arguments()],
            env={**os.environ, "PATH": PATH},
        )

    def arguments(self):
        return ["--node-ip", "127.0.0.1"]

    def config(self):
        return {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "staticPodPath": str(self.manifests),
            "containerRuntimeEndpoint": f"unix://{self.containerd.socket}",
            # Only loopback, and a network namespace that holds nothing else.
            "address": "127.0.0.1",
            "port": self.port,
            "readOnlyPort": 0,
            "healthzPort": 0,
            "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
            "authorization": {"mode": "AlwaysAllow"},
            "makeIPTablesUtilChains": False,
            "resolvConf": str(self.folder / "resolv.conf"),
            # The machine's limits: cgroup v1, and a root without CAP_SYS_RESOURCE.
            "failCgroupV1": False,
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{CGROUP}",
            "enforceNodeAllocatable": [],
            "oomScoreAdj": 0,
            "failSwapOn": False,
            "localStorageCapacityIsolation": False,
            # A full disk or memory elsewhere on the machine is not what is tested.
            "evictionHard": {"memory.available": "1Mi", "nodefs.available": "0%", "nodefs.inodesFree": "0%", "imagefs.available": "0%"},
            "imageGCHighThresholdPercent": 100,
            "volumePluginDir": str(self.folder / "volume-plugins"),
            "fileCheckFrequency": "1s",
            # The ones that are set here are known from 1.36 on, and what they switch off is off before.
            "featureGates": self.feature_gates if self.minor >= 36 else {},
        }

    def resources(self):
        """The pod-resources API: `allocatable` per resource, `pods` with the device ids that each holds."""
        return json.loads(output([self.podresources, self.pod_resources_socket]))

    def pods(self):
        """All pods as the kubelet reports them."""
        unverified = ssl.create_default_context()
        unverified.check_hostname, unverified.verify_mode = False, ssl.CERT_NONE
        with urllib.request.urlopen(f"https://127.0.0.1:{self.port}/pods", timeout=5, context=unverified) as reply:
            return json.load(reply)["items"] or []

    def pod(self, name):
        """The pod, or None while the kubelet knows none of that name."""
        return next((pod for pod in self.pods() if pod["metadata"]["name"] == full_name(name)), None)

    def log_of(self, name):
        """What the pod's container has written so far: [(seconds since 1970, line)]. From the file that the runtime writes, so
        asking costs the kubelet nothing. The newest, when there was a container or a pod of this name before."""
        logs = self.logs_of(name)
        return logs[-1] if logs else []

    def logs_of(self, name):
        """The same of each container that there was, the newest last."""
        files = sorted(PODS_LOGS.glob(f"default_{full_name(name)}_*/main/*.log"), key=lambda file: file.stat().st_mtime)
        return [lines_of(file) for file in files]

    def run_pod(self, manifest):
        name = manifest["metadata"]["name"]
        temporary = self.manifests / f".{name}"  # the kubelet ignores names with a leading dot
        temporary.write_text(json.dumps(manifest, indent=2))
        temporary.rename(self.manifests / f"{name}.json")

    def remove_pod(self, name):
        (self.manifests / f"{name}.json").unlink()


def full_name(name):
    """What the kubelet calls a static pod."""
    return f"{name}-{NODE}"


def lines_of(log):
    """Of a log that the runtime writes; a last line that is not whole yet is left out."""
    whole, lines = "", []
    for line in log.read_text().split("\n")[:-1]:
        when, _, flag, text = line.split(" ", 3)
        whole += text
        if flag == "F":  # a long line comes in pieces, all but the last marked P
            lines.append((datetime.fromisoformat(when).timestamp(), whole))
            whole = ""
    return lines


def pod_manifest(
    name, image, arguments, *, limits=None, mounts=(), env=None, pod_security=None, container_security=None, restart="Never", host_network=False
):
    """A pod of one container. `mounts`: (host path, hostPath type, container path). Nothing that is not asked for is in it."""
    container = {
        "name": "main",
        "image": image,
        "imagePullPolicy": "Never",
        "args": [str(argument) for argument in arguments],
        "env": [{"name": key, "value": value} for key, value in (env or {}).items()],
    }
    spec = {"restartPolicy": restart, "terminationGracePeriodSeconds": 1, "containers": [container]}
    if host_network:
        spec["hostNetwork"] = True
    if limits:
        container["resources"] = {"limits": limits}
    if mounts:
        container["volumeMounts"] = [{"name": f"host-{index}", "mountPath": inside} for index, (_, _, inside) in enumerate(mounts)]
        spec["volumes"] = [
            {"name": f"host-{index}", "hostPath": {"path": str(host), "type": kind}} for index, (host, kind, _) in enumerate(mounts)
        ]
    if pod_security:
        spec["securityContext"] = pod_security
    if container_security:
        container["securityContext"] = container_security
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default"},
        "spec": spec,
    }


def free_port():
    """A loopback port that the kernel picks; nobody else is in this network namespace to take it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def why_not_running(pod):
    """What the kubelet says of a pod that did not come up."""
    if pod is None:
        return "the kubelet does not know the pod"
    status = pod["status"]
    states = [container["state"] for container in status.get("containerStatuses", [])]
    return f"phase {status.get('phase')}, reason {status.get('reason')}, message {status.get('message')}, containers {json.dumps(states)}"

