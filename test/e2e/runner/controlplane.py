"""A Kubernetes control plane in plain processes: etcd, kube-apiserver, and on demand kube-controller-manager, kube-scheduler and
kwok, which plays any number of nodes."""

import json
import os
import ssl
import urllib.parse
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property

from .builds import E2E
from .certificates import Authority
from .node import free_port
from .process import Daemon, output, wait_for
from .steps import Failure

SERVICE_NETWORK = "10.96.0.0/16"
SERVICE_ADDRESS = "10.96.0.1"  # what pods find in KUBERNETES_SERVICE_HOST
STAGES = E2E / "clients/stages.yaml"
FAKE = "kwok.x-k8s.io/node"  # the annotation of nodes that kwok plays


class ControlPlane:
    """`programs` is the folder of kube, etcd and kwok. The API server listens on `bind`:`port`; without a port it takes one that is
    free. Clients of this machine reach it at 127.0.0.1."""

    def __init__(self, programs, work, logs, *, bind="127.0.0.1", port=None, apiserver_arguments=()):
        self.programs = programs
        self.folder = work / "control-plane"
        self.bind = bind
        self.port = port
        self.apiserver_arguments = apiserver_arguments
        self.etcd = Daemon("etcd", logs / "etcd.log")
        self.apiserver = Daemon("kube-apiserver", logs / "kube-apiserver.log")
        self.controllers = Daemon("kube-controller-manager", logs / "kube-controller-manager.log")
        self.scheduler = Daemon("kube-scheduler", logs / "kube-scheduler.log")
        self.kwok = Daemon("kwok", logs / "kwok.log")
        self.metrics = Daemon("metrics-server", logs / "metrics-server.log")

    @property
    def server(self):
        return f"https://127.0.0.1:{self.port}"

    # --- starting

    def start(self):
        """etcd and the API server, until it says that it is ready."""
        self.folder.mkdir()
        self.authority = Authority(self.folder / "certificates")
        self.authority.issue(
            "apiserver", "kube-apiserver",
            addresses=["IP:127.0.0.1", f"IP:{SERVICE_ADDRESS}", "DNS:localhost", "DNS:kubernetes", "DNS:kubernetes.default",
                       "DNS:kubernetes.default.svc", "DNS:kubernetes.default.svc.cluster.local"],
        )
        self.authority.issue("apiserver-to-kubelet", "kube-apiserver-kubelet-client", "system:masters")
        self.authority.issue("aggregator", "aggregator")
        self.authority.issue("admin", "admin", "system:masters")
        self.authority.issue("controllers", "system:kube-controller-manager")
        self.authority.issue("scheduler", "system:kube-scheduler")
        self.start_etcd()
        self.start_apiserver()

    def start_etcd(self):
        # On sockets in its folder: no port that somebody else could take. What it advertises must be an address all the same;
        # with one member nobody ever dials it.
        self.etcd_url = f"unix://{self.folder}/etcd.sock"
        nowhere = "http://localhost:1"
        self.etcd.start(
            [self.programs / "etcd", "--data-dir", self.folder / "etcd", "--listen-client-urls", self.etcd_url, "--advertise-client-urls",
             nowhere, "--listen-peer-urls", f"unix://{self.folder}/etcd-peers.sock", "--initial-advertise-peer-urls", nowhere,
             "--initial-cluster", f"default={nowhere}", "--unsafe-no-fsync", "--log-level", "warn"],
            cwd=self.folder,
        )

    def start_apiserver(self):
        """Also after it was stopped. A port that the kernel found free may be taken a moment later: then another one is tried."""
        picked = self.port is None
        for attempt in range(5):
            if picked and attempt < 4 and (attempt or self.port is None):
                self.port = free_port()
            self.apiserver.start([self.programs / "kube-apiserver", *self.apiserver_flags()])
            self.kubeconfig = self.authority.kubeconfig("admin", self.server)
            try:
                wait_for("the API server is ready", lambda: self.raw("/readyz") == "ok", 120, pause=0.3)
                return
            except Failure:
                if not picked or self.apiserver.process.poll() is None or "address already in use" not in self.apiserver.tail():
                    raise
                Daemon.running.remove(self.apiserver)
        raise Failure("no free port for the API server in five attempts")

    def apiserver_flags(self):
        made = self.authority
        return [
            "--etcd-servers", self.etcd_url, "--bind-address", self.bind, "--secure-port", self.port,
            # Nobody reads the endpoints of the service `kubernetes`: pods reach the service address itself.
            "--endpoint-reconciler-type", "none", "--advertise-address", "192.0.2.1",
            "--tls-cert-file", made.certificate("apiserver"), "--tls-private-key-file", made.key("apiserver"),
            "--client-ca-file", made.certificate("ca"),
            "--kubelet-client-certificate", made.certificate("apiserver-to-kubelet"),
            "--kubelet-client-key", made.key("apiserver-to-kubelet"),
            "--requestheader-client-ca-file", made.certificate("ca"), "--requestheader-allowed-names", "aggregator",
            "--requestheader-username-headers", "X-Remote-User", "--requestheader-group-headers", "X-Remote-Group",
            "--requestheader-extra-headers-prefix", "X-Remote-Extra-",
            "--proxy-client-cert-file", made.certificate("aggregator"), "--proxy-client-key-file", made.key("aggregator"),
            "--service-account-issuer", "https://kubernetes.default.svc.cluster.local",
            "--service-account-key-file", made.certificate("service-accounts"),
            "--service-account-signing-key-file", made.key("service-accounts"),
            "--service-cluster-ip-range", SERVICE_NETWORK,
            "--authorization-mode", "Node,RBAC", "--enable-admission-plugins", "NodeRestriction",
            "--kubelet-preferred-address-types", "InternalIP",  # nobody resolves the name
            "--allow-privileged=true", "--v", "1", *self.apiserver_arguments,
        ]

    def start_controllers(self):
        kubeconfig = self.authority.kubeconfig("controllers", self.server)
        self.controllers.start(
            [self.programs / "kube-controller-manager", "--kubeconfig", kubeconfig, "--secure-port", "0", "--use-service-account-credentials",
             "--service-account-private-key-file", self.authority.key("service-accounts"),
             "--root-ca-file", self.authority.certificate("ca"),
             "--cluster-signing-cert-file", self.authority.certificate("ca"), "--cluster-signing-key-file", self.authority.key("ca"),
             "--leader-elect=false", "--horizontal-pod-autoscaler-sync-period", "3s", "--horizontal-pod-autoscaler-cpu-initialization-period", "5s",
             # Nodes that kwok plays renew their leases after half an hour: a thousand that do so at once are not what is measured.
             "--node-monitor-grace-period", "4h", "--concurrent-gc-syncs", "5", "--kube-api-qps", "200", "--kube-api-burst", "400"]
        )
        # Until then no pod can be made: each needs the account `default` of its namespace.
        wait_for("the account of the default namespace", lambda: self.read("/api/v1/namespaces/default/serviceaccounts/default"), 60, pause=0.3)

    def start_scheduler(self):
        kubeconfig = self.authority.kubeconfig("scheduler", self.server)
        config = self.folder / "scheduler.json"
        config.write_text(json.dumps({
            "apiVersion": "kubescheduler.config.k8s.io/v1",
            "kind": "KubeSchedulerConfiguration",
            "clientConnection": {"kubeconfig": str(kubeconfig), "qps": 1000, "burst": 2000},
            "leaderElection": {"leaderElect": False},
        }))
        self.scheduler.start([self.programs / "kube-scheduler", "--config", config, "--secure-port", "0"])

    def start_kwok(self):
        self.kwok.start(
            [self.programs / "kwok", "--kubeconfig", self.kubeconfig, "--config", STAGES, "--manage-all-nodes=false",
             "--manage-nodes-with-annotation-selector", f"{FAKE}=fake", "--node-lease-duration-seconds", "7200",
             "--cidr", "10.97.0.0/16", "--server-address", f"127.0.0.1:{free_port()}", "--v", "WARN"],
            # It keeps a configuration in the user's home otherwise.
            env={**os.environ, "HOME": str(self.folder), "KWOK_WORKDIR": str(self.folder / "kwok")},
        )

    def start_metrics(self):
        """metrics-server, for `kubectl top` and for autoscaling by CPU, until it knows a node."""
        port = free_port()
        self.metrics.start(
            [self.programs / "metrics-server", "--kubeconfig", self.kubeconfig, "--authentication-kubeconfig", self.kubeconfig,
             "--authorization-kubeconfig", self.kubeconfig, "--cert-dir", self.folder / "metrics", "--secure-port", port,
             "--kubelet-insecure-tls", "--kubelet-use-node-status-port", "--kubelet-preferred-address-types", "InternalIP", "--metric-resolution", "10s",
             "--kubelet-request-timeout", "9s"]
        )
        name = {"name": "metrics-server", "namespace": "kube-system"}
        self.apply(
            # By name: a service of this kind needs nobody who translates addresses.
            {"apiVersion": "v1", "kind": "Service", "metadata": name, "spec": {"type": "ExternalName", "externalName": "localhost"}},
            {"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": "v1beta1.metrics.k8s.io"},
             "spec": {"group": "metrics.k8s.io", "version": "v1beta1", "service": {**name, "port": port}, "insecureSkipTLSVerify": True,
                      "groupPriorityMinimum": 100, "versionPriority": 100}},
        )
        wait_for("metrics of the node", lambda: self.read("/apis/metrics.k8s.io/v1beta1/nodes")["items"], 90, pause=0.5)

    def stop_metrics(self):
        self.kubectl("delete", "apiservice", "v1beta1.metrics.k8s.io")
        self.kubectl("delete", "service", "metrics-server", "-n", "kube-system")
        self.metrics.stop()

    def make_nodes(self, nodes):
        """Nodes from `fake_node`, until kwok has made the last of them Ready."""
        with ThreadPoolExecutor(4) as threads:
            for _ in threads.map(lambda node: self.raw("/api/v1/nodes", post=node), nodes):
                pass
        wait_for(f"{len(nodes)} nodes are ready", lambda: all(
            self.read(f"/api/v1/nodes/{node['metadata']['name']}")["status"].get("conditions") for node in nodes[-10:]), 120, pause=0.3)

    # --- asking

    def kubectl(self, *arguments, **options):
        """stdout of kubectl as the administrator; `options` as in `output`."""
        return output([self.programs / "kubectl", "--kubeconfig", self.kubeconfig, *arguments], **{"timeout": 180, **options})

    def get(self, *arguments):
        """Parsed JSON of `kubectl get`."""
        return json.loads(self.kubectl("get", *arguments, "-o", "json"))

    def apply(self, *objects):
        """Creates or changes objects given as Python data."""
        return self.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=json.dumps(listed(objects)))

    @cached_property
    def trusted(self):
        context = ssl.create_default_context(cafile=self.authority.certificate("ca"))
        context.load_cert_chain(self.authority.certificate("admin"), self.authority.key("admin"))
        return context

    def raw(self, path, post=None, **query):
        """What the API server answers to a GET, or to a POST of `post`, without the cost of a kubectl: for what is done again and
        again."""
        request = urllib.request.Request(
            self.server + path + ("?" + urllib.parse.urlencode(query) if query else ""),
            data=None if post is None else json.dumps(post).encode(), headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60, context=self.trusted) as reply:
            return reply.read().decode()

    def read(self, path, **query):
        """The same as data. `path` begins with /api."""
        return json.loads(self.raw(path, **query))


def listed(objects):
    return {"apiVersion": "v1", "kind": "List", "items": list(objects)}


def fake_node(name, *, labels=None, epc=None, resource="kubernetes.azure.com/sgx_epc_mem_in_MiB", taints=(), capacity=None):
    """A node that kwok keeps Ready: 32 CPUs, 128 GiB, room for 110 pods, and `epc` of `resource`."""
    counts = {"cpu": "32", "memory": "128Gi", "pods": "110", "ephemeral-storage": "100Gi", **(capacity or {})}
    if epc is not None:
        counts[resource] = str(epc)
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "annotations": {FAKE: "fake"},
            "labels": {"type": "kwok", "kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64",
                       **(labels or {})},
        },
        "spec": {"taints": list(taints)} if taints else {},
        "status": {"capacity": counts, "allocatable": counts},
    }
