"""One node with our daemons on it, and the questions that the scenario asks of it."""

import json
import os
import stat
import time
from pathlib import Path

from . import image
from .isolation import CGROUP, cgroup_hierarchy
from .node import PAUSE_IMAGE, Containerd, Kubelet, full_name, pod_manifest, why_not_running
from .process import Daemon, output, wait_for
from .steps import Failure, check, say

EPC = "kubernetes.azure.com/sgx_epc_mem_in_MiB"
QUOTE = "enclayer.io/quote"
QUOTE_LIMIT = 110
HELPER_USER = 64213
HELPER_CPU_MILLIS = 100  # as deploy/manifests/quote-helper asks for

WORKLOAD_IMAGE = "localhost/enclayer-e2e/workload:1"
ENCLAVE_DEVICES = ["/dev/sgx_enclave", "/dev/sgx/enclave"]
# The numbers of /dev/fuse: a device that no container may open by itself, and whose driver lets itself be opened.
STAND_IN = os.makedev(10, 229)
STAND_IN_KIND = "c 10:229"
SGX_GROUP = 64229  # of the stand-in, as distributions give the real device to a group `sgx`


def as_pod_of_the_addon():
    """The share of the processors that the helper's pod asks for, beside those of all other pods."""
    folder = cgroup_hierarchy("cpu") / CGROUP / "kubepods" / "enclayer-quote-helper"
    folder.mkdir(exist_ok=True)
    (folder / "cpu.shares").write_text(str(HELPER_CPU_MILLIS * 1024 // 1000))
    (folder / "cgroup.procs").write_text("0")


class Testbed:
    """`paths` names what was built: product and programs (folders), kubelet, aesm_client, verifiers (folder)."""

    def __init__(self, work, logs, paths):
        self.work = work
        self.paths = paths
        self.containerd = Containerd(work, logs)
        self.kubelet = Kubelet(paths["kubernetes"] / "kubelet", self.program("podresources"), self.containerd, work, logs)
        self.plugin = Daemon("enclayer-device-plugin", logs / "enclayer-device-plugin.log")
        self.helper = Daemon("enclayer-quote-helper", logs / "enclayer-quote-helper.log")
        self.helper_state = work / "helper-state"
        self.aesm_folder = work / "aesmd"
        self.aesm_socket = self.aesm_folder / "aesm.socket"
        self.slots_dir = work / "quotes"
        self.device = work / "stand-in-sgx"
        self.epc_mib = None  # that the plugin was started with

    def product(self, name):
        return self.paths["product"] / name

    def program(self, name):
        return self.paths["programs"] / name

    # --- starting and ending

    def start_containerd(self):
        pause, workload = self.work / "pause.tar", self.work / "workload.tar"
        program = self.program("workload")
        image.write(pause, PAUSE_IMAGE, {"/workload": program}, ["/workload", "pause"])
        files = {"/workload": program, "/enclayer": self.product("enclayer"), **image.with_libraries(self.product("enclayer"))}
        image.write(workload, WORKLOAD_IMAGE, files, ["/workload"])
        self.containerd.start()
        self.containerd.load(pause)
        self.containerd.load(workload)
        say(f"workload image: enclayer and {len(files) - 2} shared libraries, {workload.stat().st_size >> 20} MiB")

    def start_kubelet(self):
        self.kubelet.start()
        wait_for("the kubelet answers on its pod-resources socket", self.resources, 60)

    def start_helper(self):
        self.helper.start(
            [self.product("enclayer-quote-helper"), "--platform", "sim", "--socket", self.aesm_socket, "--slots-dir", self.slots_dir,
             "--state-dir", self.helper_state, "--user", HELPER_USER, "--log-format", "json"],
            preexec_fn=as_pod_of_the_addon,
        )
        wait_for("the AESM socket is there", self.aesm_socket.is_socket, 30)

    def update_helper(self):
        """A second instance, and the first one ends by itself when that one has taken the sockets over."""
        old = self.helper
        self.helper = Daemon(old.name, old.log)
        self.start_helper()
        check(old.end(30) == 0, f"{old.name}: its exit code is not 0 after it was succeeded")

    def start_plugin(self, epc_mib):
        self.epc_mib = epc_mib
        self.plugin.start(
            [self.product("enclayer-device-plugin"), "--platform", "sim", "--sim-epc", f"{epc_mib}Mi", "--sim-device", self.device,
             "--kubelet-dir", "/var/lib/kubelet", "--quote-limit", QUOTE_LIMIT, "--slots-dir", self.slots_dir,
             "--log-format", "json"]
        )

    def start_plugin_again(self):
        self.start_plugin(self.epc_mib)

    def stop_daemon(self, daemon):
        code = daemon.stop()
        check(code == 0, f"{daemon.name}: exit code {code}")
        lines = daemon.log.read_text().splitlines()
        for line in lines:
            json.loads(line)
        say(f"{daemon.name}: exit code 0, {len(lines)} log lines so far, each of them JSON")

    def remove_pods(self):
        for manifest in self.kubelet.manifests.glob("*.json"):
            manifest.unlink()
        wait_for("all pods are gone", lambda: not self.kubelet.pods() and not self.resources()["pods"], 60)

    def forget_devices(self):
        """Restarts the kubelet as one that has never seen a device plugin. No pod and no plugin is running."""
        self.kubelet.daemon.stop()
        self.kubelet.checkpoint.unlink()
        self.start_kubelet()

    # --- pods

    def run_workload(self, name, arguments, **options):
        """Starts a pod of the workload image and gives what it reports, and the seconds from its manifest to its report."""
        started = time.time()
        self.kubelet.run_pod(self.workload_pod(name, arguments, **options))
        try:
            when, report = wait_for(f"pod {name} reports what it saw", lambda: self.kubelet.log_of(name), 60)[0]
        except Failure as why:
            raise Failure(f"{why}\n  {why_not_running(self.kubelet.pod(name))}") from None
        return json.loads(report), when - started

    def workload_pod(self, name, arguments, **options):
        return pod_manifest(name, WORKLOAD_IMAGE, arguments, **options)

    def run_enclave(self, name, mib):
        """A pod with `mib` of EPC that opens its devices and keeps running. Gives the ids that it holds, and the seconds."""
        seen, seconds = self.run_workload(name, ["open", *ENCLAVE_DEVICES], limits={EPC: mib})
        check_devices(seen)
        return self.ids_of(name, mib), seconds

    def wait_for_pod(self, name, good, seconds=60):
        """Until `good(pod)`; a pod that ended without being good is not waited for."""
        last = None

        def probe():
            nonlocal last
            last = self.kubelet.pod(name)
            return last and (good(last) or ended(last))

        try:
            wait_for(f"pod {name}", probe, seconds)
            check(good(last), f"pod {name} ended")
        except Failure as why:
            raise Failure(f"{why}\n  {why_not_running(last)}") from None
        return last

    def container(self, name):
        """The id of the pod's running container; None while the kubelet does not report it as running."""
        pod = self.kubelet.pod(name)
        if not pod or pod["status"]["phase"] != "Running" or not pod["status"].get("containerStatuses"):
            return None
        return pod["status"]["containerStatuses"][0]["containerID"]

    def restart_container(self, name):
        """Ends its processes, so that the kubelet starts it again; for pods that are to be restarted."""
        before = wait_for(f"the kubelet reports {name} as running", lambda: self.container(name), 60)
        self.containerd.ctr("--namespace", "k8s.io", "tasks", "kill", "--signal", "SIGKILL", before.removeprefix("containerd://"))
        wait_for(f"{name} has another container", lambda: self.container(name) not in (None, before), 60)

    def come_first(self, name):
        """Its processes get a processor whenever they want one. Beneath a cgroup of the kubelet's, none may have that."""
        tasks = self.containerd.ctr("--namespace", "k8s.io", "tasks", "list").splitlines()
        container = self.container(name).removeprefix("containerd://")
        pid = next(line.split()[1] for line in tasks if line.startswith(container))
        (cgroup_hierarchy("cpu") / "cgroup.procs").write_text(pid)
        for thread in Path(f"/proc/{pid}/task").iterdir():
            os.sched_setscheduler(int(thread.name), os.SCHED_RR, os.sched_param(1))

    # --- slots of the quote helper

    def holders(self):
        """What the plugin says of the slots: slot -> generation, and who holds it."""
        return json.loads((self.slots_dir / "holders.json").read_text())["slots"]

    def slot_of(self, name):
        """The slot that is said to be the pod's, once it is, and what is said of it."""

        def held():
            return [(slot, holder) for slot, holder in self.holders().items() if holder.get("pod") == full_name(name)]

        found = wait_for(f"holders.json names {full_name(name)}", held, 30)
        check(len(found) == 1, f"{full_name(name)} is said to hold more than one slot: {found}")
        return found[0]

    # --- devices

    def resources(self):
        """The pod-resources API: `allocatable` per resource, `pods` with the ids that each holds. Whoever asks also makes sure
        that nothing is given twice."""
        seen = self.kubelet.resources()
        owners = {}
        for pod, held in seen["pods"].items():
            for resource, ids in held.items():
                for device in ids:
                    owner = owners.setdefault((resource, device), pod)
                    check(owner == pod, f"{resource} {device} is allocated to {owner} and to {pod}")
                check(len(ids) == len(set(ids)), f"{pod} holds a device of {resource} twice")
        return seen

    def allocatable(self, resource):
        return self.resources()["allocatable"].get(resource, 0)

    def wait_for_devices(self, resource, count, seconds=60):
        def probe():
            found = self.allocatable(resource)
            check(found == count, f"{found} allocatable")
            return True

        wait_for(f"{count} allocatable {resource}", probe, seconds)

    def ids_of(self, name, count):
        ids = self.resources()["pods"][full_name(name)].get(EPC, [])
        check(len(ids) == count, f"pod {name} holds {len(ids)} devices of {EPC}, expected {count}")
        return sorted(ids)


def make_node(path):
    """A stand-in, with the mode and the kind of group that udev gives the real device."""
    os.mknod(path, stat.S_IFCHR, STAND_IN)
    os.chown(path, 0, SGX_GROUP)
    path.chmod(0o660)


def check_opens(path):
    """On the host it opens: what refuses it in a pod is the pod's device cgroup, not the driver."""
    try:
        os.close(os.open(path, os.O_RDWR))
    except OSError as why:
        raise Failure(f"the stand-in device {STAND_IN_KIND} does not open on this machine: {why}") from None


def check_devices(seen):
    expected = [{"path": path, "kind": STAND_IN_KIND, "error": ""} for path in ENCLAVE_DEVICES]
    check(seen["devices"] == expected, f"expected {expected}, the pod saw {seen['devices']}")


def ended(pod):
    return pod["status"]["phase"] in ("Failed", "Succeeded")
