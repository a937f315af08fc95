"""What the kubelet spends on one more pod: without EPC, with a claim, with devices of the plugin, on nodes of several sizes, in turns."""

import statistics
import time

from .cluster import running
from .dra import Dra
from .process import wait_for
from .steps import say
from .testbed import EPC

BY_CLAIMS_GIB, BY_DEVICES_GIB = [8, 256, 1024], [8, 256]
ROUNDS, RESTARTS = 12, 4
SETTLE = 1.0  # seconds after a pod runs that still count as spent on it
LARGE = "64Gi"
AMOUNT_MIB = 10


class ClaimsCost(Dra):
    def listed(self):
        return [
            ("enclayer enable --dra-epc 50%", self.enable),
            *((f"one more pod on a node with {gib:,} GiB for claims", lambda gib=gib: self.by_claims(gib)) for gib in BY_CLAIMS_GIB),
            (f"a kubelet restart on that node, with {LARGE} claimed and without", self.restart),
            *((f"one more pod on a node with {gib:,} GiB as devices", lambda gib=gib: self.by_devices(gib)) for gib in BY_DEVICES_GIB),
            ("enclayer disable", self.disable),
        ]

    def by_claims(self, gib):
        self.cluster.enclayer("update", "--sim-epc", f"{gib + 1}Gi", "--dra-epc", f"{gib}Gi")
        self.wait_for_slice(f"{gib}Gi" if gib % 1024 else f"{gib // 1024}Ti")
        self.cluster.wait_for_allocatable(EPC, 1024)
        self.compare(lambda name: self.create(name, f"{AMOUNT_MIB}Mi"))

    def by_devices(self, gib):
        self.cluster.enclayer("update", "--sim-epc", f"{gib}Gi", "--dra-epc", "0")
        self.cluster.wait_for_allocatable(EPC, gib * 1024)
        self.compare(lambda name: self.cluster.start_pod(name, ["pause"], limits={EPC: AMOUNT_MIB}))

    def compare(self, with_epc):
        idle = self.spent(lambda: time.sleep(10)) / 10
        kinds = {"without": lambda name: self.cluster.start_pod(name, ["pause"]), "with": with_epc}
        spent = {kind: [] for kind in kinds}
        for number in range(ROUNDS):
            for kind, create in kinds.items():
                name, begin = f"{kind}-{number}", time.monotonic()

                def start(create=create, name=name):
                    create(name)
                    self.cluster.wait_for_pod(name, running)
                    time.sleep(SETTLE)

                cpu = self.spent(start)
                spent[kind].append(cpu - idle * (time.monotonic() - begin))
                self.cluster.remove_pods(name)
        without, with_ = (statistics.median(spent[kind]) * 1000 for kind in kinds)
        say(f"the kubelet's CPU time, median of {ROUNDS}: {without:.0f} ms for a pod without EPC, {with_:.0f} ms for one with "
            f"{AMOUNT_MIB} MiB ({with_ / without:.2f} times as much); {idle * 1000:.0f} ms a second when idle")

    def spent(self, act):
        daemon = self.cluster.kubelet.daemon
        before = daemon.cpu_seconds()
        act()
        return daemon.cpu_seconds() - before

    def restart(self):
        spent = {"without": [], "with": []}
        for _ in range(RESTARTS):
            spent["without"].append(self.restart_kubelet_once())
            self.run("large", LARGE)
            spent["with"].append(self.restart_kubelet_once())
            self.cluster.remove_pods("large")
        say(", ".join(f"{kind} {LARGE} claimed: {statistics.median(all_):.2f} s of CPU time" for kind, all_ in spent.items()) + f", medians of {RESTARTS}")

    def restart_kubelet_once(self):
        before = self.slices()[0]["metadata"]["uid"]
        self.cluster.kubelet.daemon.stop()
        self.cluster.kubelet.start()
        wait_for("the slice is back", lambda: [one for one in self.slices() if one["metadata"]["uid"] != before], 60)
        self.cluster.wait_for_node()
        time.sleep(SETTLE)
        return self.cluster.kubelet.daemon.cpu_seconds()
