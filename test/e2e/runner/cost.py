"""What the kubelet itself spends on EPC in devices of 1 MiB: one measurement a size, on this machine, printed as tables.

Nothing asks the kubelet anything while it is measured: when it has taken a list is read from its checkpoint, which it
writes right after, and what a pod saw from the file of its log. CPU time includes what the kubelet does anyway (the first
figure printed)."""

import json
import time

from .node import WITHOUT_HEALTH
from .process import output, wait_for
from .steps import check, say
from .testbed import EPC

SIZES_GIB = [8, 32, 128, 256]
PODS_MIB = [10, 128]
LARGE_MIB = 65536  # on the nodes that have more
SETTLE = 1.0  # seconds after an event that still count as spent on it
IDLE = 2.0


class Cost:
    def __init__(self, testbed):
        self.testbed = testbed
        self.kubelet = testbed.kubelet
        self.idle = None
        self.nodes = []
        self.pods = []

    def listed(self):
        if self.kubelet.minor < 36:  # it has no ResourceHealthStatus by default, which half of the tables are about
            return []
        return [
            *((f"what the kubelet spends on {gib} GiB", lambda gib=gib: self.measure(gib * 1024)) for gib in SIZES_GIB),
            ("the tables of docs/limits.md", self.print_tables),
        ]

    def measure(self, devices):
        self.kubelet.feature_gates = {}
        self.testbed.forget_devices()
        time.sleep(SETTLE)
        node = {"GiB": devices // 1024, "devices": devices}
        if not self.nodes:
            self.idle = self.spent_idle()

        with Spent(self.kubelet.daemon, node, "list"):
            started = time.time()
            self.testbed.start_plugin(devices)
            node["list s"] = self.wait_for_list(devices, started) - started
        reply = self.testbed.resources()
        check(reply["allocatable"][EPC] == devices, f"{reply['allocatable'][EPC]} allocatable, expected {devices}")
        node["reply"] = reply["bytes"]["allocatable"]
        for mib in PODS_MIB:
            self.run_pod(node, mib)
        node["RSS"], node["peak"] = self.kubelet.daemon.memory_mib()
        # First with what a kubelet has by default; with the large pod running that would take about an hour.
        node["restart on s"], node["restart on"] = self.restart(devices, {})
        if devices > LARGE_MIB:
            self.run_pod(node, LARGE_MIB)
        node["checkpoint"] = self.kubelet.checkpoint.stat().st_size
        node["restart off s"], node["restart off"] = self.restart(devices, WITHOUT_HEALTH)
        self.testbed.stop_daemon(self.testbed.plugin)
        self.testbed.remove_pods()
        self.nodes.append(node)

    def run_pod(self, node, mib):
        name = f"n{node['GiB']}-{mib}"  # one name a node: a pod of the same name and content would be the same pod, which has ended
        with Spent(self.kubelet.daemon, node, f"pod {mib}"):
            node[f"pod {mib} s"] = self.testbed.run_enclave(name, mib)[1]
        if all(pod["MiB"] != mib for pod in self.pods):
            self.pods.append({"MiB": mib, **self.weight(name, mib)})

    def weight(self, name, mib):
        """Of the pod as the kubelet would send it to the API server; it does not depend on the node."""
        weight = json.loads(output([self.testbed.program("podsize")], stdin=json.dumps(self.kubelet.pod(name))))
        check(weight["devices"] == mib, f"the status of {name} names {weight['devices']} devices")
        return weight

    def spent_idle(self):
        """CPU seconds a second."""
        before = self.kubelet.daemon.cpu_seconds()
        time.sleep(IDLE)
        return (self.kubelet.daemon.cpu_seconds() - before) / IDLE

    def wait_for_list(self, devices, since):
        """Until the checkpoint has all devices; when it was written, in seconds since 1970. An id takes 4 to 6 bytes there."""

        def written():
            state = self.kubelet.checkpoint.stat()
            return state.st_mtime > since and state.st_size > 4 * devices and state.st_mtime

        return wait_for(f"a checkpoint with {devices} devices", written, 300, pause=0.01)

    def restart(self, devices, feature_gates):
        """Seconds from the kubelet's start until it has all devices again, and its CPU time until then."""
        held = self.testbed.resources()["pods"]
        self.kubelet.daemon.stop()
        self.kubelet.feature_gates = feature_gates
        started = time.time()
        self.kubelet.start()
        seconds = self.wait_for_list(devices, started) - started
        cpu = self.kubelet.daemon.cpu_seconds()
        self.testbed.wait_for_devices(EPC, devices)
        self.check_same(held)
        return seconds, cpu

    def check_same(self, held):
        def listed():
            pods = self.testbed.resources()["pods"]
            return held.keys() <= pods.keys() and pods

        now = wait_for("the kubelet lists its pods again", listed, 60)
        for pod, resources in held.items():
            check(sorted(now[pod][EPC]) == sorted(resources[EPC]), f"{pod} holds other devices than before the kubelet's restart")

    def print_tables(self):
        say(f"one measurement a size; the idle kubelet: {self.idle:.3f} s of CPU a second")
        say("the kubelet with a node's EPC")
        table(
            ["node", "devices", "plugin's start to listed", "CPU", "RSS", "peak", "checkpoint", "pod-resources reply"],
            [
                [f"{node['GiB']} GiB", f"{node['devices']:,}", f"{node['list s'] * 1000:.0f} ms", f"{node['list']:.2f} s",
                 f"{node['RSS']:.0f} MiB", f"{node['peak']:.0f} MiB", f"{node['checkpoint']:,} B", f"{node['reply']:,} B"]
                for node in self.nodes
            ],
        )
        say("a pod, from its manifest to its program with the device open, and the kubelet's CPU time")
        table(
            ["node", *(f"{mib:,} MiB" for mib in [*PODS_MIB, LARGE_MIB])],
            [
                [f"{node['GiB']} GiB",
                 *(f"{node[f'pod {mib} s']:.2f} s, {node[f'pod {mib}']:.2f} s" if f"pod {mib}" in node else "-" for mib in [*PODS_MIB, LARGE_MIB])]
                for node in self.nodes
            ],
        )
        say("a kubelet restart, until all devices are back, and its CPU time, while pods hold devices")
        table(
            ["node", f"{sum(PODS_MIB)} held, ResourceHealthStatus on", "off"],
            [
                [f"{node['GiB']} GiB", f"{node['restart on s']:.2f} s, {node['restart on']:.2f} s",
                 f"{node['restart off s']:.2f} s, {node['restart off']:.2f} s" + (f" ({LARGE_MIB:,} more held)" if node["devices"] > LARGE_MIB else "")]
                for node in self.nodes
            ],
        )
        say("a pod's status with ResourceHealthStatus")
        table(
            ["pod", "status, JSON", "a device", "pod, protobuf", "a device"],
            [
                [f"{pod['MiB']:,} MiB", f"{pod['status_json']:,} B", f"{pod['devices_json'] / pod['devices']:.1f} B",
                 f"{pod['pod_protobuf']:,} B", f"{pod['devices_protobuf'] / pod['devices']:.1f} B"]
                for pod in self.pods
            ],
        )


class Spent:
    """The CPU time of a daemon while the block runs and SETTLE seconds more, into `into[name]`."""

    def __init__(self, daemon, into, name):
        self.daemon, self.into, self.name = daemon, into, name

    def __enter__(self):
        self.before = self.daemon.cpu_seconds()

    def __exit__(self, *_):
        time.sleep(SETTLE)
        self.into[self.name] = self.daemon.cpu_seconds() - self.before


def table(head, rows):
    """As Markdown, so that it can stand in docs/limits.md as it is."""
    widths = [max(len(str(cell)) for cell in column) for column in zip(head, *rows, strict=True)]
    for row in [head, ["-" * width for width in widths], *rows]:
        say("| " + " | ".join(str(cell).ljust(width) for cell, width in zip(row, widths, strict=True)) + " |")
