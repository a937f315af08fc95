"""A large cluster: one real node beside 1,000 that kwok plays, 700 of them with EPC, and 5,000 pods."""

import json
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from .cluster import condition, epc_of
from .controlplane import fake_node
from .process import wait_for
from .steps import check, say
from .terminal import Terminal
from .testbed import EPC

SGX_NODES = 700
PLAIN_NODES = 300
NODE_MIB = 8192
# Two of the first and one of the second fill a node to its last MiB; three of the first do not fit, by one MiB.
TWICE_MIB = 2731
ONCE_MIB = NODE_MIB - 2 * TWICE_MIB
PODS = 5000
SHOW_SECONDS, DOCTOR_SECONDS = 3, 10
TOP_SECONDS, TOP_CPU_PERCENT, TOP_BEGINS_SECONDS = 2, 1, 20
# A Go program that allocates little collects its garbage every two minutes, and the API server's takes most of a second then: as long as that, there
# is one such in each measurement.
TOP_WATCHED_SECONDS, TOP_GLANCED_SECONDS = 120, 20  # to judge, and to see that it works
DISABLE_SECONDS = 60
SGX_LABELS = {"enclayer.io/sgx": "true", "enclayer.io/sim": "true", "enclayer.io/platform": "sim"}  # as enclayer-detect would
NAMESPACE = "scale"
PODS_PATH = f"/api/v1/namespaces/{NAMESPACE}/pods"


class Scale:
    def __init__(self, cluster):
        self.cluster = cluster
        self.plane = cluster.plane

    def listed(self):
        return [
            (f"{SGX_NODES} nodes with {NODE_MIB} MiB of EPC and {PLAIN_NODES} without", self.make_nodes),
            (f"{2 * SGX_NODES} pods with {TWICE_MIB} MiB: exactly two on each", self.fill_twice),
            (f"{SGX_NODES} pods with {ONCE_MIB} MiB fill every node to the last MiB", self.fill_up),
            ("a pod with 1 MiB more is Pending, with the reason, until some EPC is free", self.one_more),
            (f"pods without EPC, to make {PODS:,} in all: none of them is kept waiting", self.make_others),
            ("everything is removed", self.remove),
        ]

    def make_nodes(self):
        self.plane.start_kwok()
        begin = time.monotonic()
        self.nodes = {f"sgx-{index:04}" for index in range(SGX_NODES)}
        self.plane.make_nodes(
            [fake_node(name, epc=NODE_MIB, labels=SGX_LABELS) for name in sorted(self.nodes)]
            + [fake_node(f"plain-{index:04}") for index in range(PLAIN_NODES)]
        )
        say(f"ready after {time.monotonic() - begin:.0f} s")
        self.plane.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
        wait_for("the namespace's account", lambda: self.plane.read(f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/default"), 30, pause=0.2)

    def fill_twice(self):
        self.run_replicas("twice", 2 * SGX_NODES, {EPC: TWICE_MIB})
        self.check_nodes(2 * TWICE_MIB)

    def fill_up(self):
        self.run_replicas("once", SGX_NODES, {EPC: ONCE_MIB})
        self.check_nodes(NODE_MIB)

    def one_more(self):
        self.plane.apply(replicas("more", 1, {EPC: 1}))
        pod = wait_for("the scheduler has tried", lambda: self.unschedulable("more"), 60, pause=0.2)
        say(condition(pod, "PodScheduled")["message"])
        check(f"Insufficient {EPC}" in condition(pod, "PodScheduled")["message"], "the reason does not name the resource")
        self.plane.kubectl("scale", "replicaset", "once", "-n", NAMESPACE, f"--replicas={SGX_NODES - 1}")
        self.wait_for_running("more", 1)
        pods = self.pods()
        held = {name: mib for name, mib in per_node(pods).items() if mib != NODE_MIB}
        check(list(held.values()) == [2 * TWICE_MIB + 1], f"expected one node with {2 * TWICE_MIB + 1} MiB held, got {held}")
        say("one of the others was removed: it runs in its place")

    def make_others(self):
        self.run_replicas("plain", PODS - len(self.all_pods()), {})
        pods = self.all_pods()
        check(len(pods) == PODS, f"there are {len(pods)} pods")
        say(f"{len(pods):,} pods on {len({pod['spec']['nodeName'] for pod in pods})} nodes")

    def remove(self):
        self.plane.kubectl("delete", "namespace", NAMESPACE, "--wait", "--ignore-not-found", timeout=300)
        self.plane.kubectl("delete", "nodes", "-l", "type=kwok", "--wait=false", timeout=300)
        wait_for("the nodes are gone", lambda: not self.fake_nodes(), 60, pause=0.5)
        self.plane.kwok.stop()

    # --- what the steps are made of

    def run_replicas(self, name, count, limits, claim=None, patience=300):
        begin = time.monotonic()
        self.plane.apply(replicas(name, count, limits, claim))
        self.wait_for_running(name, count, patience)
        seconds = time.monotonic() - begin
        say(f"{count:,} pods running after {seconds:.0f} s, {count / seconds:.0f} a second")
        return seconds

    def wait_for_running(self, name, count, patience=300):
        def probe():
            ready = self.plane.read(f"/apis/apps/v1/namespaces/{NAMESPACE}/replicasets/{name}")["status"].get("readyReplicas", 0)
            check(ready == count, f"{ready} of {count} are running")
            return True

        wait_for(f"{count} pods of {name}", probe, patience, pause=1)

    def unschedulable(self, name):
        for pod in self.plane.read(PODS_PATH, labelSelector=f"app={name}")["items"]:
            if condition(pod, "PodScheduled").get("reason") == "Unschedulable":
                return pod
        return None

    def fake_nodes(self):
        return self.plane.read("/api/v1/nodes", labelSelector="type=kwok")["items"]

    def pods(self):
        return self.plane.read(PODS_PATH)["items"]

    def all_pods(self):
        return self.plane.read("/api/v1/pods")["items"]

    def check_nodes(self, expected):
        """Each SGX node holds that much, and no other holds any."""
        held = per_node(self.pods())
        wrong = {name: mib for name, mib in held.items() if mib != expected}
        check(held.keys() == self.nodes and not wrong, f"expected {expected} MiB on each of {len(self.nodes)} nodes; {len(held)} hold some, wrong: {wrong}")
        offered = Counter(epc_of(node) for node in self.fake_nodes())
        say(f"{expected} of {NODE_MIB} MiB held on each of {len(held)} nodes; nodes by what they offer: {dict(offered)}")


class AddonAtScale(Scale):
    """The same with the add-on switched on: its daemons have a pod on every node, and `show` looks at all of it."""

    def listed(self):
        *steps, last = super().listed()
        return [
            *steps[:1],
            (f"enclayer enable: on {SGX_NODES} nodes", self.enable),
            *steps[1:],
            (f"enclayer show tells of {SGX_NODES + PLAIN_NODES:,} nodes and {PODS:,} pods within {SHOW_SECONDS} s", self.show),
            (f"enclayer doctor looks at all of them within {DOCTOR_SECONDS} s", self.examine),
            (f"enclayer top: a picture within {TOP_SECONDS} s, then {TOP_CPU_PERCENT} % of a processor of the API server at most", self.top),
            (f"enclayer disable within {DISABLE_SECONDS} s", self.disable),
            last,
        ]

    def enable(self):
        begin = time.monotonic()
        lines = self.cluster.enclayer("enable", "--platform", "sim", "--image", self.cluster.image, "--account-mapped", "--disable-metrics").splitlines()
        say(f"{time.monotonic() - begin:.0f} s, {len(lines)} lines, the last: {lines[-1]}")

    def show(self):
        seconds = []
        for _ in range(3):
            begin = time.monotonic()
            told = json.loads(self.cluster.enclayer("show", "--output", "json"))
            seconds.append(time.monotonic() - begin)
        free = {node["epc_mib"]["free"] for node in told["nodes"] if node["name"] in self.nodes}
        check(free <= {0, ONCE_MIB - 1}, f"free are {free} MiB; all but one node are full, and that has {ONCE_MIB - 1}")
        say(", ".join(f"{each:.2f} s" for each in seconds))
        check(not self.cluster.judge_times or min(seconds) <= SHOW_SECONDS, f"the fastest of {len(seconds)} took {min(seconds):.2f} s")

    def examine(self):
        """Nodes that kwok plays renew their Leases rarely, which is all that is wrong with them."""
        seconds = []
        for _ in range(3):
            begin = time.monotonic()
            told = json.loads(self.cluster.enclayer("doctor", "--output", "json", expect=2))
            seconds.append(time.monotonic() - begin)
        wrong = {link["link"] for link in told["links"] if link["standing"] == "wrong"}
        check(wrong == {"clocks"}, f"wrong are {wrong}")
        say(", ".join(f"{each:.2f} s" for each in seconds))
        check(not self.cluster.judge_times or min(seconds) <= DOCTOR_SECONDS, f"the fastest of {len(seconds)} took {min(seconds):.2f} s")

    def top(self):
        """On a terminal, for a while. No program runs in the pods of played nodes, so that nobody answers."""
        seconds = TOP_WATCHED_SECONDS if self.cluster.judge_times else TOP_GLANCED_SECONDS
        idle = self.apiserver_percent(lambda: time.sleep(seconds))
        begin = time.monotonic()
        with Terminal([self.cluster.product("enclayer"), "top"], self.cluster.environment()) as terminal:
            terminal.until(" more\x1b")
            first = time.monotonic() - begin
            begun = self.apiserver_percent(lambda: terminal.after(TOP_BEGINS_SECONDS))
            busy = self.apiserver_percent(lambda: say(terminal.after(seconds)))
        say(f"the first picture after {first:.2f} s; of a processor the API server took {idle:.1f} % before, {begun:.1f} % in the next "
            f"{TOP_BEGINS_SECONDS} s, in which many are asked, and then {busy:.1f} %")
        check(not self.cluster.judge_times or (first <= TOP_SECONDS and busy - idle <= TOP_CPU_PERCENT), "the goals are not met")
        told = json.loads(self.cluster.enclayer("top", "--output", "json"))
        check(sum(node["asked_mib"] for node in told["nodes"]) == sum(per_node(self.pods()).values()), "what was asked for is another sum")
        check(told["daemons"]["asked"] >= SGX_NODES and any("device plugins on" in note for note in told["notes"]), f"{told['daemons']}, {told['notes']}")

    def apiserver_percent(self, act):
        """Of one processor, while that happens."""
        before, begin = self.plane.apiserver.cpu_seconds(), time.monotonic()
        act()
        return (self.plane.apiserver.cpu_seconds() - before) / (time.monotonic() - begin) * 100

    def disable(self):
        self.plane.kubectl("delete", "namespace", NAMESPACE, "--wait", timeout=300)
        begin = time.monotonic()
        say(self.cluster.enclayer("disable"))
        seconds = time.monotonic() - begin
        say(f"{seconds:.0f} s")
        check(not self.cluster.judge_times or seconds <= DISABLE_SECONDS, f"it took {seconds:.0f} s")


class ClaimsAtScale(Scale):
    """EPC of the same nodes by both doors, one after the other: as devices of the plugin, and as claims of the driver's ResourceSlices,
    which kwok's nodes are given as a driver publishes them."""

    NODES, GIB = 1000, 64
    # Four of the first and one of the second fill a node to its last MiB; five of the first do not fit.
    SMALL_MIB = GIB * 1024 // 5 + 1
    LARGE_MIB = GIB * 1024 - 4 * SMALL_MIB

    def listed(self):
        return [
            (f"{self.NODES:,} nodes with {self.GIB} GiB of EPC, by both doors", self.make_nodes),
            (f"{5 * self.NODES:,} pods by the device plugin fill every node to the last MiB", self.fill_by_plugin),
            (f"{5 * self.NODES:,} pods with a claim each do the same", self.fill_by_claims),
            ("a claim of 1 MiB more is Pending, with the reason", self.claim_one_more),
            ("everything is removed", self.remove_all),
        ]

    def make_nodes(self):
        self.plane.start_kwok()
        self.nodes = {f"sgx-{index:04}" for index in range(self.NODES)}
        self.plane.make_nodes([fake_node(name, epc=self.GIB * 1024, labels=SGX_LABELS) for name in sorted(self.nodes)])
        documents = self.cluster.enclayer("render", "--dra-epc", "50%").split("\n---\n")
        self.plane.kubectl("apply", "-f", "-", stdin="\n---\n".join(one for one in documents if "\nkind: DeviceClass" in one))
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(lambda name: self.plane.raw("/apis/resource.k8s.io/v1/resourceslices", post=self.slice(name)), sorted(self.nodes)))
        self.plane.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
        wait_for("the namespace's account", lambda: self.plane.read(f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/default"), 30, pause=0.2)

    def slice(self, node):
        """As src/dra/resource_slice.cc writes it."""
        policy = {"default": "1Mi", "validRange": {"min": "1Mi", "step": "1Mi"}}
        device = {"name": "epc", "allowMultipleAllocations": True, "attributes": {"kind": {"string": "epc"}},
                  "capacity": {"epc": {"value": f"{self.GIB}Gi", "requestPolicy": policy}}}
        return {"apiVersion": "resource.k8s.io/v1", "kind": "ResourceSlice", "metadata": {"name": f"{node}-sgx.enclayer.io"},
                "spec": {"driver": "sgx.enclayer.io", "nodeName": node, "pool": {"name": node, "generation": 1, "resourceSliceCount": 1}, "devices": [device]}}

    def fill_by_plugin(self):
        seconds = self.run_replicas("plugin-small", 4 * self.NODES, {EPC: self.SMALL_MIB}) + self.run_replicas("plugin-large", self.NODES, {EPC: self.LARGE_MIB})
        held = per_node(self.pods())
        check(held.keys() == self.nodes and set(held.values()) == {self.GIB * 1024}, f"not every node is full: {Counter(held.values())}")
        self.by_plugin = seconds
        for name in ("plugin-small", "plugin-large"):
            self.plane.kubectl("delete", "replicaset", name, "-n", NAMESPACE, "--wait", timeout=300)
        wait_for("its pods are gone", lambda: not self.pods(), 180, pause=1)

    def fill_by_claims(self):
        for name, mib in (("small", self.SMALL_MIB), ("large", self.LARGE_MIB), ("more", 1)):
            request = {"name": "epc", "exactly": {"deviceClassName": "sgx-epc.enclayer.io", "capacity": {"requests": {"epc": f"{mib}Mi"}}}}
            self.plane.apply({"apiVersion": "resource.k8s.io/v1", "kind": "ResourceClaimTemplate", "metadata": {"name": name, "namespace": NAMESPACE},
                              "spec": {"spec": {"devices": {"requests": [request]}}}})
        seconds = self.run_replicas("small", 4 * self.NODES, {}, "small", 900) + self.run_replicas("large", self.NODES, {}, "large", 900)
        held = Counter()
        for claim in self.plane.read(f"/apis/resource.k8s.io/v1/namespaces/{NAMESPACE}/resourceclaims")["items"]:
            for result in claim["status"]["allocation"]["devices"]["results"]:
                amount = result["consumedCapacity"]["epc"]
                held[result["pool"]] += int(amount[:-2]) * {"Mi": 1, "Gi": 1024}[amount[-2:]]
        check(held.keys() == self.nodes and set(held.values()) == {self.GIB * 1024}, f"not every node is full: {Counter(held.values())}")
        say(f"{seconds:.0f} s by claims, {self.by_plugin:.0f} s by devices: {seconds / self.by_plugin:.1f} times as long")

    def claim_one_more(self):
        self.plane.apply(replicas("more", 1, {}, "more"))
        pod = wait_for("the scheduler has tried", lambda: self.unschedulable("more"), 90, pause=0.5)
        say(condition(pod, "PodScheduled")["message"])

    def remove_all(self):
        self.plane.kubectl("delete", "resourceslices", "--all", "--wait=false")
        self.plane.kubectl("delete", "deviceclasses", "--all")
        self.remove()


def per_node(pods):
    held = Counter()
    for pod in pods:
        for container in pod["spec"]["containers"]:
            amount = container.get("resources", {}).get("limits", {}).get(EPC)
            if amount:
                held[pod["spec"].get("nodeName", "none")] += int(amount)
    return held


def replicas(name, count, limits, claim=None):
    """`claim`: each pod has one of that ResourceClaimTemplate."""
    container = {"name": "main", "image": "localhost/none:1", "resources": {"requests": {"cpu": "1m", "memory": "1Mi"}, "limits": {
        resource: str(amount) for resource, amount in limits.items()}}}
    claimed = {"resourceClaims": [{"name": "sgx", "resourceClaimTemplateName": claim}]} if claim else {}
    if claim:
        container["resources"]["claims"] = [{"name": "sgx"}]
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "replicas": count,
            "selector": {"matchLabels": {"app": name}},
            # The real node would take some, and has no such image.
            "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container], "nodeSelector": {"type": "kwok"}, **claimed}},
        },
    }
