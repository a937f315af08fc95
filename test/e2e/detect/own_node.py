#!/usr/bin/env python3
"""enclayer-detect against a real API server: the real program labels its node and makes Events of what is wrong there, which kubectl
describe shows, and whoever holds its token can do nothing else.

    own_node.py --bin DIR [--kubectl PATH]

Needs an API server of Kubernetes 1.30 or later that KUBECONFIG reaches as an administrator; no scheduler, kubelet or controller.
Makes the account, the role and the policy of deploy/manifests (they stay) and two nodes and a pod of its own (they go). Exit 0: all
held. A pod that is bound to a node is all that it takes for a token that names the node, whoever runs it."""

import argparse
import base64
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.parse
from pathlib import Path

MANIFESTS = Path(__file__).resolve().parents[3] / "deploy/manifests/detect"
NAMESPACE, ACCOUNT = "enclayer-system", "enclayer-detect"
OWN, OTHER, POD = "detect-own-node", "detect-other-node", "detect-own-node-pod"
EVERYTHING = "detect-own-node-everything"
OURS = ["enclayer.io/sgx", "enclayer.io/epc-mib", "enclayer.io/sgx-driver", "enclayer.io/platform"]
SIMULATED = dict(zip(OURS, ["true", "8192", "sim", "sim"]))


class Failure(Exception):
    pass


def check(holds, what):
    if not holds:
        raise Failure(what)


def say(text):
    print(f"  {text}", flush=True)


def wait_for(what, condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        check(time.monotonic() < end, f"not within {seconds} s: {what}")
        time.sleep(0.1)


class Cluster:
    def __init__(self, kubectl, work):
        self.program, self.work = kubectl, work
        config = json.loads(self.kubectl("config", "view", "--raw", "--minify", "--flatten", "-o", "json"))["clusters"][0]["cluster"]
        self.server = config["server"]
        self.ca = work / "account/ca.crt"
        self.ca.parent.mkdir()
        self.ca.write_bytes(base64.b64decode(config["certificate-authority-data"]))

    def run(self, *arguments, stdin=None, env=None):
        return subprocess.run([self.program, *arguments], input=stdin, text=True, capture_output=True, timeout=120, env=env)

    def kubectl(self, *arguments, stdin=None):
        done = self.run(*arguments, stdin=stdin)
        check(done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def as_account(self, token, *arguments, stdin=None):
        """The same program with the account's token alone: no certificate of an administrator beside it."""
        return self.run("--kubeconfig=/dev/null", f"--server={self.server}", f"--certificate-authority={self.ca}", f"--token={token}",
                        *arguments, stdin=stdin)

    def labels(self, node=OWN):
        return json.loads(self.kubectl("get", "node", node, "-o", "json"))["metadata"].get("labels", {})

    def ours(self):
        return {key: value for key, value in self.labels().items() if key in OURS}

    def token(self, *bound):
        return self.kubectl("create", "token", ACCOUNT, "-n", NAMESPACE, *bound).strip()


def make_objects(cluster):
    if cluster.run("get", "namespace", NAMESPACE).returncode != 0:
        cluster.kubectl("create", "namespace", NAMESPACE)
    documents = (MANIFESTS / "detect.yaml").read_text().split("\n---\n")
    account_and_role = [text for text in documents if not re.search(r"^kind: DaemonSet$", text, re.M)]
    check(len(account_and_role) == len(documents) - 1 == 3, "detect.yaml is an account, a role, its binding and a DaemonSet")
    for text in [*account_and_role, (MANIFESTS / "detect-policy.yaml").read_text()]:
        cluster.kubectl("apply", "--server-side", "--force-conflicts", "--field-manager=enclayer", "-f", "-", stdin=text)
    for name in (OWN, OTHER):
        cluster.kubectl("create", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "Node", "metadata": {
            "name": name, "labels": {"kubernetes.io/os": "linux", "team": "one"}, "annotations": {"note": "one"}}}))
    # What the role does not give is given here, so that it is the policy that has to refuse it.
    cluster.kubectl("create", "clusterrole", EVERYTHING, "--verb=*",
                    "--resource=nodes,nodes/status,nodes/proxy,events,events.events.k8s.io")
    cluster.kubectl("create", "clusterrolebinding", EVERYTHING, f"--clusterrole={EVERYTHING}", f"--serviceaccount={NAMESPACE}:{ACCOUNT}")
    cluster.kubectl("create", "-f", "-", stdin=json.dumps({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": POD, "namespace": NAMESPACE},
        "spec": {"nodeName": OWN, "serviceAccountName": ACCOUNT, "containers": [{"name": "detect", "image": "none.example/none"}]}}))


def remove_objects(cluster):
    cluster.run("delete", "pod", "-n", NAMESPACE, POD, "--force", "--grace-period=0", "--ignore-not-found")
    cluster.run("delete", "node", OWN, OTHER, "--ignore-not-found")
    cluster.run("delete", "clusterrolebinding,clusterrole", EVERYTHING, "--ignore-not-found")


def refused(cluster, token, why, *arguments, stdin=None, policy="enclayer-own-node"):
    done = cluster.as_account(token, *arguments, stdin=stdin)
    what = " ".join(arguments)
    check(done.returncode != 0, f"allowed: {what} {stdin or ''}")
    check(f"'{policy}'" in done.stderr and why in done.stderr, f"refused for another reason: {what}: {done.stderr.strip()}")
    say(f"refused: {what}\n      {done.stderr.strip()}")


def labelling(cluster, program, environment):
    """`enclayer detect --label-node`, once each."""
    highest = []

    def label(*flags):
        with tempfile.TemporaryFile("w+") as said:
            running = subprocess.Popen([program, "detect", f"--label-node={OWN}", f"--account-dir={cluster.ca.parent}", *flags],
                                       stderr=said, env=environment)
            _, status, usage = os.wait4(running.pid, 0)  # its requests have 40 s
            running.returncode = os.waitstatus_to_exitcode(status)
            highest.append(usage.ru_maxrss)
            said.seek(0)
            words = said.read()
        check(running.returncode == 0, f"enclayer detect {' '.join(flags)}: {words.strip()}")
        return words

    said = label("--platform=sim")
    check(not cluster.ours() and "enclayer.io/sim=true" in said, f"a node without the user's label takes part: {said}")
    cluster.kubectl("label", "node", OWN, "enclayer.io/sim=true")
    label("--platform=sim")
    check(cluster.ours() == SIMULATED, f"the simulation's labels: {cluster.labels()}")
    managers = [entry["manager"] for entry in json.loads(
        cluster.kubectl("get", "node", OWN, "--show-managed-fields", "-o", "json"))["metadata"]["managedFields"]]
    check("enclayer-detect" in managers, f"the field managers are {managers}")
    say("labelled, by the field manager enclayer-detect: " + ", ".join(f"{k}={v}" for k, v in SIMULATED.items()))
    # A /dev without device nodes: whatever the processor of this machine can do, it is not enough.
    label("--dev-root=" + str(cluster.work))
    check(not cluster.ours(), f"labels of a node without a device: {cluster.labels()}")
    check(cluster.labels()["enclayer.io/sim"] == "true" and cluster.labels()["team"] == "one", "somebody else's label is gone")
    say(f"enclayer detect --label-node: {max(highest)} KiB resident at its height")
    say("not usable: our labels are gone, everybody else's stay")


def say_memory(daemon):
    """Of the daemon, and at its height of what it starts; KiB."""
    def figure(file, name):
        return int(re.search(rf"^{name}:\s*(\d+) kB", Path(f"/proc/{daemon}/{file}").read_text(), re.M)[1])

    resident, highest, share = figure("status", "VmRSS"), figure("status", "VmHWM"), figure("smaps_rollup", "Pss")
    say(f"enclayer-detect, {daemon}: VmRSS {resident} KiB, VmHWM {highest} KiB, Pss {share} KiB")
    check(highest <= 4096, "the daemon is to have 4 MiB at most")


def daemon(cluster, program, environment):
    with open(cluster.work / "enclayer-detect.log", "w+") as log:
        running = subprocess.Popen([program, f"--label-node={OWN}", f"--account-dir={cluster.ca.parent}", "--platform=sim", "--every=0.3"],
                                   stderr=log, env=environment)
        try:
            wait_for("the daemon labels its node", lambda: cluster.ours() == SIMULATED)
            say_memory(running.pid)
            cluster.kubectl("label", "node", OWN, "enclayer.io/sgx-")
            wait_for("a label that somebody removed is back", lambda: cluster.ours() == SIMULATED)
            # Whoever takes the user's label away ends the DaemonSet's pod by it.
            cluster.kubectl("label", "node", OWN, "enclayer.io/sim-")
            running.send_signal(signal.SIGTERM)
            check(running.wait(20) == 0, "the daemon does not end with 0")
            check(not cluster.ours(), f"a node that left the simulation kept our labels: {cluster.labels()}")
            say("the daemon labels, repairs, and takes the labels of a node that leaves the simulation with it")
        except (Failure, subprocess.TimeoutExpired):
            log.seek(0)
            print(log.read(), file=sys.stderr)
            raise
        finally:
            running.kill()
            running.wait()


def policy(cluster, token):
    patch = ["--type=merge", "-p"]
    only_own = "of its own node only: its token is of a pod on " + OWN + ", the request is for " + OTHER
    only_labels = "may change labels only"
    only_keys = "may change labels under enclayer.io/ except enclayer.io/sim"
    nothing_else = "and do nothing else with nodes"
    refused(cluster, token, only_own, "label", "node", OTHER, "enclayer.io/sgx=true")
    refused(cluster, token, only_keys, "label", "node", OWN, "team=two", "--overwrite")
    refused(cluster, token, only_keys, "label", "node", OWN, "team-")
    refused(cluster, token, only_keys, "label", "node", OWN, "enclayer.io.evil.example/x=y")
    refused(cluster, token, only_keys, "label", "node", OWN, "enclayer.io/sim=true")
    cluster.kubectl("label", "node", OWN, "enclayer.io/sim=true")
    refused(cluster, token, only_keys, "label", "node", OWN, "enclayer.io/sim-")
    for changed in ({"spec": {"taints": [{"key": "x", "effect": "NoSchedule"}]}}, {"spec": {"unschedulable": True}},
                    {"metadata": {"annotations": {"note": "two"}}}, {"metadata": {"annotations": {"note": None}}},
                    {"metadata": {"finalizers": ["evil.example/x"]}},
                    {"metadata": {"labels": {"enclayer.io/sgx": "true"}}, "spec": {"unschedulable": True}},
                    {"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": OTHER, "uid": "1"}]}}):
        refused(cluster, token, only_labels, "patch", "node", OWN, *patch, json.dumps(changed))
    refused(cluster, token, nothing_else, "patch", "node", OWN, "--subresource=status", *patch, '{"status":{"capacity":{"cpu":"9"}}}')
    refused(cluster, token, nothing_else, "delete", "node", OWN)
    refused(cluster, token, nothing_else, "delete", "node", OTHER)
    refused(cluster, token, nothing_else, "get", "--raw", f"/api/v1/nodes/{OWN}/proxy/pods")
    refused(cluster, cluster.token(), "its token names no node", "label", "node", OWN, "enclayer.io/sgx=true")
    allowed = cluster.as_account(token, "label", "node", OWN, "enclayer.io/other=x")
    check(allowed.returncode == 0, f"what it is for is refused: {allowed.stderr}")
    cluster.kubectl("label", "node", OTHER, "team=two", "--overwrite")
    cluster.kubectl("taint", "node", OTHER, "x=y:NoSchedule")
    say("its own labels are allowed; administrators are not concerned")


def write_troubles(folder, **more):
    """What the device plugin leaves (src/troubles/troubles.h)."""
    noon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    trouble = {"reason": "EpcLost", "says": "/dev/sgx_enclave cannot be given: missing", "first": noon, "last": noon, "count": 1, "over": False,
               "pods": [], **more}
    (folder / "device-plugin").mkdir(parents=True, exist_ok=True)
    (folder / "device-plugin/troubles.json").write_text(json.dumps({"troubles": [trouble]}))


def events(cluster, program, environment, pod):
    """`enclayer detect --troubles-dir`, and what a person sees by kubectl describe."""
    folder = cluster.work / "troubles"

    def tell(**more):
        write_troubles(folder, **more)
        done = subprocess.run([program, "detect", f"--label-node={OWN}", f"--account-dir={cluster.ca.parent}", f"--troubles-dir={folder}"],
                              text=True, capture_output=True, timeout=60, env=environment)
        check(done.returncode == 0 and "refused" not in done.stderr, f"enclayer detect --troubles-dir: {done.stderr.strip()}")

    def described(*what):
        text = cluster.kubectl("describe", *what)
        return text[text.index("Events:"):]

    pods = [{"namespace": NAMESPACE, "name": POD, "uid": pod["metadata"]["uid"]}]
    tell(pods=pods)
    tell(pods=pods, count=3)
    for what in (("node", OWN), ("pod", "-n", NAMESPACE, POD)):
        said = described(*what)
        check(re.search(r"Warning +EpcLost .*\(x3 over .*\) +enclayer  .*cannot be given: missing", said), f"{what}: {said}")
        check(said.count("EpcLost") == 1, f"one Event an object and reason: {said}")
        say(f"kubectl describe {' '.join(what)}:\n      {said.splitlines()[-1].strip()}")
    tell(over=True)
    check("EpcBack" in described("node", OWN), "what is over is not said")
    said = cluster.kubectl("events", "--for", f"node/{OWN}", "-n", "default")
    check("EpcLost" in said and "EpcBack" in said, f"kubectl events: {said}")


def event_policy(cluster, token):
    def event(**more):
        out = {"apiVersion": "v1", "kind": "Event", "metadata": {"name": f"enclayer.{OWN}.1", "namespace": "default"}, "type": "Warning",
               "involvedObject": {"apiVersion": "v1", "kind": "Node", "name": OWN, "uid": OWN}, "reason": "EpcLost", "message": "x",
               "source": {"component": "enclayer", "host": OWN}, "reportingComponent": "enclayer", "reportingInstance": OWN}
        return json.dumps({**out, **more})

    def no(why, *arguments, stdin=None):
        refused(cluster, token, why, *arguments, stdin=stdin, policy="enclayer-own-events")

    create = ("create", "-f", "-")
    other = {"apiVersion": "v1", "kind": "Node", "name": OTHER, "uid": OTHER}
    only_own, only_nodes, reasons = "on its own node only", "of its own node and of pods only", "has reasons of its own"
    no(only_nodes, *create, stdin=event(involvedObject=other))
    no(only_nodes, *create, stdin=event(involvedObject={"apiVersion": "v1", "kind": "Namespace", "name": "default"}))
    no(only_own, *create, stdin=event(reportingInstance=OTHER))
    no(only_own, *create, stdin=event(source={"component": "enclayer", "host": OTHER}))
    no(only_own, *create, stdin=event(source={"component": "kubelet", "host": OWN}))
    no(only_own, *create, stdin=event(reportingComponent="kubelet"))
    no(only_own, *create, stdin=event(metadata={"name": f"enclayer.{OTHER}.1", "namespace": "default"}))
    no(only_own, *create, stdin=event(metadata={"generateName": f"enclayer.{OTHER}.", "namespace": "default"}))
    no(reasons, *create, stdin=event(reason="NodeNotReady"))
    pod = {"apiVersion": "v1", "kind": "Pod", "namespace": "default", "name": "other", "uid": "1"}
    no("say first on which node", *create, stdin=event(involvedObject=pod, message=f"on node {OTHER}: x"))
    no("at most 1,024 characters", *create, stdin=event(message="x" * 1025))
    no("finalizers", *create, stdin=event(metadata={"name": f"enclayer.{OWN}.1", "namespace": "default", "finalizers": ["evil.example/x"]}))
    new = {"apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": "x", "namespace": "default"}, "type": "Warning", "action": "x",
           "regarding": other, "reason": "EpcLost", "note": "x", "reportingController": "enclayer", "reportingInstance": OTHER,
           "eventTime": "2026-01-31T12:00:00.000000Z"}
    no(only_own, *create, stdin=json.dumps(new))
    allowed = cluster.as_account(token, *create, stdin=event())
    check(allowed.returncode == 0, f"what it is for is refused: {allowed.stderr}")
    patch = ("patch", "event", "-n", "default", "--type=merge", "-p")
    no("not make others of them", *patch, json.dumps({"reason": "CannotQuote"}), f"enclayer.{OWN}.1")
    no("do nothing else with them", "delete", "event", "-n", "default", f"enclayer.{OWN}.1")
    cluster.kubectl("create", "-f", "-", stdin=event(metadata={"name": f"enclayer.{OWN}.2", "namespace": "default"}, reason="Starting", reportingComponent="kubelet"))
    no("not make others of them", *patch, json.dumps({"reason": "EpcLost", "reportingComponent": "enclayer"}), f"enclayer.{OWN}.2")
    refused(cluster, cluster.token(), "its token names no node", *create, stdin=event(), policy="enclayer-own-events")
    cluster.kubectl("delete", "event", "-n", "default", f"enclayer.{OWN}.1", f"enclayer.{OWN}.2")
    say("Events of its own node and of pods are allowed, with our reasons")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", type=Path, required=True, help="the folder of enclayer and enclayer-detect")
    parser.add_argument("--kubectl", default="kubectl")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="enclayer-detect-") as folder:
        cluster = Cluster(options.kubectl, Path(folder))
        remove_objects(cluster)
        try:
            make_objects(cluster)
            pod = json.loads(cluster.kubectl("get", "pod", "-n", NAMESPACE, POD, "-o", "json"))
            token = cluster.token("--bound-object-kind=Pod", f"--bound-object-name={POD}", f"--bound-object-uid={pod['metadata']['uid']}")
            (cluster.ca.parent / "token").write_text(token)
            wait_for("the policy is in force", lambda: cluster.as_account(
                token, "label", "node", OTHER, "enclayer.io/probe=x", "--dry-run=server").returncode != 0)
            server = urllib.parse.urlsplit(cluster.server)
            environment = {**os.environ, "KUBERNETES_SERVICE_HOST": server.hostname, "KUBERNETES_SERVICE_PORT": str(server.port)}
            labelling(cluster, options.bin / "enclayer", environment)
            daemon(cluster, options.bin / "enclayer-detect", environment)
            events(cluster, options.bin / "enclayer", environment, pod)
            policy(cluster, token)
            event_policy(cluster, token)
        except Failure as failure:
            sys.exit(f"own_node.py: {failure}")
        finally:
            remove_objects(cluster)


if __name__ == "__main__":
    main()
