"""EPC by ResourceClaims: enclayer-dra-driver beside the node's kubelet, with the samples' classes. The add-on does not run it yet, so
it runs here as a process of the node's."""

import json
import os
import time
from pathlib import Path

from .addon import SAMPLES
from .cluster import condition, running
from .controlplane import SERVICE_ADDRESS
from .node import KUBELET_DIR, NODE, pod_manifest
from .process import Daemon, wait_for
from .steps import check, say
from .testbed import ENCLAVE_DEVICES, WORKLOAD_IMAGE, ended

NODE_GIB = 96
CDI = Path("/var/run/cdi")  # where containerd looks
ACCOUNT = "enclayer-dra-driver"
RULES = [
    {"apiGroups": [""], "resources": ["nodes"], "verbs": ["get"]},
    {"apiGroups": ["resource.k8s.io"], "resources": ["resourceslices"], "verbs": ["list", "create", "update", "delete"]},
    {"apiGroups": ["resource.k8s.io"], "resources": ["resourceclaims"], "verbs": ["get", "list"]},
]


class Dra:
    def __init__(self, cluster):
        self.cluster = cluster
        self.plane = cluster.plane
        self.slots = cluster.work / "dra-slots"
        self.drivers = []

    def listed(self):
        return [
            (f"enclayer-dra-driver: {NODE_GIB} GiB in a ResourceSlice, and the kubelet has the driver", self.start),
            ("a claim of 10 MiB, the container not root: both devices open", self.hello_world),
            ("a pod with 64 GiB: Ready, and the size of its status", self.run_large),
            ("the node is full to the MiB", self.fill),
            ("a kubelet restart: the slice is back, the pods run on, a new one starts", self.restart_kubelet),
            ("an update: a second instance takes over without a gap", self.update),
            ("everything is removed, and nothing is left of the claims", self.remove),
        ]

    def start(self):
        self.cdi_was_there = CDI.exists()
        name = {"name": ACCOUNT, "namespace": "default"}
        role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": ACCOUNT}
        self.plane.apply(
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": name},
            {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": ACCOUNT}, "rules": RULES},
            {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": ACCOUNT}, "roleRef": role,
             "subjects": [{"kind": "ServiceAccount", **name}]},
        )
        self.plane.kubectl("apply", "-f", SAMPLES / "dra/classes.yaml")
        account = self.cluster.work / "dra-account"
        account.mkdir()
        (account / "token").write_text(self.plane.kubectl("create", "token", ACCOUNT, "--duration=2h"))
        (account / "ca.crt").write_bytes(self.plane.authority.certificate("ca").read_bytes())
        self.arguments = ["--node", NODE, "--dra-epc", "100%", "--platform", "sim", "--sim-epc", f"{NODE_GIB}Gi", "--kubelet-dir", KUBELET_DIR,
                          "--account-dir", account, "--slots-dir", self.slots]
        self.start_driver()
        self.wait_for_slice()

    def start_driver(self):
        """Until the kubelet has registered it."""
        driver = Daemon("enclayer-dra-driver", self.cluster.logs / f"dra-driver-{len(self.drivers)}.log")
        self.drivers.append(driver)
        driver.start([self.cluster.product("enclayer-dra-driver"), *self.arguments],
                     env={**os.environ, "KUBERNETES_SERVICE_HOST": SERVICE_ADDRESS, "KUBERNETES_SERVICE_PORT": str(self.plane.port)})
        wait_for("the kubelet has the driver", lambda: "registered with the kubelet" in driver.log.read_text(), 60, pause=0.1)

    def slices(self):
        return self.plane.read("/apis/resource.k8s.io/v1/resourceslices")["items"]

    def wait_for_slice(self, seconds=30):
        found = wait_for("the ResourceSlice", self.slices, seconds)
        (device,) = found[0]["spec"]["devices"]
        check(device["capacity"]["epc"]["value"] == f"{NODE_GIB}Gi" and device["allowMultipleAllocations"], f"the slice has {device}")

    # --- pods

    def create(self, name, amount, arguments, **options):
        """A pod with a claim of its own."""
        request = {"name": "epc", "exactly": {"deviceClassName": "sgx-epc.enclayer.io", "capacity": {"requests": {"epc": amount}}}}
        template = {"apiVersion": "resource.k8s.io/v1", "kind": "ResourceClaimTemplate", "metadata": {"name": f"epc-{amount.lower()}"},
                    "spec": {"spec": {"devices": {"requests": [request]}}}}
        pod = pod_manifest(name, WORKLOAD_IMAGE, arguments, **options)
        pod["spec"]["resourceClaims"] = [{"name": "sgx", "resourceClaimTemplateName": template["metadata"]["name"]}]
        pod["spec"]["containers"][0]["resources"] = {"claims": [{"name": "sgx"}]}
        self.plane.apply(template, pod)

    def run(self, name, amount, arguments=("pause",), **options):
        begin = time.monotonic()
        self.create(name, amount, arguments, **options)
        pod = self.cluster.wait_for_pod(name, lambda pod: running(pod) or ended(pod))
        return pod, time.monotonic() - begin

    def hello_world(self):
        _, seconds = self.run("hello", "10Mi", ["open", *ENCLAVE_DEVICES], pod_security={"runAsNonRoot": True, "runAsUser": 65532})
        seen = wait_for("what the pod saw", lambda: json.loads(self.cluster.log("hello")), 30, pause=0.2)
        check([device["error"] for device in seen["devices"]] == [""] * len(ENCLAVE_DEVICES), f"the pod saw {seen['devices']}")
        say(f"{seconds:.1f} s from the pod's creation to its program with {', '.join(ENCLAVE_DEVICES)} open")
        self.cluster.remove_pods("hello")

    def run_large(self):
        pod, seconds = self.run("large", "64Gi")
        check(running(pod), self.cluster.why_not("large", "default"))
        size = len(json.dumps(pod["status"], separators=(",", ":")))
        check(size < 2048, f"its status has {size} bytes")
        say(f"{seconds:.1f} s; {size} bytes of status, with {len(pod['status']['containerStatuses'][0].get('allocatedResourcesStatus', []))} resource in it")

    def fill(self):
        self.run("rest", f"{(NODE_GIB - 64) * 1024 - 1}Mi")
        self.run("last", "512Ki")  # is charged 1 MiB
        self.create("more", "1Mi", ["pause"])
        pod = self.cluster.wait_for_pod("more", lambda pod: condition(pod, "PodScheduled").get("status") == "False")
        say(condition(pod, "PodScheduled")["message"])
        self.cluster.remove_pods("last")
        self.cluster.wait_for_pod("more", running)
        self.cluster.remove_pods("rest", "more")

    def restart_kubelet(self):
        before = self.slices()[0]["metadata"]["uid"]
        self.cluster.kubelet.daemon.stop()
        begin = time.monotonic()
        self.cluster.kubelet.start()
        wait_for("the kubelet has removed the slices of its node, and the driver has put them back",
                 lambda: [one for one in self.slices() if one["metadata"]["uid"] != before], 60)
        say(f"the slice is back {time.monotonic() - begin:.1f} s after the kubelet's start")
        self.cluster.wait_for_node()
        check(running(self.cluster.pod("large")), "the pod with 64 GiB does not run any more")
        self.run("after", "1Gi")
        self.cluster.remove_pods("after")

    def update(self):
        self.start_driver()
        check(self.drivers[0].stop() == 0, "the first instance did not end with 0")
        pod, _ = self.run("updated", "1Gi")
        check(running(pod), self.cluster.why_not("updated", "default"))
        self.cluster.remove_pods("updated", "large")

    def remove(self):
        def nothing():
            left = [path.name for path in CDI.glob("k8s.sgx.enclayer.io-*")] + [path.name for path in self.slots.glob("*.epc")]
            check(not left, f"left over: {left}")
            return True

        wait_for("no claim is prepared any more", nothing, 30)
        say(f"{self.drivers[-1].memory_mib()[0]:.1f} MiB resident")
        check(self.drivers[-1].stop() == 0, "the driver did not end with 0")
        self.plane.kubectl("delete", "resourceclaimtemplates", "--all")
        self.plane.kubectl("delete", "-f", SAMPLES / "dra/classes.yaml")
        self.plane.kubectl("delete", "serviceaccount,clusterrole,clusterrolebinding", ACCOUNT, "--ignore-not-found")
        wait_for("the kubelet removes the slices of a driver that is gone", lambda: not self.slices(), 90, pause=1)
        if not self.cdi_was_there:
            CDI.rmdir()
