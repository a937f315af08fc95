"""What the add-on gives a Prometheus: its alerts are fired one by one with Debian's promtool, from literal series, and every query
of alerts and dashboard is asked of a real Prometheus that scrapes real daemons."""

import json
import re
import socket
import urllib.parse
import urllib.request
from pathlib import Path

from .builds import E2E
from .process import Daemon, output, wait_for
from .steps import Failure, check, say

MANIFESTS = E2E.parent.parent / "deploy/manifests/monitoring"
# Alert: series that fire it within an hour, and the same with nothing wrong.
FIRED = {
    "EnclayerDeviceGone": ('enclayer_device_usable{instance="a",device="enclave"}', "0x60", "1x60"),
    "EnclayerNoEpc": ('enclayer_epc_mib{instance="a"}', "0x60", "8192x60"),
    "EnclayerNotRegistered": ('enclayer_list_streams{instance="a",resource="epc"}', "0x60", "1x60"),
    "EnclayerAllocationsFail": ('enclayer_allocations_total{instance="a",resource="epc",result="refused"}', "0+1x60", "5x60"),
    "EnclayerNoClaimEpc": ('enclayer_claim_epc_mib{instance="a"}', "0x60", "8192x60"),
    "EnclayerClaimsFail": ('enclayer_claim_errors_total{instance="a",call="prepare"}', "0+1x60", "3x60"),
    "EnclayerEpcLeaked": ('enclayer_epc_leaks_total{instance="a"}', "1x60", "0x60"),
    "EnclayerEpcPoisoned": ('enclayer_epc_poisoned_pages_total{instance="a"}', "1x60", "0x60"),
    "EnclayerQuotesWait": ('enclayer_quote_queue_seconds_bucket{instance="a",le="5"}', "0x60", "0+60x60"),
    "EnclayerQuotesDropped": ('enclayer_quotes_dropped_total{instance="a",reason="too_late"}', "0+1x60", "3x60"),
    "EnclayerNoQuoteWorker": ('enclayer_quote_workers_up{instance="a"}', "0x60", "1x60"),
    "EnclayerSocketReplaced": ('enclayer_socket_replaced_total{instance="a"}', "0x58 1x2", "1x60"),
    "EnclayerPlatformOutOfDate": ('enclayer_quote_source_info{instance="a",tcb_status="OutOfDate"}', "1x60", ""),
    "EnclayerPlatformFalls": ('enclayer_attest_platform_info{fmspc="f",tcb="t",qe_isvsvn="8",status="UpToDate",early_status="OutOfDate"}', "1x60", ""),
    "EnclayerPckExpires": ('enclayer_pck_not_after_seconds{instance="a"}', "86400x120", "8640000x120"),
    "EnclayerAttestPolicyBroken": ('enclayer_attest_policy_broken{instance="a"}', "1x60", "0x60"),
    "EnclayerAttestKeysBroken": ('enclayer_attest_keys_broken{instance="a"}', "1x60", "0x60"),
    "EnclayerCollateralExpires": ('enclayer_attest_collateral_expires_seconds{instance="a"}', "86400x120", "8640000x120"),
    "EnclayerAttestUnavailable": ('enclayer_attest_requests_total{instance="a",door="azure",result="unavailable"}', "0+1x60", "4x60"),
}
# Of a histogram the quantile needs the other buckets, too.
BESIDE = {"EnclayerQuotesWait": [(f'enclayer_quote_queue_seconds_bucket{{instance="a",le="{le}"}}', "0+60x60") for le in ("10", "+Inf")]}
# Alerts that name the nodes of what the attestation service has judged, and what it says then.
OF_NODES = {
    "EnclayerPlatformOutOfDate": 'status="OutOfDate",early_status="OutOfDate"',
    "EnclayerPlatformFalls": 'status="SWHardeningNeeded",early_status="TCB_NOT_SUPPORTED"',
}
QUIET = ['status="UpToDate",early_status="UpToDate"', 'status="UpToDate",early_status="unknown"']


class Monitoring:
    def __init__(self, folder, product, prometheus):
        self.folder, self.product, self.programs = Path(folder), product, prometheus
        self.daemons = []

    def run(self, steps):
        with steps.step("promtool finds nothing wrong with the alerts, and each fires for what it is there for"):
            self.fire()
        try:
            with steps.step("a real Prometheus answers every query of alerts and dashboard about daemons that it scrapes"):
                self.query()
        finally:
            for daemon in self.daemons:
                if daemon in Daemon.running:
                    daemon.stop()

    # --- alerts

    def rules(self):
        """The rules of the PrometheusRule, as Prometheus has them: what is below `spec`."""
        lines = (MANIFESTS / "rules.yaml").read_text().partition("\nspec:\n")[2].splitlines()
        return "\n".join(line[2:] for line in lines) + "\n"

    def fire(self):
        (self.folder / "rules.yaml").write_text(self.rules())
        say(output([self.programs / "promtool", "check", "rules", self.folder / "rules.yaml"]).strip().splitlines()[-1])
        names = re.findall(r"- alert: (\w+)", self.rules())
        check(names == list(FIRED), f"alerts that are not fired here: {set(names) ^ set(FIRED)}")
        for name, (series, wrong, well) in FIRED.items():
            self.judge(name, [(series, wrong), *BESIDE.get(name, [])], 0)
            if well:
                self.judge(name, [(series, well), *BESIDE.get(name, [])], 1)
        for name, statuses in OF_NODES.items():
            for node, code in (("a", 0), ("b", 1), ("", 1)):
                self.judge(name, self.seen(statuses), code, f'instance="{node}"')
            for quiet in QUIET:
                self.judge(name, self.seen(quiet), 1)
        say(f"{len(FIRED)} alerts fire, and none of them where nothing is wrong")

    @staticmethod
    def seen(statuses):
        """Two replicas of the service have seen evidence of node "a"; node "b" is of another patch level."""
        judged = [f'enclayer_attest_platform_info{{instance="{replica}",fmspc="f",tcb="t",qe_isvsvn="8",{statuses}}}' for replica in ("x", "y")]
        nodes = [f'enclayer_quote_source_info{{instance="{node}",fmspc="f",tcb="{tcb}",qe_isvsvn="8",tcb_status="unknown"}}' for node, tcb in (("a", "t"), ("b", "u"))]
        return [(one, "1x60") for one in judged + nodes]

    def judge(self, name, inputs, code, labels=""):
        """promtool ends with 1 where no alert of that name, with these labels, fires once for these series."""
        fired = f'count(ALERTS{{alertname="{name}",alertstate="firing"{"," if labels else ""}{labels}}})'
        values = inputs[0][1]
        test = {"rule_files": [str(self.folder / "rules.yaml")], "evaluation_interval": "1m", "tests": [{
            "interval": "1m", "input_series": [{"series": one, "values": some} for one, some in inputs],
            "promql_expr_test": [{"expr": fired, "eval_time": "60m" if "120" not in values else "119m", "exp_samples": [{"labels": "{}", "value": 1}]}]}]}
        (self.folder / "test.yaml").write_text(json.dumps(test))
        try:
            output([self.programs / "promtool", "test", "rules", self.folder / "test.yaml"], expect=code)
        except Failure as why:
            raise Failure(f"{name}, {inputs}: {why}") from None

    # --- queries

    def start(self, name, *arguments):
        """A daemon that serves its metrics; gives their address."""
        daemon = Daemon(name, self.folder / f"{name}.log")
        self.daemons.append(daemon)
        daemon.start([self.product / name, *arguments, "--metrics-listen", "127.0.0.1:0"])

        def address():
            daemon.must_live()
            found = re.search(r"metrics served address=(\S+)", daemon.log.read_text())
            return found and found.group(1)

        return wait_for(f"the metrics of {name}", address, 30)

    def query(self):
        work = self.folder
        output([self.product / "enclayer", "sim", "case", "up-to-date", "--out-dir", work])
        (work / "policy.txt").write_text("version=1.0;\nauthorizationrules { => permit(); };\nissuancerules { };\n")
        helper = self.start("enclayer-quote-helper", "--platform", "sim", "--socket", work / "aesm.socket", "--state-dir", work / "helper")
        wait_for("the quote helper's socket", (work / "aesm.socket").exists, 30)
        output([self.product / "enclayer", "quote", "--socket", work / "aesm.socket", "--out", work / "q.bin"])
        service = self.start("enclayer-attest", "--plain-http", "--listen", "127.0.0.1:0", "--issuer", "http://127.0.0.1:1/simulated", "--state-dir", work / "attest",
                             "--policy", work / "policy.txt", "--simulated-root", work / "root.pem", "--collateral", work / "collateral.json")
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{found.getsockname()[1]}"
        (work / "prometheus.json").write_text(json.dumps({
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"}, "rule_files": [str(work / "rules.yaml")],
            "scrape_configs": [{"job_name": "enclayer", "static_configs": [{"targets": [helper, service]}]}]}))
        prometheus = Daemon("prometheus", work / "prometheus.log")
        self.daemons.append(prometheus)
        prometheus.start([self.programs / "prometheus", "--config.file", work / "prometheus.json", "--storage.tsdb.path", work / "tsdb", "--web.listen-address", address])

        def ask(expression):
            url = f"http://{address}/api/v1/query?" + urllib.parse.urlencode({"query": expression})
            with urllib.request.urlopen(url, timeout=10) as answer:
                return json.load(answer)["data"]["result"]

        def scraped():
            prometheus.must_live()
            check(len(ask("up == 1")) == 2 and ask("rate(enclayer_quotes_total[5s])"), "both are scraped twice")
            return True

        wait_for("Prometheus has scraped both", scraped, 60, pause=0.5)
        queries = re.findall(r"expr: (.+)", self.rules())
        dashboard = (MANIFESTS / "dashboard.yaml").read_text().partition("enclayer.json: |\n")[2]
        panels = json.loads(dashboard)["panels"]
        shown = [target["expr"] for panel in panels for target in panel["targets"]]
        known = set(re.findall(r'"(enclayer_\w+)"', (E2E.parent.parent / "src/base/metric_names.h").read_text()))
        for expression in queries + shown:
            ask(expression)  # what is no PromQL is a 400
            names = {name.removesuffix("_bucket") for name in re.findall(r"enclayer_\w+", expression)}
            check(names <= known, f"{expression} asks for {names - known}, which nothing serves")
        answered = [expression for expression in shown if ask(expression)]
        check(any("quotes_total" in one for one in answered) and any("attest" in one for one in answered), f"answers to {answered} alone")
        say(f"{len(queries)} queries of alerts and {len(shown)} of {len(panels)} panels; {len(answered)} of the latter have an answer from a quote helper and an attestation service")
