"""What goes wrong on clusters, planted one thing at a time: `enclayer doctor` names each in its first line, and nothing when it is mended.
Of what happens to a node there are Events, where `kubectl describe node` shows them."""

import hashlib
import json
import os
import re
import shutil
import signal
import stat
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

from .builds import E2E
from .cluster import running
from .helperpod import NAMESPACE, SLOTS, HelperPod
from .node import NODE, pod_manifest
from .process import output, wait_for
from .steps import check, say
from .testbed import EPC, WORKLOAD_IMAGE

DEVICE = Path("/dev/enclayer-e2e")


class Faults:
    def __init__(self, cluster):
        self.cluster = cluster
        self.plane = cluster.plane
        self.helper = HelperPod(cluster)

    def listed(self):
        return [
            ("enclayer enable with the quote helper: doctor finds nothing", self.enable),
            ("a pod that a policy refuses: Kubernetes has an Event of that already", self.see_refusal_of_a_policy),
            *((f"{fault}: {first!r}", lambda plant=plant, first=first, seen=seen: self.try_fault(plant, first, *seen)) for fault, first, plant, *seen in [
                ("the device is gone", "device plugin .*" + DEVICE.name, self.device_gone, "EpcLost", "EpcBack"),
                ("another aesmd answers at the socket", "other plugins .*intel-sgx-aesmd .*AESM socket", self.other_aesmd),
                ("the helper is frozen", "quote helper .*does not answer", self.helper_frozen, "QuotesLost", "QuotesBack"),
                ("the folder of the slots is gone", "quote helper .*slots? below .*not served", self.slots_gone),
                ("a policy's binding is gone", "admission .*enclayer-translate is missing", self.binding_gone),
                ("an image is not there", "images .*localhost/none:1", self.image_missing),
                ("a container runtime passes CDI over", "container runtime .*containerd://1.7.27", self.cdi_off),
                ("a clock is an hour ahead", "clocks .*ahead", self.clock_ahead),
                ("the attestation service's collateral has expired", "attestation service .*collateral has expired", self.collateral_expired),
                ("the QE is older than an up-to-date platform's", "Quoting Enclave .*ISVSVN 1.* has 2", self.qe_old),
            ]),
            ("enclayer disable", self.disable),
            ("whoever holds the detector's token: detect/own_node.py", self.own_node),
        ]

    def enable(self):
        self.cluster.label_node("enclayer.io/sim=true")
        say(self.cluster.enclayer("enable", "--platform", "sim", "--image", self.cluster.image, "--enable-sgxquotehelper"))
        say(wait_for("doctor finds nothing", lambda: self.doctor(0), 30, pause=1))  # the kubelet tells of new resources within seconds

    def doctor(self, expect):
        return self.cluster.enclayer("doctor", expect=expect).strip()

    def describe(self, reason):
        """The lines of `kubectl describe node` about an Event of ours."""
        lines = self.plane.kubectl("describe", "node", NODE).splitlines()
        return "\n".join(line for line in lines if re.search(rf" {reason} .* enclayer ", line))

    def try_fault(self, plant, first, reason=None, over=None):
        with plant() as again:
            begin = time.monotonic()

            def named():
                if again:
                    again()
                line = self.doctor(2).splitlines()[0]
                check(line.startswith("wrong ") and re.search(first, line), line)
                return line

            line = wait_for("doctor names it first", named, 120, pause=1)
            say(f"{line}\nafter {time.monotonic() - begin:.0f} s")
            if reason:
                say(wait_for(f"kubectl describe node shows {reason}", lambda: self.describe(reason), 90, pause=1).strip())
                say(f"after {time.monotonic() - begin:.0f} s")
        wait_for("doctor finds nothing", lambda: self.doctor(0), 180, pause=1)
        if over:
            say(wait_for(f"kubectl describe node shows {over}", lambda: self.describe(over), 90, pause=1).strip())

    def patch(self, *what, change, kind="merge"):
        self.plane.kubectl("patch", *what, f"--type={kind}", "-p", json.dumps(change))

    # Each plants one thing and mends it; what it gives is done before each look, because the kubelet soon undoes it.

    @contextmanager
    def device_gone(self):
        os.mknod(DEVICE, stat.S_IFCHR | 0o666, os.makedev(1, 3))
        try:
            self.patch("-n", NAMESPACE, "daemonset", "enclayer-device-plugin", kind="json",
                       change=[{"op": "add", "path": "/spec/template/spec/containers/0/args/-", "value": f"--sim-device={DEVICE}"}])
            self.cluster.wait_for_daemon_set("enclayer-device-plugin", NAMESPACE)
            self.cluster.wait_for_allocatable(EPC, 8192)
            self.cluster.start_pod("holder", ["pause"], limits={EPC: 10, "enclayer.io/quote": 1})
            self.cluster.wait_for_pod("holder", running)
            DEVICE.unlink()
            self.see_refusal_of_a_pod()
            yield
            say(self.described("pod", "holder", "EpcLost"))
        finally:
            self.plane.kubectl("delete", "pod", "holder", "--ignore-not-found", "--grace-period=1")
            DEVICE.unlink(missing_ok=True)
            self.cluster.enclayer("update", "--adopt")

    def see_refusal_of_a_pod(self):
        """What the kubelet says of a pod that somebody put on the node himself."""
        self.cluster.wait_for_allocatable(EPC, 0)
        pod = pod_manifest("refused", WORKLOAD_IMAGE, ["pause"], limits={EPC: "10"})
        pod["spec"]["nodeName"] = NODE
        self.plane.apply(pod)
        say(self.described("pod", "refused", "UnexpectedAdmissionError"))
        self.cluster.remove_pods("refused")

    def see_refusal_of_a_policy(self):
        """The provisioning device, in a namespace that may not have it."""
        labels = {"app": "refused"}
        pod = pod_manifest("refused", WORKLOAD_IMAGE, ["pause"], limits={"sgx.intel.com/provision": "1"}, restart="Always")
        template = {"metadata": {"labels": labels}, "spec": pod["spec"]}
        self.plane.apply({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "refused", "namespace": "default"},
                          "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}})
        said = self.described("replicaset", "refused", "FailedCreate")
        check("enclayer-provisioning" in said, said)
        say(said)
        self.plane.kubectl("delete", "replicaset", "refused")

    def described(self, kind, name, reason):
        """The first line of `kubectl describe` with this reason."""
        def line():
            return next((line.strip() for line in self.plane.kubectl("describe", kind, name).splitlines() if f" {reason} " in line), None)

        return wait_for(f"kubectl describe {kind} {name} shows {reason}", line, 60, pause=0.5)

    @contextmanager
    def other_aesmd(self):
        """A socket that somebody puts in the place of ours is taken back at once; who goes on doing so has a name."""
        labels = {"app": "intel-sgx-aesmd"}
        pod = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "aesmd", "image": WORKLOAD_IMAGE, "args": ["pause"]}]}}
        self.plane.apply({"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "intel-sgx-aesmd", "namespace": "default"},
                          "spec": {"selector": {"matchLabels": labels}, "template": pod}})
        try:
            yield
        finally:
            self.plane.kubectl("delete", "daemonset", "intel-sgx-aesmd", "--wait")

    @contextmanager
    def helper_frozen(self):
        stopped = [self.helper.process(name) for name in self.helper.containers()]
        for process in stopped:
            os.kill(process, signal.SIGSTOP)
        try:
            yield
        finally:
            for process in stopped:
                with suppress(ProcessLookupError):  # the kubelet has ended it
                    os.kill(process, signal.SIGCONT)

    @contextmanager
    def slots_gone(self):
        aside = SLOTS.with_name("aside")
        SLOTS.rename(aside)
        SLOTS.write_text("")  # a folder would be made anew
        try:
            yield
        finally:
            SLOTS.unlink()
            aside.rename(SLOTS)

    @contextmanager
    def binding_gone(self):
        self.plane.kubectl("delete", "mutatingadmissionpolicybinding", "enclayer-translate")
        try:
            yield
        finally:
            self.cluster.enclayer("update")

    @contextmanager
    def image_missing(self):
        self.plane.kubectl("-n", NAMESPACE, "set", "image", "daemonset/enclayer-quote-helper", "quote-helper=localhost/none:1")
        try:
            yield
        finally:
            # The pod that hangs has the room of the one that would be tried.
            self.cluster.enclayer("update", "--adopt", "--no-self-test")

    @contextmanager
    def clock_ahead(self):
        ahead = time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime(time.time() + 3600))
        yield lambda: self.patch("-n", "kube-node-lease", "lease", NODE, change={"spec": {"renewTime": ahead}})

    @contextmanager
    def cdi_off(self):
        self.cluster.enclayer("update", "--dra-epc", "50%")
        old = {"status": {"nodeInfo": {"containerRuntimeVersion": "containerd://1.7.27"}}}
        try:
            yield lambda: self.patch("node", NODE, "--subresource=status", change=old)
        finally:
            self.cluster.enclayer("update", "--dra-epc", "0")

    @contextmanager
    def collateral_expired(self):
        case = self.cluster.work / "expired"
        self.cluster.enclayer("sim", "case", "root-crl-expired", "--out-dir", case)
        self.cluster.enclayer("update", "--enable-attestation-service", "--attestation-collateral", case / "collateral.json",
                              "--attestation-simulated-root", case / "root.pem")
        try:
            yield
        finally:
            self.cluster.enclayer("update", "--disable-attestation-service")

    @contextmanager
    def qe_old(self):
        """Collateral that doctor finds in this user's cache, by which an up-to-date QE has a higher ISVSVN. Nothing verifies it: it is for a warning."""
        text = self.plane.kubectl("exec", "-n", NAMESPACE, "ds/enclayer-quote-helper", "-c", self.helper.server()[0], "--", "enclayer", "sim", "export", "--out", "-")
        collateral = json.loads(text)
        collateral["qe_identity"] = collateral["qe_identity"].replace('"isvsvn":1}', '"isvsvn":2}', 1)
        tcb_info = json.loads(collateral["tcb_info"])
        fmspc = tcb_info.get("tcbInfo", tcb_info)["fmspc"].lower()
        entry = {"fmspc": fmspc, "ca": "platform", "url": "https://pccs.example/", "fetched": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "collateral": collateral}
        entry["sha256"] = hashlib.sha256(compact(entry).encode()).hexdigest()
        bundle = self.cluster.work / "bundle"
        bundle.write_text(compact({"format": "enclayer collateral bundle", "version": 1, "entries": 1}) + "\n" + compact(entry) + "\n")
        say(self.cluster.enclayer("collateral", "import", bundle))
        try:
            yield
        finally:
            shutil.rmtree(self.cluster.work / ".cache")

    def disable(self):
        self.cluster.disable("deployments")

    def own_node(self):
        script = E2E / "detect/own_node.py"
        say(output([sys.executable, script, "--bin", self.cluster.paths["product"]], env=self.cluster.environment(), timeout=240))
        for file in ("detect.yaml", "detect-policy.yaml"):
            self.plane.kubectl("delete", "--ignore-not-found", "-f", E2E.parent.parent / "deploy/manifests/detect" / file)
        self.plane.kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found")

def compact(value):
    """As src/collateral/cache.cc writes a line."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
