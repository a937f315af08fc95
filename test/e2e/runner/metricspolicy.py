"""The add-on's NetworkPolicy where somebody enforces it: the real kube-router, with the kernel's iptables. Its pods stay ready, since the kubelet's probes come
from their own node; pods of the namespace that --metrics-from names can scrape, and nobody else can connect."""

import time
from pathlib import Path

from .cluster import running
from .helperpod import NAMESPACE
from .node import NODE
from .process import Daemon, output, wait_for
from .steps import Failure, check, say

ALLOWED, OTHER = "monitoring", "default"
STEADY_SECONDS = 15  # in which each pod is probed several times
BRIDGED = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")  # of this network namespace: pods of one bridge pass iptables too


class MetricsPolicy:
    def __init__(self, cluster):
        self.cluster = cluster
        self.plane = cluster.plane
        self.router = Daemon("kube-router", cluster.logs / "kube-router.log")

    def listed(self):
        return [
            ("without a policy everybody can scrape", self.enable),
            ("kube-router enforces it: our pods stay ready", self.enforce),
            (f"pods of namespace {ALLOWED} can scrape every daemon, pods of {OTHER} none", self.scrape),
            ("the same after our pods have started anew", self.start_anew),
            ("enclayer disable", self.disable),
        ]

    def enable(self):
        self.cluster.label_node("enclayer.io/sim=true")
        say(self.cluster.enclayer("enable", "--platform", "sim", "--image", self.cluster.image, "--enable-sgxquotehelper", "--metrics-from", f"kubernetes.io/metadata.name={ALLOWED}"))
        self.plane.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": ALLOWED}})
        wait_for("the namespace's account", lambda: self.plane.read(f"/api/v1/namespaces/{ALLOWED}/serviceaccounts/default"), 30, pause=0.2)
        for namespace in (ALLOWED, OTHER):
            self.cluster.start_pod("scraper", ["pause"], namespace)
            self.cluster.wait_for_pod("scraper", running, 60, namespace)
        check(all(self.can_scrape(OTHER).values()), "nobody enforces anything yet, and still they cannot be scraped")

    def enforce(self):
        BRIDGED.write_text("1")
        self.router.start([self.cluster.paths["router"] / "kube-router", "--kubeconfig", self.plane.kubeconfig, "--hostname-override", NODE, "--run-router=false",
                           "--run-service-proxy=false", "--run-firewall=true", "--health-port", "0", "--iptables-sync-period", "5s"])
        wait_for("it has written rules for the policy", lambda: "KUBE-NWPLCY" in output(["iptables-save"]), 60, pause=0.5)
        self.stay_ready()

    def stay_ready(self):
        deadline = time.monotonic() + STEADY_SECONDS
        while time.monotonic() < deadline:
            pods = self.pods()
            check(pods and all(is_ready(pod) for pod in pods), f"not ready: {[pod['metadata']['name'] for pod in pods if not is_ready(pod)]}")
            time.sleep(0.5)
        restarts = sum(status["restartCount"] for pod in self.pods() for status in pod["status"]["containerStatuses"])
        check(restarts == 0, f"{restarts} restarts")
        say(f"{len(self.pods())} pods, ready for {STEADY_SECONDS} s, none was restarted")

    def scrape(self):
        seen = {namespace: self.can_scrape(namespace) for namespace in (ALLOWED, OTHER)}
        check(all(seen[ALLOWED].values()), f"from {ALLOWED}: {seen[ALLOWED]}")
        check(not any(seen[OTHER].values()), f"from {OTHER}: {seen[OTHER]}")
        say(f"{', '.join(seen[ALLOWED])}: from {ALLOWED} yes, from {OTHER} no")

    def start_anew(self):
        for name in ("enclayer-device-plugin", "enclayer-quote-helper"):  # the plugin first: the helper's pod asks for EPC
            self.plane.kubectl("rollout", "restart", f"daemonset/{name}", "-n", NAMESPACE)
            self.cluster.wait_for_daemon_set(name, NAMESPACE)
        wait_for("there are rules for the new pods", lambda: all(f"{pod['status']['podIP']}/32" in output(["iptables-save"]) for pod in self.pods()), 60, pause=0.5)
        self.stay_ready()
        self.scrape()

    def pods(self):
        return [pod for pod in self.plane.read(f"/api/v1/namespaces/{NAMESPACE}/pods")["items"] if "deletionTimestamp" not in pod["metadata"]]

    def can_scrape(self, namespace):
        """Each metrics port of ours, and whether a connection from the network of that namespace's pod gets the page."""
        tasks = self.cluster.containerd.ctr("--namespace", "k8s.io", "tasks", "list").splitlines()
        container = self.cluster.pod("scraper", namespace)["status"]["containerStatuses"][0]["containerID"].removeprefix("containerd://")
        pid = next(line.split()[1] for line in tasks if line.startswith(container))
        found = {}
        for pod in self.pods():
            for each in pod["spec"]["containers"]:
                for port in each.get("ports", []):
                    address = f"[{pod['status']['podIP']}]:{port['containerPort']}".replace("[", "").replace("]", "")
                    try:
                        output(["nsenter", "-t", pid, "-n", self.cluster.product("enclayer-device-plugin"), "--metrics-listen", address, "--probe=/metrics"])
                        found[f"{each['name']} {address}"] = True
                    except Failure:
                        found[f"{each['name']} {address}"] = False
        check(found, "no pod of ours serves metrics")
        return found

    def disable(self):
        for namespace in (ALLOWED, OTHER):
            self.cluster.remove_pods("scraper", namespace=namespace)
        self.plane.kubectl("delete", "namespace", ALLOWED, "--wait", timeout=120)
        self.router.stop()
        for command in (["iptables", "-F"], ["iptables", "-X"], ["ipset", "destroy"]):  # of this network namespace, where nothing else has rules
            output(command)
        BRIDGED.write_text("0")
        self.cluster.disable("networkpolicies")


def is_ready(pod):
    return any(one["type"] == "Ready" and one["status"] == "True" for one in pod["status"].get("conditions", []))
