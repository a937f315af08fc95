"""A node with as much EPC as the largest there is: 256 GiB, 262,144 devices in one message of 4,190,080 bytes."""

import time

from .node import WITHOUT_HEALTH, full_name
from .process import output, wait_for
from .steps import check, say
from .testbed import EPC

NODE_MIB = 256 * 1024
SMALL_MIB = 10
LARGE_MIB = 64 * 1024
DEFAULT_REPLY = 4 << 20  # what a gRPC client reads when it is told nothing


class Large:
    def __init__(self, testbed):
        self.testbed = testbed
        self.kubelet = testbed.kubelet
        self.ids = {}

    def listed(self):
        return [
            (f"256 GiB: the kubelet takes {NODE_MIB:,} devices", self.start),
            (f"a pod with {SMALL_MIB} MiB and one with 64 GiB run side by side and open their devices", self.run_both),
            ("the plugin is killed and started again with both running: they kept theirs", self.kill_plugin),
            (f"the kubelet restarts, ResourceHealthStatus off, both running: {NODE_MIB:,} devices again, both kept theirs", self.restart_kubelet),
            ("another pod gets other devices", self.run_another),
            ("the plugin ends cleanly on SIGTERM", self.stop),
        ]

    def start(self):
        self.testbed.forget_devices()
        started = time.monotonic()
        self.testbed.start_plugin(NODE_MIB)
        self.wait_for_all()
        say(f"{time.monotonic() - started:.2f} s from the plugin's start to {NODE_MIB:,} devices in the pod-resources API")
        reply = self.testbed.resources()["bytes"]["allocatable"]
        say(f"that API's reply has {reply:,} bytes, {reply / NODE_MIB:.0f} a device")
        refused = output(
            [self.testbed.program("podresources"), "-max-reply", DEFAULT_REPLY, self.kubelet.pod_resources_socket], expect=1
        )
        say(f"a client that keeps gRPC's default limit: {refused.strip()}")

    def run_both(self):
        for name, mib in (("small", SMALL_MIB), ("large", LARGE_MIB)):
            self.ids[name], seconds = self.testbed.run_enclave(name, mib)
            say(f"{name}, {mib:,} MiB: {seconds:.2f} s from the manifest to the program with its devices open")
        self.containers = self.running()

    def kill_plugin(self):
        self.testbed.plugin.kill()
        self.testbed.wait_for_devices(EPC, 0)
        started = time.monotonic()
        self.testbed.start_plugin(NODE_MIB)
        self.wait_for_all()
        say(f"{time.monotonic() - started:.2f} s from the plugin's new start to {NODE_MIB:,} devices again")
        self.check_kept()

    def restart_kubelet(self):
        # Its default, on, makes a restarting kubelet compare every device of the node with every device that is held: with
        # 64 GiB held it is busy for about an hour (docs/limits.md). Cost has restarts with it on.
        self.kubelet.daemon.stop()
        self.kubelet.feature_gates = WITHOUT_HEALTH
        started = time.monotonic()
        self.kubelet.start()
        self.wait_for_all()
        say(f"{time.monotonic() - started:.2f} s from the kubelet's start to {NODE_MIB:,} devices again")
        self.check_kept()

    def run_another(self):
        self.ids["another"], seconds = self.testbed.run_enclave("another", SMALL_MIB)
        say(f"another, {SMALL_MIB} MiB: {seconds:.2f} s; {sum(map(len, self.ids.values())):,} devices held by three pods, none twice")
        self.check_kept()

    def stop(self):
        self.testbed.stop_daemon(self.testbed.plugin)
        self.testbed.remove_pods()

    def wait_for_all(self):
        self.testbed.wait_for_devices(EPC, NODE_MIB, seconds=60)

    def running(self):
        return {name: wait_for(f"the kubelet reports {name} as running", lambda: self.testbed.container(name), 60) for name in self.ids}

    def check_kept(self):
        now, held = self.running(), self.testbed.resources()["pods"]
        for name, container in self.containers.items():
            check(now[name] == container, f"{name}'s container is another one than before")
            check(sorted(held[full_name(name)][EPC]) == self.ids[name], f"{name} holds other devices than before")
