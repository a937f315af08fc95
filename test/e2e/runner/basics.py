"""The cluster itself, and the device plugin from a plain manifest of our own: what must hold before the add-on is looked at."""

import json

from .cluster import condition, running
from .node import NODE, WITHOUT_HEALTH
from .process import wait_for
from .steps import check, say
from .testbed import ENCLAVE_DEVICES, EPC

NODE_MIB = 96 * 1024
POD_MIB = 10
TOO_MUCH_MIB = NODE_MIB + 1
NAMESPACE = "basics"

# What a pod's own account may ask: enough to see that it reaches the API server through the service address.
ASK = "authentication.kubernetes.io/node-name"


class Basics:
    def __init__(self, cluster):
        self.cluster = cluster
        self.plane = cluster.plane

    def listed(self):
        return [
            ("a pod reaches the API server at the service address, with a token that names its node", self.reach_the_api),
            (f"enclayer-device-plugin as a DaemonSet: {NODE_MIB:,} MiB in the node's status", self.start_plugin),
            (f"helloworld: a pod with {POD_MIB} MiB runs and opens its device", self.hello_world),
            ("a pod that asks for more than any node has stays Pending, with the reason", self.ask_for_too_much),
            ("pods with 8 and 16 GiB, ResourceHealthStatus as it comes: Running, their status written", self.run_with_health),
            ("pods with 16 and 64 GiB, ResourceHealthStatus off: Running, their status written", self.run_without_health),
            ("everything is removed", self.remove),
        ]

    def reach_the_api(self):
        version = self.cluster.call_api("api", "/version")
        check(json.loads(version)["gitVersion"].startswith("v1."), version)
        me = json.loads(self.cluster.call_api("me", "/apis/authentication.k8s.io/v1/selfsubjectreviews", post={
            "apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}))["status"]["userInfo"]
        check(me["extra"].get(ASK) == [NODE], f"{ASK} is {me['extra'].get(ASK)}")
        say(f"{me['username']}, {ASK}: {me['extra'][ASK][0]}")

    def start_plugin(self):
        self.plane.apply(
            {"apiVersion": "v1", "kind": "Namespace",
             "metadata": {"name": NAMESPACE, "labels": {"pod-security.kubernetes.io/enforce": "privileged"}}},
            device_plugin(self.cluster.image, NODE_MIB),
        )
        self.cluster.wait_for_daemon_set("device-plugin", NAMESPACE)
        self.cluster.wait_for_allocatable(EPC, NODE_MIB)

    def hello_world(self):
        seen, seconds = self.cluster.run_workload("helloworld", ["open", *ENCLAVE_DEVICES], limits={EPC: POD_MIB})
        check([device["error"] for device in seen["devices"]] == [""] * len(ENCLAVE_DEVICES), f"the pod saw {seen['devices']}")
        say(f"{seconds:.1f} s from the pod's creation to its program with {', '.join(ENCLAVE_DEVICES)} open")
        self.cluster.remove_pods("helloworld")

    def ask_for_too_much(self):
        self.cluster.start_pod("greedy", ["pause"], limits={EPC: TOO_MUCH_MIB})
        pod = self.cluster.wait_for_pod("greedy", lambda pod: condition(pod, "PodScheduled").get("status") == "False")
        message = condition(pod, "PodScheduled")["message"]
        say(f"{pod['status']['phase']}: {message}")
        check(pod["status"]["phase"] == "Pending" and f"Insufficient {EPC}" in message, "the reason does not name the resource")
        self.cluster.remove_pods("greedy")

    def run_with_health(self):
        # What the API server spends grows with the square: at 64 GiB it gives up before it is done (docs/limits.md).
        for gib in (8, 16):
            sizes = self.run_large(gib)
            check(sizes["devices"] == (gib * 1024 if self.cluster.kubelet.minor >= 36 else 0), f"the status names {sizes['devices']} devices")

    def run_without_health(self):
        self.restart_kubelet(WITHOUT_HEALTH)
        for gib in (16, 64):
            sizes = self.run_large(gib)
            check(sizes["devices"] == 0, "the status names devices")

    def restart_kubelet(self, feature_gates):
        self.cluster.kubelet.daemon.stop()
        self.cluster.kubelet.feature_gates = feature_gates
        self.cluster.kubelet.start()
        # What the API server tells of the node may be older than the restart, and a pod that comes before the plugin does is refused for good.
        wait_for("the plugin registers again", lambda: self.cluster.kubelet.resources()["allocatable"].get(EPC) == NODE_MIB, 60, pause=0.2)
        self.cluster.run_workload("after-restart", ["open", *ENCLAVE_DEVICES], limits={EPC: POD_MIB})
        self.cluster.remove_pods("after-restart")
        self.cluster.wait_for_allocatable(EPC, NODE_MIB)

    def run_large(self, gib):
        """A pod of that size, removed again; gives what `sizes` tells of it."""
        name = f"pod-{gib}"
        before = self.plane.apiserver.cpu_seconds()
        _, seconds = self.cluster.run_workload(name, ["open", *ENCLAVE_DEVICES], limits={EPC: gib * 1024})
        pod = self.cluster.wait_for_pod(name, running)
        sizes = self.cluster.sizes(pod)
        say(f"{gib} GiB: {seconds:.1f} s; the pod in etcd has {sizes['pod_protobuf']:,} bytes (protobuf), its status {sizes['status_json']:,} (JSON), "
            f"{sizes['devices']:,} devices named in it; the API server spent {self.plane.apiserver.cpu_seconds() - before:.1f} s of CPU time meanwhile")
        self.cluster.remove_pods(name)
        return sizes

    def remove(self):
        self.plane.kubectl("delete", "namespace", NAMESPACE, "--wait", timeout=120)
        # Its memory goes with the gates: the kubelet still has the 64 GiB of a pod that is gone in its checkpoint, and with the gates
        # on would compare each of them with each device of the node, for half an hour (docs/limits.md).
        self.cluster.kubelet.feature_gates = {}
        self.cluster.forget_devices()


def device_plugin(image, mib):
    """The least that works; the add-on's manifest is tighter."""
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "device-plugin", "namespace": NAMESPACE},
        "spec": {
            "selector": {"matchLabels": {"app": "device-plugin"}},
            "template": {
                "metadata": {"labels": {"app": "device-plugin"}},
                "spec": {
                    "nodeSelector": {"kubernetes.io/hostname": NODE},
                    "containers": [{
                        "name": "device-plugin",
                        "image": image,
                        "command": ["/usr/bin/enclayer-device-plugin"],
                        "args": ["--platform=sim", f"--sim-epc={mib}Mi", "--log-format=json"],
                        "securityContext": {"runAsUser": 0},  # the kubelet's folder is root's
                        "volumeMounts": [{"name": "sockets", "mountPath": "/var/lib/kubelet/device-plugins"}],
                    }],
                    "volumes": [{"name": "sockets", "hostPath": {"path": "/var/lib/kubelet/device-plugins", "type": "Directory"}}],
                },
            },
        },
    }
