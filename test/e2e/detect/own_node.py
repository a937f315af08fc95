#!/usr/bin/env python3
"""enclayer-detect against a real API server: the real program labels its node, and whoever holds its token can do nothing else.

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

    def as_account(self, token, *arguments):
        """The same program with the account's token alone: no certificate of an administrator beside it."""
        return self.run("--kubeconfig=/dev/null", f"--server={self.server}", f"--certificate-authority={self.ca}", f"--token={token}",
                        *arguments)

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
    cluster.kubectl("create", "clusterrole", EVERYTHING, "--verb=*", "--resource=nodes,nodes/status,nodes/proxy")
    cluster.kubectl("create", "clusterrolebinding", EVERYTHING, f"--clusterrole={EVERYTHING}", f"--serviceaccount={NAMESPACE}:{ACCOUNT}")
    cluster.kubectl("create", "-f", "-", stdin=json.dumps({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": POD, "namespace": NAMESPACE},
        "spec": {"nodeName": OWN, "serviceAccountName": ACCOUNT, "containers": [{"name": "detect", "image": "none.example/none"}]}}))


def remove_objects(cluster):
    cluster.run("delete", "pod", "-n", NAMESPACE, POD, "--force", "--grace-period=0", "--ignore-not-found")
    cluster.run("delete", "node", OWN, OTHER, "--ignore-not-found")
    cluster.run("delete", "clusterrolebinding,clusterrole", EVERYTHING, "--ignore-not-found")


def refused(cluster, token, why, *arguments):
    done = cluster.as_account(token, *arguments)
    what = " ".join(arguments)
    check(done.returncode != 0, f"allowed: {what}")
    check("'enclayer-own-node'" in done.stderr and why in done.stderr, f"refused for another reason: {what}: {done.stderr.strip()}")
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
            policy(cluster, token)
        except Failure as failure:
            sys.exit(f"own_node.py: {failure}")
        finally:
            remove_objects(cluster)


if __name__ == "__main__":
    main()
