"""What happens on the cluster, suite by suite, each of numbered steps. A suite leaves the cluster as it found it: one real node,
ready, with nothing of ours on it."""

from policies.suite import Suite as Policies

from .addon import Addon, Helm, Rendered
from .attested import AttestedSecret
from .autoscaling import Autoscaling
from .basics import Basics
from .builds import KUBERNETES_VERSION, NEXT_KUBERNETES_VERSION
from .chart import Chart
from .claimscost import ClaimsCost
from .cluster import Cluster, gathered
from .controlplane import ControlPlane
from .demo import Demo
from .dra import Dra
from .faults import Faults
from .images import Images
from .metricspolicy import MetricsPolicy
from .process import Daemon
from .release import Release
from .scale import AddonAtScale, ClaimsAtScale, Scale
from .steps import Failure


def policies(cluster, plane=None):
    return Policies((plane or cluster.plane).kubeconfig, cluster.product("enclayer"), cluster.programs / "kubectl", not cluster.judge_times)


class NextPolicies:
    """The same policies on the API server of a newer Kubernetes, which has no more of a cluster than that."""

    def __init__(self, cluster):
        self.cluster = cluster

    def listed(self):
        yield f"etcd and kube-apiserver {NEXT_KUBERNETES_VERSION}, beside the cluster", self.start
        yield from policies(self.cluster, self.plane).listed()
        yield "they are stopped", self.stop

    def start(self):
        work, logs = self.cluster.work / "next", self.cluster.logs / "next"
        for folder in (work, logs):
            folder.mkdir()
        programs = gathered(work / "bin", [self.cluster.paths[name] for name in ("next-kubernetes", "etcd")])
        self.plane = ControlPlane(programs, work, logs)
        self.plane.start()

    def stop(self):
        self.plane.apiserver.stop()
        self.plane.etcd.stop()


NEXT_SUITE = "policies-next"  # the only one that needs the newer API server
METRICS_POLICY_SUITE = "metrics-policy"  # the only one that needs kube-router
AUTOSCALING_SUITE = "autoscaling"  # the only one that needs Prometheus and its adapter
SUITES = {
    "basics": Basics, "images": Images, "policies": policies, NEXT_SUITE: NextPolicies, "chart": Chart, "helm": Helm, "rendered": Rendered,
    "addon": Addon, "scale": Scale, "addon-at-scale": AddonAtScale, "attestation": AttestedSecret, "dra": Dra, "claims-at-scale": ClaimsAtScale, "claims-cost": ClaimsCost,
    "faults": Faults, METRICS_POLICY_SUITE: MetricsPolicy, AUTOSCALING_SUITE: Autoscaling, "release": Release, "demo": Demo,
}
BY_DEFAULT = ["basics", "images", "policies", NEXT_SUITE, "chart", "helm", "rendered", "addon", "attestation", "dra", "addon-at-scale"]  # scale is in the last of them
ELSEWHERE = ["basics", "policies"]  # on another version


def suites_of(what, wanted, version):
    """The names of those that are run: `wanted`, or what goes without saying."""
    unknown = [name for name in wanted if name not in SUITES]
    if unknown:
        raise Failure(f"no such suite: {', '.join(unknown)}; there are {', '.join(SUITES)}")
    return ["demo"] if what == "demo" else wanted or (BY_DEFAULT if version == KUBERNETES_VERSION else ELSEWHERE)


class ClusterScenario:
    def __init__(self, steps, work, logs, paths, judge_times):
        self.steps = steps
        self.cluster = Cluster(work, logs, paths, judge_times)

    def run(self, names):
        try:
            for title, act in self.start():
                self.step(title, act)
            for name in names:
                for title, act in SUITES[name](self.cluster).listed():
                    self.step(f"{name}: {title}", act)
        except BaseException:
            for daemon in Daemon.running:
                print(daemon.tail(10), flush=True)
            raise

    def step(self, title, act):
        with self.steps.step(title):
            act()

    def start(self):
        return [
            ("etcd, kube-apiserver, kube-controller-manager and kube-scheduler", self.cluster.start_plane),
            ("a node: containerd and a kubelet that registers itself", self.cluster.start_node),
            ("the images", self.cluster.load_images),
        ]
