"""EPC by two doors on one node: the device plugin for old manifests, the DRA driver for ResourceClaims, both as `enclayer enable` installs
them."""

import fcntl
import json
import threading
import time
from pathlib import Path

from .cluster import condition, running
from .isolation import KUBELET_DIR
from .node import NODE, pod_manifest
from .process import wait_for
from .steps import check, say
from .testbed import ENCLAVE_DEVICES, EPC, WORKLOAD_IMAGE, ended

FIRST_MIB, FIRST_DRIVER_MIB = 8192, 4095  # half of all but the 1 MiB that the plugin keeps
SECOND_GIB, SECOND_DRIVER_GIB = 66, 65
PLUGIN_MIB = ABOVE = (SECOND_GIB - SECOND_DRIVER_GIB) * 1024
STARTS, KILLS = 40, 3  # a container that is killed comes back after 10, 20, 40 s
CDI = Path("/var/run/cdi")  # where containerd looks
SLOTS = Path("/var/run/enclayer/quotes")
DRIVER = "app.kubernetes.io/name=enclayer-dra-driver"
INTEL = "sgx.intel.com/epc"
TEMPLATES = "/apis/resource.k8s.io/v1/namespaces/default/resourceclaimtemplates"


class Dra:
    def __init__(self, cluster):
        self.cluster = cluster
        self.plane = cluster.plane

    def listed(self):
        return [
            ("enclayer enable --dra-epc 50%: half of the EPC by the plugin, half in a ResourceSlice", self.enable),
            ("an old manifest and a claim, 10 MiB each, on one node, the claim's container not root: both have their devices open", self.hello_world),
            ("a claim that the driver refuses: Kubernetes has an Event of that already, with our words", self.see_refusal),
            (f"enclayer update to {SECOND_GIB} GiB, {SECOND_DRIVER_GIB} of them the driver's, while pods with claims start: none fails", self.update),
            ("a slice that a person removes is back within 2 s", self.remove_slice),
            ("a pod with 64 GiB: Ready, and the size of its status", self.run_large),
            ("the node is full to the MiB through both doors", self.fill),
            ("a kubelet restart: the slice is back, the pods run on, a new one starts", self.restart_kubelet),
            (f"an old manifest with 64Gi of {INTEL}: a claim of a template that was not there, Ready, its devices open", self.run_old_manifest),
            ("without enclayer-claim-templates such a pod waits, and its events say for what; with it again it runs", self.wait_for_template),
            (f"the driver is killed {KILLS} times while {STARTS} pods start: nothing is leaked, nothing given twice", self.kill_driver),
            ("the templates are gone once nobody needs them; one that a person made stays", self.collect_templates),
            ("a claim of the provisioning class is refused where the namespace is not labelled; the driver's account may write no slice of another node, that of enclayer-claim-templates no other template",
             self.try_policies),
            ("enclayer show and top: EPC by door, claims by pod", self.show),
            ("enclayer update --dra-epc 0 and enclayer disable refuse while a claim is held", self.refuse),
            ("enclayer disable: nothing is left", self.disable),
        ]

    def enable(self):
        self.cdi_was_there = CDI.exists()
        self.cluster.label_node("enclayer.io/sim=true")
        say(self.cluster.enclayer("enable", "--platform", "sim", "--image", self.cluster.image, "--dra-epc", "50%"))
        self.cluster.wait_for_allocatable(EPC, FIRST_MIB - FIRST_DRIVER_MIB)
        self.wait_for_slice(f"{FIRST_DRIVER_MIB}Mi")

    def slices(self):
        return self.plane.read("/apis/resource.k8s.io/v1/resourceslices")["items"]

    def wait_for_slice(self, amount, seconds=60):
        def probe():
            found = [device["capacity"]["epc"]["value"] for one in self.slices() for device in one["spec"].get("devices", [])]
            check(found == [amount], f"the slices offer {found}")
            return True

        wait_for(f"a ResourceSlice with {amount}", probe, seconds, pause=0.2)

    # --- pods

    def create(self, name, amount, arguments=("pause",), **options):
        """A pod with a claim of its own."""
        request = {"name": "epc", "exactly": {"deviceClassName": "sgx-epc.enclayer.io", "capacity": {"requests": {"epc": amount}}}}
        template = {"apiVersion": "resource.k8s.io/v1", "kind": "ResourceClaimTemplate", "metadata": {"name": f"epc-{amount.lower()}"},
                    "spec": {"spec": {"devices": {"requests": [request]}}}}
        pod = pod_manifest(name, WORKLOAD_IMAGE, arguments, **options)
        pod["spec"]["resourceClaims"] = [{"name": "sgx", "resourceClaimTemplateName": template["metadata"]["name"]}]
        pod["spec"]["containers"][0]["resources"] = {"claims": [{"name": "sgx"}]}
        self.plane.apply(template, pod)

    def run(self, name, amount, arguments=("pause",), seconds=60, **options):
        begin = time.monotonic()
        self.create(name, amount, arguments, **options)
        pod = self.cluster.wait_for_pod(name, lambda pod: running(pod) or ended(pod), seconds)
        check(running(pod), self.cluster.why_not(name, "default"))
        return pod, time.monotonic() - begin

    def hello_world(self):
        # The device of a simulation is /dev/null, which everybody may open; the plugin's node has the host's mode.
        self.cluster.start_pod("old", ["open", *ENCLAVE_DEVICES], limits={EPC: 10})
        _, seconds = self.run("hello", "10Mi", ["open", *ENCLAVE_DEVICES], pod_security={"runAsNonRoot": True, "runAsUser": 65532})
        self.cluster.wait_for_pod("old", running)
        for name in ("old", "hello"):
            seen = wait_for(f"what {name} saw", lambda name=name: json.loads(self.cluster.log(name)), 30, pause=0.2)
            check([device["error"] for device in seen["devices"]] == [""] * len(ENCLAVE_DEVICES), f"{name} saw {seen['devices']}")
        say(f"{seconds:.1f} s from the claim's pod to its program with {', '.join(ENCLAVE_DEVICES)} open")
        self.cluster.remove_pods("hello")

    def see_refusal(self):
        """Somebody holds the ledger's lock for longer than the driver waits for it."""
        with (KUBELET_DIR / "plugins/sgx.enclayer.io/claims.lock").open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self.create("refused", "10Mi")
            said = wait_for("kubectl describe pod shows FailedPrepareDynamicResources", lambda: next(
                line for line in [*self.plane.kubectl("describe", "pod", "refused").splitlines(), ""] if not line or " FailedPrepareDynamicResources " in line), 60, pause=0.5)
        say(said.strip())
        check("claims.lock is locked by another process" in said, said)
        self.cluster.remove_pods("refused")  # the kubelet tries it again after more than a minute

    def update(self):
        stop, started, failed = threading.Event(), [], []

        def load():
            while not stop.is_set():
                name = f"load-{len(started)}"
                try:
                    _, seconds = self.run(name, "10Mi", seconds=90)
                    started.append(seconds)
                    self.cluster.remove_pods(name)
                except Exception as why:  # told in the main thread
                    failed.append(f"{name}: {why}")
                    return

        thread = threading.Thread(target=load)
        thread.start()
        try:
            self.run("kept", "1Gi")
            say(self.cluster.enclayer("update", "--sim-epc", f"{SECOND_GIB}Gi", "--dra-epc", f"{SECOND_DRIVER_GIB}Gi", "--dra-above", str(ABOVE)))
        finally:
            stop.set()
            thread.join()
        check(not failed and started, "\n".join(failed) or "no pod was started meanwhile")
        say(f"{len(started)} pods started meanwhile, the slowest in {max(started):.1f} s")
        check(running(self.cluster.pod("kept")) and running(self.cluster.pod("old")), "the pods from before do not run on")
        self.cluster.wait_for_allocatable(EPC, PLUGIN_MIB)
        offered = [device["capacity"]["epc"]["value"] for one in self.slices() for device in one["spec"].get("devices", [])]
        self.cluster.remove_pods("old")
        self.wait_for_slice(f"{SECOND_DRIVER_GIB}Gi")
        say(f"the slice offered {offered[0]} while the old pod held devices of the longer list, and now {SECOND_DRIVER_GIB}Gi")
        self.cluster.remove_pods("kept")

    def remove_slice(self):
        (before,) = self.slices()
        begin = time.monotonic()
        self.plane.kubectl("delete", "resourceslice", before["metadata"]["name"])
        wait_for("the slice is back", lambda: [one for one in self.slices() if one["metadata"]["uid"] != before["metadata"]["uid"]], 60, pause=0.05)
        seconds = time.monotonic() - begin
        say(f"{seconds:.1f} s")
        check(seconds < 2 or not self.cluster.judge_times, f"it took {seconds:.1f} s")

    def run_large(self):
        pod, seconds = self.run("large", "64Gi")
        size = len(json.dumps(pod["status"], separators=(",", ":")))
        check(size < 2048, f"its status has {size} bytes")
        say(f"{seconds:.1f} s; {size} bytes of status, with {len(pod['status']['containerStatuses'][0].get('allocatedResourcesStatus', []))} resource in it")

    def fill(self):
        self.run("rest", f"{(SECOND_DRIVER_GIB - 64) * 1024 - 1}Mi")
        self.run("last", "512Ki")  # is charged 1 MiB
        self.create("more", "1Mi")
        self.cluster.start_pod("by-plugin", ["pause"], limits={EPC: PLUGIN_MIB})
        self.cluster.wait_for_pod("by-plugin", running)
        self.cluster.start_pod("more-by-plugin", ["pause"], limits={EPC: 1})
        for name in ("more", "more-by-plugin"):
            pod = self.cluster.wait_for_pod(name, lambda pod: condition(pod, "PodScheduled").get("status") == "False")
            say(condition(pod, "PodScheduled")["message"])
        self.cluster.remove_pods("last", "by-plugin")
        for name in ("more", "more-by-plugin"):
            self.cluster.wait_for_pod(name, running)
        self.cluster.remove_pods("rest", "more", "more-by-plugin")

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
        self.cluster.remove_pods("after", "large")

    def templates(self):
        return {one["metadata"]["name"]: one["metadata"] for one in self.plane.read(TEMPLATES)["items"]}

    def run_old_manifest(self):
        begin = time.monotonic()
        self.cluster.start_pod("by-name", ["open", *ENCLAVE_DEVICES], limits={INTEL: "64Gi"})
        pod = self.cluster.wait_for_pod("by-name", lambda pod: running(pod) or ended(pod), 60)
        seconds = time.monotonic() - begin
        check(running(pod), self.cluster.why_not("by-name", "default"))
        (container,) = pod["spec"]["containers"]
        check(container["resources"] == {"claims": [{"name": f"epc-{container['name']}"}]}, f"its container has {container['resources']}")
        say(pod["metadata"]["annotations"]["enclayer.io/translated"])
        seen = wait_for("what it saw", lambda: json.loads(self.cluster.log("by-name")), 30, pause=0.2)
        check([device["error"] for device in seen["devices"]] == [""] * len(ENCLAVE_DEVICES), f"it saw {seen['devices']}")
        (claim,) = self.plane.read("/apis/resource.k8s.io/v1/resourceclaims", labelSelector="enclayer.io/epc-template=enclayer-epc-65536")["items"]
        (result,) = claim["status"]["allocation"]["devices"]["results"]
        check(result["consumedCapacity"] == {"epc": "64Gi"}, f"the claim was given {result}")
        size = len(json.dumps(pod["status"], separators=(",", ":")))
        check(size < 2048, f"its status has {size} bytes")
        say(f"{seconds:.1f} s, the template made meanwhile; {size} bytes of status")
        self.cluster.remove_pods("by-name")

    def scale_templates(self, replicas):
        self.plane.kubectl("scale", "deployment", "enclayer-claim-templates", "-n", "enclayer-system", f"--replicas={replicas}")
        wait_for(f"enclayer-claim-templates runs {replicas} times", lambda: len(self.plane.read(
            "/api/v1/namespaces/enclayer-system/pods", labelSelector="app.kubernetes.io/name=enclayer-claim-templates")["items"]) == replicas, 60)

    def wait_for_template(self):
        self.scale_templates(0)
        self.cluster.start_pod("waits", ["pause"], limits={EPC: 2048})
        events = wait_for("an event of the pod that waits", lambda: [one["message"] for one in self.plane.read(
            "/api/v1/namespaces/default/events", fieldSelector="involvedObject.name=waits,reason=FailedResourceClaimCreation")["items"]], 60)
        say(events[0])
        check("enclayer-epc-2048" in events[0], events[0])
        check(condition(self.cluster.pod("waits"), "PodScheduled").get("status") != "True", "the pod was scheduled")
        begin = time.monotonic()
        self.scale_templates(1)
        self.cluster.wait_for_pod("waits", running, 120)
        say(f"{time.monotonic() - begin:.1f} s from the Deployment's scale to the pod that waited Running")
        self.cluster.remove_pods("waits")
        mine = {"apiVersion": "resource.k8s.io/v1", "kind": "ResourceClaimTemplate", "metadata": {"name": "enclayer-epc-7777", "namespace": "default"},
                "spec": {"spec": {"devices": {"requests": [{"name": "epc", "exactly": {"deviceClassName": "sgx-epc.enclayer.io"}}]}}}}
        self.plane.apply(mine)

    def collect_templates(self):
        begin = time.monotonic()

        def gone():
            left = self.templates().keys() & {"enclayer-epc-65536", "enclayer-epc-2048"}
            check(not left, f"there still: {left}")
            return True

        wait_for("the templates are removed", gone, 180, pause=1)
        check("enclayer-epc-7777" in self.templates(), "a person's template is gone too")
        say(f"after {time.monotonic() - begin:.0f} s more")

    def driver_pod(self):
        pods = self.plane.read("/api/v1/namespaces/enclayer-system/pods", labelSelector=DRIVER)["items"]
        return pods[0] if len(pods) == 1 and running(pods[0]) else None

    def kill_driver(self):
        names = [f"start-{index}" for index in range(STARTS)]
        for index, name in enumerate(names):
            self.create(name, "1Gi")
            if index % (STARTS // KILLS) == STARTS // KILLS - 2:
                pod = wait_for("the driver runs", self.driver_pod, 120, pause=0.1)
                container = pod["status"]["containerStatuses"][0]["containerID"].removeprefix("containerd://")
                self.cluster.containerd.ctr("--namespace", "k8s.io", "tasks", "kill", "--signal", "SIGKILL", container)
        for name in names:
            self.cluster.wait_for_pod(name, running, 300)
        restarts = wait_for("the driver runs", self.driver_pod, 120)["status"]["containerStatuses"][0]["restartCount"]
        check(restarts >= KILLS, f"the driver was started again {restarts} times")
        check(len(self.cdi_files()) == STARTS, f"{len(self.cdi_files())} claims are prepared")
        claims = self.plane.read("/apis/resource.k8s.io/v1/resourceclaims")["items"]
        shares = [result["shareID"] for claim in claims for result in claim["status"]["allocation"]["devices"]["results"]]
        check(len(set(shares)) == len(shares) == STARTS, f"{len(shares)} shares, {len(set(shares))} different ones")
        self.cluster.remove_pods(*names)
        self.wait_for_nothing_prepared()
        say(f"{STARTS} pods, {restarts} restarts of the driver")

    def cdi_files(self):
        return [path.name for path in CDI.glob("k8s.sgx.enclayer.io-*")]

    def wait_for_nothing_prepared(self):
        def nothing():
            left = self.cdi_files() + [path.name for path in SLOTS.glob("*.epc")]
            check(not left, f"left over: {left}")
            return True

        wait_for("no claim is prepared any more", nothing, 60)

    def try_policies(self):
        request = {"name": "device", "exactly": {"deviceClassName": "sgx-provision.enclayer.io"}}
        claim = {"apiVersion": "resource.k8s.io/v1", "kind": "ResourceClaim", "metadata": {"name": "provision", "namespace": "default"},
                 "spec": {"devices": {"requests": [request]}}}
        refused = self.plane.kubectl("create", "-f", "-", stdin=json.dumps(claim), expect=1)
        check("enclayer.io/allow-provisioning=true" in refused, refused)
        self.plane.kubectl("label", "namespace", "default", "enclayer.io/allow-provisioning=true")
        self.plane.kubectl("create", "-f", "-", stdin=json.dumps(claim))
        self.plane.kubectl("delete", "resourceclaim", "provision")
        self.plane.kubectl("label", "namespace", "default", "enclayer.io/allow-provisioning-")
        pod = wait_for("the driver runs", self.driver_pod, 60)["metadata"]
        token = self.plane.kubectl("create", "token", "enclayer-dra-driver", "-n", "enclayer-system", "--bound-object-kind=Pod",
                                   f"--bound-object-name={pod['name']}", f"--bound-object-uid={pod['uid']}")
        other = {"apiVersion": "resource.k8s.io/v1", "kind": "ResourceSlice", **self.slices()[0]}
        other["metadata"] = {"name": "other-node"}
        other["spec"]["nodeName"] = "other-node"
        other["spec"]["pool"]["name"] = "other-node"
        refused = self.as_account(token, "create", "-f", "-", stdin=json.dumps(other), expect=1)
        say(refused.strip())
        check("its own node only" in refused, refused)
        token = self.plane.kubectl("create", "token", "enclayer-claim-templates", "-n", "enclayer-system")
        for name, epc_class, amount in (("enclayer-epc-10", "sgx-epc.enclayer.io", "10Mi"), ("enclayer-epc-11", "sgx-epc.enclayer.io", "12Mi"),
                                        ("enclayer-epc-12", "sgx-provision.enclayer.io", "12Mi"), ("mine", "sgx-epc.enclayer.io", "10Mi")):
            template = {"apiVersion": "resource.k8s.io/v1", "kind": "ResourceClaimTemplate", "metadata": {
                "name": name, "namespace": "default", "labels": {"app.kubernetes.io/component": "claim-templates", "app.kubernetes.io/managed-by": "enclayer"}},
                "spec": {"spec": {"devices": {"requests": [{"name": "epc", "exactly": {"deviceClassName": epc_class, "capacity": {"requests": {"epc": amount}}}}]}}}}
            asked = self.as_account(token, "create", "-f", "-", stdin=json.dumps(template), expect=0 if name == "enclayer-epc-10" else 1)
            if name != "enclayer-epc-10":
                check("enclayer-claim-templates may make" in asked or "allow-provisioning" in asked, asked)
        refused = self.as_account(token, "delete", "resourceclaimtemplate", "-n", "default", "enclayer-epc-7777", expect=1)
        say(refused.strip())
        check("of its own name and label only" in refused, refused)

    def as_account(self, token, *arguments, **options):
        return self.plane.kubectl("--kubeconfig=/dev/null", f"--server={self.plane.server}", f"--token={token.strip()}",
                                  f"--certificate-authority={self.plane.authority.certificate('ca')}", *arguments, **options)

    def show(self):
        self.run("shown", "1Gi")
        say(self.cluster.enclayer("show"))
        told = json.loads(self.cluster.enclayer("show", "--output", "json"))
        (node,) = told["nodes"]
        check(node["dra_epc_mib"] == {"total": SECOND_DRIVER_GIB * 1024, "claimed": 1024}, f"the node has {node['dra_epc_mib']}")
        check(node["epc_mib"]["allocatable"] == PLUGIN_MIB and node["dra_driver"] == "ready", f"the node is {node}")
        (claim,) = told["claims"]
        check((claim["pods"], claim["node"], claim["epc_mib"]) == (["shown"], NODE, 1024), f"the claim is {claim}")
        (node,) = json.loads(self.cluster.enclayer("top", "--output", "json"))["nodes"]
        claimed = {pod["name"]: pod["claimed_mib"] for pod in node["pods"] if pod["claimed_mib"]}
        check(node["claimed_mib"] == 1024 and claimed == {"shown": 1024}, f"top says {node}")
        check(not told["warnings"], f"warnings: {told['warnings']}")

    def refuse(self):
        for arguments in (["update", "--dra-epc", "0", "--dra-above", "0"], ["disable"]):
            refused = self.cluster.enclayer(*arguments, expect=5)
            say(refused.strip())
            check("1 claim holds EPC by the DRA driver" in refused and "shown" in refused, refused)
        self.cluster.remove_pods("shown")
        self.wait_for_nothing_prepared()

    def disable(self):
        self.plane.kubectl("delete", "resourceclaimtemplates", "--all")
        self.cluster.disable("deployments,deviceclasses,resourceclaimtemplates")
        wait_for("the kubelet removes the slices of a driver that is gone", lambda: not self.slices(), 90, pause=1)
        if not self.cdi_was_there:
            CDI.rmdir()
