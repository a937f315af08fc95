"""A cluster with one real node, and what the suites ask of it."""

import json
import os
import time

from . import image
from .builds import E2E
from .clusternode import ClusterContainerd, ClusterKubelet, addresses
from .controlplane import ControlPlane
from .node import NODE, PAUSE_IMAGE, pod_manifest
from .process import output, wait_for
from .steps import Failure, check, say
from .testbed import EPC, WORKLOAD_IMAGE, ended

PROGRAMS = ["enclayer", "enclayer-attest", "enclayer-device-plugin", "enclayer-dra-driver", "enclayer-quote-helper", "enclayer-detect", "enclayer-claim-templates"]  # in the add-on's image, if there
TOOLS = E2E.parent.parent / "tools"
API_PORT = 443  # what pods find in KUBERNETES_SERVICE_PORT
OURS = "app.kubernetes.io/part-of=enclayer"
KINDS = ("namespaces,priorityclasses,clusterroles,clusterrolebindings,mutatingadmissionpolicies,mutatingadmissionpolicybindings,"
         "validatingadmissionpolicies,validatingadmissionpolicybindings")  # of the add-on, wherever it is on


class Cluster:
    """`paths` names what was built: product and programs (folders), kubernetes, etcd, containerd and clients (folders). `judge_times`:
    goals for times have to be met, on a machine that has no other work."""

    def __init__(self, work, logs, paths, judge_times=False):
        self.work = work
        self.logs = logs
        self.judge_times = judge_times
        self.paths = paths
        self.programs = gathered(work / "bin", [paths[name] for name in ("kubernetes", "etcd", "containerd", "clients")])
        self.image = f"localhost/enclayer:{self.version()}"
        self.plane = ControlPlane(self.programs, work, logs, bind="0.0.0.0", port=API_PORT)
        self.containerd = ClusterContainerd(work, logs, self.programs)
        self.kubelet = ClusterKubelet(self.plane, paths["programs"] / "podresources", self.containerd, work, logs)

    def product(self, name):
        return self.paths["product"] / name

    def version(self):
        return output([self.product("enclayer"), "--version"]).split()[-1]

    def environment(self):
        """For the product's own commands: kubectl on the PATH, as a user has it."""
        return {
            "PATH": f"{self.programs}:{os.environ['PATH']}", "KUBECONFIG": str(self.plane.kubeconfig), "HOME": str(self.work),
            "LC_ALL": "C.UTF-8",
        }

    def enclayer(self, *arguments, expect=0, timeout=300):
        """stdout of the CLI."""
        return output([self.product("enclayer"), *arguments], expect=expect, env=self.environment(), timeout=timeout)

    def disable(self, kinds):
        """`enclayer disable` on the simulated node: nothing of ours is left, of what every add-on has and of these `kinds`."""
        say(self.enclayer("disable"))
        left = self.plane.kubectl("get", f"{KINDS},{kinds}", "-A", "-l", OURS, "-o", "name")
        check(not left, f"these are left: {left}")
        self.wait_for_allocatable(EPC, 0)
        self.label_node("enclayer.io/sim-")

    def helm(self, *arguments, **options):
        return output([self.programs / "helm", *arguments], env=self.environment(), **options)

    # --- starting

    def start_plane(self):
        addresses()
        self.plane.start()
        self.plane.start_controllers()
        self.plane.start_scheduler()
        say(self.plane.kubectl("version").splitlines()[-1])

    def start_node(self):
        self.containerd.start()
        say(output([self.programs / "containerd", "--version"]))
        self.load_image(PAUSE_IMAGE, {"/workload": self.paths["programs"] / "workload"}, ["/workload", "pause"])
        self.kubelet.start()
        self.wait_for_node()

    def load_images(self):
        """The add-on's, as `make image` makes it, and that of the pods' program, which has enclayer beside it to ask for quotes."""
        say(output([TOOLS / "image", "enclayer", "--build", self.paths["product"].parent, "--out", self.work, "--allow-older"]).strip())
        tar = self.work / f"enclayer-{self.version()}.oci.tar"
        self.containerd.load(tar)
        tar.unlink()
        self.load_image(WORKLOAD_IMAGE, self.workload_files(), ["/workload"])

    def workload_files(self):
        enclayer = self.product("enclayer")
        return {"/workload": self.paths["programs"] / "workload", "/enclayer": enclayer, **image.with_libraries(enclayer)}

    def image_files(self):
        """What is in the add-on's image."""
        programs = [program for name in PROGRAMS if (program := self.product(name)).exists()]
        files = {f"/usr/bin/{program.name}": program for program in programs}
        for program in programs:
            files |= image.with_libraries(program)
        return files

    def load_image(self, name, files, entrypoint):
        tar = self.work / "image.tar"
        image.write(tar, name, files, entrypoint)
        self.containerd.load(tar)
        say(f"image {name}: {tar.stat().st_size / 2**20:.1f} MiB")
        tar.unlink()

    # --- nodes

    def node(self, name=NODE):
        return self.plane.read(f"/api/v1/nodes/{name}")

    def wait_for_node(self, seconds=120):
        def ready():
            conditions = {condition["type"]: condition for condition in self.node()["status"]["conditions"]}
            check(conditions["Ready"]["status"] == "True", conditions["Ready"]["message"])
            return True

        wait_for("the node is Ready", ready, seconds, pause=0.2)

    def wait_for_allocatable(self, resource, count, seconds=60):
        def probe():
            found = int(self.node()["status"]["allocatable"].get(resource, 0))
            check(found == count, f"{found} allocatable")
            return True

        wait_for(f"{count} allocatable {resource} in the node's status", probe, seconds, pause=0.2)

    def label_node(self, *labels):
        self.plane.kubectl("label", "node", NODE, "--overwrite", *labels)

    # --- pods

    def pod(self, name, namespace="default"):
        """None when there is none."""
        found = self.plane.read(f"/api/v1/namespaces/{namespace}/pods", fieldSelector=f"metadata.name={name}")["items"]
        return found[0] if found else None

    def wait_for_pod(self, name, good, seconds=60, namespace="default"):
        last = None

        def probe():
            nonlocal last
            last = self.pod(name, namespace)
            return last and good(last)

        try:
            wait_for(f"pod {namespace}/{name}", probe, seconds, pause=0.1)
        except Failure as why:
            raise Failure(f"{why}\n  {self.why_not(name, namespace)}") from None
        return last

    def why_not(self, name, namespace):
        """Its phase, conditions and events, for a person."""
        pod = self.pod(name, namespace)
        if pod is None:
            return "there is no such pod"
        events = self.plane.get("events", "--namespace", namespace, "--field-selector", f"involvedObject.name={name}")["items"]
        lines = [json.dumps(pod["status"])[:3000], *(f"{event['reason']}: {event['message']}" for event in events)]
        return "\n  ".join(lines)

    def start_pod(self, name, arguments, namespace="default", expect=0, **options):
        """What kubectl says; of a refusal with `expect` 1."""
        manifest = pod_manifest(name, WORKLOAD_IMAGE, arguments, **options)
        manifest["metadata"]["namespace"] = namespace
        return self.plane.kubectl("create", "-f", "-", stdin=json.dumps(manifest), expect=expect)

    def run_workload(self, name, arguments, namespace="default", seconds=90, **options):
        """Starts a pod of the workload image and gives what it reports, and the seconds from its creation to that."""
        begin = time.monotonic()
        self.start_pod(name, arguments, namespace, **options)
        self.wait_for_pod(name, running, seconds, namespace)
        report = wait_for(
            f"pod {name} reports what it saw", lambda: json.loads(self.log(name, namespace)), 30, pause=0.2
        )
        return report, time.monotonic() - begin

    def log(self, name, namespace="default", container=None):
        """By way of the kubelet, as `kubectl logs` has it."""
        return self.plane.raw(f"/api/v1/namespaces/{namespace}/pods/{name}/log", **({"container": container} if container else {}))

    def remove_pods(self, *names, namespace="default"):
        self.plane.kubectl("delete", "pod", "--namespace", namespace, "--wait", "--grace-period=1", *names, timeout=120)

    def wait_for_daemon_set(self, name, namespace, seconds=120):
        def probe():
            status = self.plane.read(f"/apis/apps/v1/namespaces/{namespace}/daemonsets/{name}")
            wanted, ready = status["status"].get("desiredNumberScheduled", 0), status["status"].get("numberReady", 0)
            seen = status["status"].get("observedGeneration") == status["metadata"]["generation"]
            check(seen and wanted > 0 and ready == wanted == status["status"].get("updatedNumberScheduled"), f"{ready} of {wanted} ready")
            return True

        try:
            wait_for(f"DaemonSet {namespace}/{name}", probe, seconds, pause=0.2)
        except Failure as why:
            pods = self.plane.kubectl("describe", "pods", "--namespace", namespace)
            raise Failure(f"{why}\n{pods[-3000:]}") from None

    def sizes(self, pod):
        """Of a pod: `status_json`, `pod_protobuf` (what etcd keeps), `devices` named in its status."""
        return json.loads(output([self.paths["programs"] / "podsize"], stdin=json.dumps(pod)))

    def call_api(self, name, path, post=None, **options):
        """What the API server answers to a pod, asked at the service address with the pod's own token."""
        self.start_pod(name, ["api", path, *([json.dumps(post)] if post else [])], **options)
        self.wait_for_pod(name, ended)
        answer = self.log(name)
        self.remove_pods(name)
        return answer

    def forget_devices(self):
        """The kubelet as one that has never seen a device plugin; so is its node."""
        self.kubelet.daemon.stop()
        self.kubelet.checkpoint.unlink(missing_ok=True)
        # A kubelet without its checkpoint would take the capacity that is still told for somebody else's, and offer it.
        ours = [name for name in self.node()["status"]["capacity"] if "/" in name and not name.startswith("hugepages-")]
        patch = [{"op": "remove", "path": f"/status/{list_}/{name.replace('/', '~1')}"} for name in ours for list_ in ("capacity", "allocatable")]
        self.plane.kubectl("patch", "node", NODE, "--subresource=status", "--type=json", "-p", json.dumps(patch))
        self.kubelet.start()
        self.wait_for_node()


def gathered(folder, places):
    """One folder with all programs, as a PATH has them."""
    folder.mkdir()
    for place in places:
        for program in place.iterdir():
            (folder / program.name).symlink_to(program)
    return folder


def running(pod):
    return pod["status"]["phase"] == "Running" and all(status["ready"] for status in pod["status"].get("containerStatuses", [{"ready": False}]))


def condition(pod, kind):
    return next((one for one in pod["status"].get("conditions", []) if one["type"] == kind), {})


def epc_of(node):
    return int(node["status"]["allocatable"].get(EPC, 0))
