"""`samples/autoscaling/by-epc.yaml` on the real cluster: its HorizontalPodAutoscaler asks the real prometheus-adapter, that asks a real Prometheus, and
that the quote helper. What the plugin says of mapped EPC, kube-state-metrics of pods, and another node's helper of waits, is a page of ours: enclaves are
mapped by SGX hardware alone, and a simulated quote is made at once."""

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from .addon import SAMPLES, busy_deployment
from .controlplane import free_port
from .helperpod import NAMESPACE
from .process import Daemon, wait_for
from .steps import check, say

SAMPLE = SAMPLES / "autoscaling/by-epc.yaml"
RULES = SAMPLES / "autoscaling/prometheus-adapter.yaml"
MIB = 1 << 20
FOUR_MIB = ("4Mi", str(4 * MIB))
APIS = {"custom.metrics.k8s.io": "v1beta1", "external.metrics.k8s.io": "v1beta1"}


class Autoscaling:
    def __init__(self, cluster):
        self.cluster = cluster
        self.plane = cluster.plane
        self.mapped_mib = 0  # by each pod of the workload, as the page says
        self.asked_quotes = self.waited_quotes = 0  # of a node, since the page is there; how many of them had to wait, for half a second at most
        self.quotes_wait = False
        self.daemons = []

    def listed(self):
        return [
            ("enclayer enable with the quote helper, and a Deployment whose pod asks for quotes", self.enable),
            ("Prometheus scrapes the quote helper, prometheus-adapter serves samples/autoscaling/prometheus-adapter.yaml", self.start),
            ("each pod maps 4 MiB of enclaves, no quote waits: one replica", self.stay),
            ("each maps 9 MiB, where 8 are wanted: a second replica", self.grow_by_epc),
            ("4 MiB again, and quotes wait longer than wanted: more replicas", self.grow_by_waits),
            ("enclayer disable", self.disable),
        ]

    def enable(self):
        self.cluster.label_node("enclayer.io/sim=true")
        say(self.cluster.enclayer("enable", "--platform", "sim", "--image", self.cluster.image, "--enable-sgxquotehelper"))
        self.plane.apply(busy_deployment())
        wait_for("the Deployment's pod runs", lambda: self.ready() == 1, 90)

    def pods(self):
        return [pod for pod in self.plane.read("/api/v1/namespaces/default/pods?labelSelector=app%3Denclave-aware")["items"] if pod["status"].get("podIP")]

    def ready(self):
        return self.plane.read("/apis/apps/v1/namespaces/default/deployments/enclave-aware")["status"].get("readyReplicas", 0)

    # --- who measures

    def page(self):
        lines = []
        for pod in self.pods():
            name, uid = pod["metadata"]["name"], pod["metadata"]["uid"]
            lines.append(f'enclayer_epc_mapped_bytes{{pod_uid="{uid}"}} {self.mapped_mib * MIB}')
            lines.append(f'kube_pod_info{{namespace="default",pod="{name}",uid="{uid}"}} 1')
        self.asked_quotes += 10
        self.waited_quotes += 10 if self.quotes_wait else 0
        for bound, count in (("0.001", self.asked_quotes - self.waited_quotes), ("0.1", self.asked_quotes - self.waited_quotes), ("0.5", self.asked_quotes), ("+Inf", self.asked_quotes)):
            lines.append(f'enclayer_quote_queue_seconds_bucket{{le="{bound}"}} {count}')
        lines.append(f"enclayer_quote_queue_seconds_count {self.asked_quotes}")
        return "\n".join([*lines, f'enclayer_epc_mapped_bytes{{pod_uid="host"}} {MIB}', ""])

    def start(self):
        suite = self

        class Page(BaseHTTPRequestHandler):
            def do_GET(self):
                text = suite.page().encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/plain")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        targets = [f"127.0.0.1:{self.server.server_address[1]}", *self.helper_addresses()]
        work = self.cluster.work / "autoscaling"
        work.mkdir()
        (work / "prometheus.json").write_text(json.dumps({
            "global": {"scrape_interval": "2s"}, "scrape_configs": [{"job_name": "enclayer", "static_configs": [{"targets": targets}]}]}))
        address = f"127.0.0.1:{free_port()}"
        self.run("prometheus", self.cluster.paths["prometheus"] / "prometheus", "--config.file", work / "prometheus.json", "--storage.tsdb.path",
                 work / "tsdb", "--web.listen-address", address)
        # The chart's values, below `rules`, are the adapter's configuration, but for two names of lists.
        rules = "\n".join(line[2:] for line in RULES.read_text().partition("\nrules:\n")[2].splitlines())
        rules = re.sub(r"^default: false$", "", rules, flags=re.M).replace("custom:", "rules:").replace("external:", "externalRules:")
        (work / "rules.yaml").write_text(rules + "\n")
        port = free_port()
        self.run("adapter", self.cluster.paths["adapter"] / "adapter", "--secure-port", port, "--cert-dir", work / "adapter", "--prometheus-url", f"http://{address}/",
                 "--config", work / "rules.yaml", "--metrics-relist-interval", "5s", "--lister-kubeconfig", self.plane.kubeconfig,
                 "--authentication-kubeconfig", self.plane.kubeconfig, "--authorization-kubeconfig", self.plane.kubeconfig)
        name = {"name": "prometheus-adapter", "namespace": "kube-system"}
        self.plane.apply(
            {"apiVersion": "v1", "kind": "Service", "metadata": name, "spec": {"type": "ExternalName", "externalName": "localhost"}},
            *({"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": f"{version}.{group}"},
               "spec": {"group": group, "version": version, "service": {**name, "port": port}, "insecureSkipTLSVerify": True, "groupPriorityMinimum": 100, "versionPriority": 100}}
              for group, version in APIS.items()))
        wait_for("the mapped EPC of the pod", lambda: self.asked("custom.metrics.k8s.io", "pods/*/enclayer_epc_mapped_bytes"), 90, pause=1)
        say(f"mapped: {self.asked('custom.metrics.k8s.io', 'pods/*/enclayer_epc_mapped_bytes')}; "
            f"waits: {self.asked('external.metrics.k8s.io', 'enclayer_quote_wait_seconds')}")

    def helper_addresses(self):
        pods = self.plane.read(f"/api/v1/namespaces/{NAMESPACE}/pods?labelSelector=app.kubernetes.io/component%3Dquote-helper")["items"]
        ports = [(pod["status"]["podIP"], port["containerPort"]) for pod in pods for container in pod["spec"]["containers"]
                 for port in container.get("ports", []) if "metrics" in port["name"]]
        check(ports, "the quote helper serves no metrics")
        return [f"{ip}:{port}" for ip, port in ports]

    def run(self, name, *argv):
        daemon = Daemon(name, self.cluster.logs / f"{name}.log")
        self.daemons.append(daemon)
        daemon.start(list(argv))

    def asked(self, group, what):
        items = self.plane.read(f"/apis/{group}/{APIS[group]}/namespaces/default/{what}")["items"]
        check(items, f"{what}: nothing is known")
        return [item["value"] for item in items]

    # --- who scales

    def seen(self):
        """What the autoscaler says of its metrics, by name, and how many replicas it wants."""
        status = self.plane.read("/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers/enclave-aware-by-epc").get("status", {})
        metrics = [metric.get("pods") or metric.get("external") for metric in status.get("currentMetrics") or [] if metric.get("pods") or metric.get("external")]
        return {metric["metric"]["name"]: metric["current"].get("averageValue") or metric["current"].get("value") for metric in metrics}, status.get("desiredReplicas", 0)

    def stay(self):
        self.mapped_mib = 4
        self.plane.kubectl("apply", "-f", SAMPLE)

        def both():
            metrics, wanted = self.seen()
            check(metrics.get("enclayer_epc_mapped_bytes") in FOUR_MIB, f"{metrics}")
            check("enclayer_quote_wait_seconds" in metrics and wanted == 1, f"{metrics}, {wanted} replicas are wanted")
            return metrics

        say(f"{wait_for('the autoscaler has both figures', both, 120, pause=1)}")

    def grow_by_epc(self):
        self.mapped_mib = 9
        self.wait_for_replicas(2)

    def grow_by_waits(self):
        self.mapped_mib = 4
        wait_for("the autoscaler knows of 4 MiB", lambda: self.seen()[0].get("enclayer_epc_mapped_bytes") in FOUR_MIB, 60, pause=1)
        wanted = self.seen()[1]  # it lets go of none within five minutes
        self.quotes_wait = True
        self.wait_for_replicas(wanted + 1)
        metrics, _ = self.seen()
        check(metrics["enclayer_epc_mapped_bytes"] in FOUR_MIB and metrics["enclayer_quote_wait_seconds"] != "0", f"not by waits: {metrics}")

    def wait_for_replicas(self, count):
        def grown():
            check(self.ready() >= count, f"{self.ready()} ready; {self.seen()}")
            return self.seen()

        metrics, wanted = wait_for(f"{count} replicas", grown, 180, pause=1)
        say(f"{self.ready()} replicas; {metrics}, {wanted} wanted")

    def disable(self):
        self.plane.kubectl("delete", "-f", SAMPLE)
        self.plane.kubectl("delete", "deployment", "enclave-aware", "--wait")
        self.plane.kubectl("delete", "apiservice", *(f"{version}.{group}" for group, version in APIS.items()))
        self.plane.kubectl("delete", "service", "prometheus-adapter", "-n", "kube-system")
        for daemon in reversed(self.daemons):
            daemon.stop()
        self.server.shutdown()
        wait_for("the Deployment's pods are gone", lambda: not self.pods(), 60)
        self.cluster.disable("deployments")
