"""The add-on's life, as its users have it: `enclayer enable`, pods with EPC, quotes, `update`, `show`, `disable`. One node is real and
labelled for the simulation; the others are played by kwok and ordinary."""

import base64
import json
import re
import time
from datetime import datetime

from .builds import E2E
from .cluster import KINDS, OURS, condition, ended, running
from .controlplane import fake_node
from .helperpod import CONTAINERS, NAMESPACE, HelperPod
from .node import NODE
from .process import output, wait_for
from .steps import Failure, check, say
from .testbed import ENCLAVE_DEVICES, EPC, QUOTE, WORKLOAD_IMAGE

SAMPLES, CHART = E2E.parent.parent / "samples", E2E.parent.parent / "deploy/chart"
NODE_MIB = 8192  # the default of --sim-epc
PROVISION_LIMIT = 2
HELPER_MIB = 5  # for each of its two containers
ORDINARY_NODES = 20
HELLO, NGINX, ATTEST = "registry.example/sgx-hello:1", "registry.example/gsc-nginx:1", "registry.example/sgx-attest:1"
SLOTS_RECORD = "enclayer.io/quote-slots"
PROVISION, ALLOWING = "sgx.intel.com/provision", "enclayer.io/allow-provisioning=true"
AKS_JOB = E2E.parent / "data/manifests/azure-docs/addon_out-of-proc_job.yaml"
# What `restricted` asks of any container.
USUAL_LINES = {
    "runAsNonRoot": True, "runAsUser": 65532, "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"},
}
# Who applies everything at once restarts the plugin in the moment in which the helper's pod comes: the kubelet, without a healthy device
# of EPC, refuses it, up to eight times within a second. The DaemonSet controller removes what was refused with growing pauses, two minutes
# in all, and counts the oldest pod of a node only, so it says until then that the helper, which runs and serves, is not ready.
HELPER_SECONDS = 300
# From the death of the helper that serves to a quote from its standby: 200 ms and what a client takes for one, where times are judged.
TAKEN_OVER_S = {True: 0.5, False: 2}



class Addon:
    def __init__(self, cluster):
        self.cluster = cluster
        self.plane = cluster.plane
        self.helper = HelperPod(cluster)

    def listed(self):
        return [
            (f"the images of samples/, and {ORDINARY_NODES} ordinary nodes", self.prepare),
            ("enclayer show: nothing is switched on", self.show_nothing),
            ("enclayer enable --platform sim: the labelled node offers its EPC, the others are left alone", self.enable),
            ("the same again changes nothing", self.enable_again),
            ("a binding that is gone and a policy that was changed: show names both, and a pod that is tried; update repairs them", self.miss_protection),
            ("samples/hello-world: 10 MiB, with its device", self.hello_world),
            ("a pod that asks for more than any node has stays Pending, with the reason", self.ask_for_too_much),
            ("enclayer update --enable-sgxquotehelper: the helper's own pod got its EPC from the plugin", self.enable_helper),
            ("samples/out-of-process: a quote, and it verifies; also in a namespace that enforces `restricted`", self.attest),
            ("the Job of AKS's documentation, its variable quoted, where `baseline` and `restricted` are enforced: a slot, a quote, a line in the audit",
             self.attest_as_on_aks),
            ("the quote helper has few rights; with all of them nobody moves, replaces or links over a slot's folder", self.attack_slots),
            ("the container that serves is killed under load: the other one takes over, and it comes back as the standby", self.kill_helpers),
            ("without a standby, and with one again, under load: no quote fails", self.do_without_standby),
            ("enclayer top: the EPC that a pod asked for, and its quotes a minute by its own count", self.top),
            ("every other YAML of samples/", self.apply_samples),
            (f"provisioning, {PROVISION_LIMIT} at a time: refused with the step that is left, running once it is done, and one too many waits", self.provision),
            ("samples/autoscaling: busy pods with EPC get more of them, by CPU", self.autoscale),
            ("update under load: from the manifests before these, to another image, and back: no quote fails, pods with EPC run on", self.update_under_load),
            ("an image whose self-test fails: update stops, everything is as before", self.fail_the_self_test),
            ("a node without EPC for two helpers: update names it and waits; --allow-gap replaces its helper with a gap", self.update_without_room),
            ("enclayer show", self.show),
            ("enclayer show for somebody who has the ClusterRole enclayer-show and nothing else", self.show_with_the_role),
            ("enclayer disable refuses while pods hold EPC or quotes, and names them", self.refuse_to_disable),
            ("a node that leaves while a pod holds EPC is named, with the pod", self.leave_while_held),
            ("enclayer disable: nothing is left", self.disable),
        ]

    def prepare(self):
        hello = self.cluster.work / "hello"
        output(["cc", "-static", "-O2", "-o", hello, SAMPLES / "hello-world/hello.c"])
        self.cluster.load_image(HELLO, {"/hello": hello}, ["/hello"])
        self.cluster.load_image(NGINX, {"/hello": hello}, ["/hello", "--stay"])  # stands for the user's own
        self.plane.start_kwok()
        self.plane.make_nodes([fake_node(f"plain-{index:02}") for index in range(ORDINARY_NODES)])
        self.cluster.label_node("enclayer.io/sim=true")

    def show_nothing(self):
        say(self.cluster.enclayer("show"))

    def enable(self):
        say(self.cluster.enclayer("enable", "--platform", "sim", "--image", self.cluster.image))
        self.cluster.wait_for_allocatable(EPC, NODE_MIB)
        self.check_where_our_pods_are()

    def enable_again(self):
        before = self.generations()
        say(self.cluster.enclayer("enable", "--platform", "sim", "--image", self.cluster.image))
        check(self.generations() == before, "objects have changed")

    def miss_protection(self):
        check("translation works here: yes" in self.cluster.enclayer("show"), "a pod that is tried is not translated")
        self.plane.kubectl("delete", "mutatingadmissionpolicybinding", "enclayer-translate")
        self.plane.kubectl("patch", "validatingadmissionpolicy", "enclayer-provisioning", "--type=merge", "-p", '{"spec": {"failurePolicy": "Ignore"}}')
        flaws = {("MutatingAdmissionPolicyBinding", "is missing"), ("MutatingAdmissionPolicy", "does nothing: it has no binding"),
                 ("ValidatingAdmissionPolicy", "was changed")}

        def seen():
            told = json.loads(self.cluster.enclayer("show", "--output", "json"))["protection"]
            check({(flaw["kind"], flaw["what"]) for flaw in told["flaws"]} == flaws, f"flaws are {told['flaws']}")
            check(told["translation_works"] is False, f"translation: {told}")  # the API server goes on for a moment
            return True

        wait_for("show sees it", seen, 30, pause=1)
        say(self.cluster.enclayer("show", "--problems"))
        say(self.cluster.enclayer("update", "--adopt"))
        told = json.loads(self.cluster.enclayer("show", "--output", "json"))["protection"]
        check(told == {"translation_works": True, "why_not": "", "flaws": []}, f"after the update: {told}")

    def hello_world(self):
        say(self.run_job("hello-world/job.yaml", "sgx-hello"))

    def ask_for_too_much(self):
        self.cluster.start_pod("greedy", ["pause"], limits={EPC: NODE_MIB + 1})
        pod = self.cluster.wait_for_pod("greedy", lambda pod: condition(pod, "PodScheduled").get("status") == "False")
        say(f"{pod['status']['phase']}: {condition(pod, 'PodScheduled')['message']}")
        check(f"Insufficient {EPC}" in condition(pod, "PodScheduled")["message"], "the reason does not name the resource")
        self.cluster.remove_pods("greedy")

    def enable_helper(self):
        say(self.cluster.enclayer("update", "--enable-sgxquotehelper"))
        self.check_helper()

    def check_helper(self):
        self.cluster.wait_for_allocatable(QUOTE, 110)
        check(self.helper.containers() == CONTAINERS, f"the helper's containers are {self.helper.containers()}")
        name = self.helper.pod()["metadata"]["name"]
        held = self.cluster.kubelet.resources()["pods"][name].get(EPC, [])
        check(len(held) == HELPER_MIB * len(CONTAINERS), f"the helper's pod holds {held}")
        say(f"{name} holds {len(held)} devices of {EPC}")
        self.check_where_our_pods_are()

    def attest(self):
        self.make_namespace("strict", "restricted")
        for namespace in ("default", "strict"):
            self.give_collateral(namespace)
            log = self.run_job("out-of-process/job.yaml", "attest-out-of-process", namespace, container="verifier")
            say(f"{namespace}: {log.splitlines()[0]}")
            check(log.startswith("TRUSTED"), f"the quote was not trusted:\n{log}")

    def attest_as_on_aks(self):
        """As it is published, but for the quotes around a 1, and an image that there is."""
        self.cluster.load_image(ATTEST, self.cluster.workload_files(), ["/workload", "attest", "64" * 64, *ENCLAVE_DEVICES])
        job = re.sub(r"value: 1\b", 'value: "1"', AKS_JOB.read_text()).replace("<registry>/<repository>:<version>", ATTEST)
        restricted = job.replace("- name: sgxtest\n", f"- name: sgxtest\n        securityContext: {json.dumps(USUAL_LINES)}\n")
        check(job.count('"1"') == 1 and restricted != job, f"the Job is another one:\n{job}")
        self.make_namespace("modest", "baseline")
        for namespace, text in (("modest", job), ("strict", restricted)):
            self.plane.kubectl("apply", "-n", namespace, "-f", "-", stdin=text)
            pod = self.cluster.wait_for_pod(self.pod_of_job("sgx-test", namespace), running, 90, namespace)
            self.check_slot(pod)
            name = pod["metadata"]["name"]
            seen = wait_for("the Job reports", lambda: json.loads(self.cluster.log(name, namespace)), 30, pause=0.2)
            check(seen["quote_exit"] == 0, seen["quote_output"])
            say(f"{namespace}: {pod['metadata']['annotations'][SLOTS_RECORD]}; {self.verified(base64.b64decode(seen['quote']))}")
            line = self.helper.audit(namespace, name)
            say(", ".join(f"{key}: {line[key]}" for key in ("message", "slot", "namespace", "pod", "container")))
        self.plane.kubectl("delete", "namespace", "modest", "--wait", timeout=120)
        self.plane.kubectl("delete", "-n", "strict", "job", "sgx-test", "--wait", timeout=120)

    def attack_slots(self):
        say(self.helper.check_rights())
        say(self.helper.attack_slots())

    def kill_helpers(self):
        """Each of the two serves once and is killed."""
        self.start_asker("asker")
        for _ in CONTAINERS:
            serves, waits = self.helper.server()
            restarts = self.helper.restarts(serves)
            killed = time.time()
            self.helper.kill(serves)
            wait_for("the other container serves", lambda: self.helper.state(waits).startswith("sockets taken"), 30, pause=0.2)
            wait_for("the pod is as before", lambda: self.helper.restarts(serves) > restarts and running(self.helper.pod()), 120, pause=0.5)
            check(self.helper.server() == (waits, serves), f"there serves {self.helper.server()}")
            failed, after = self.failures("asker", killed)
            say(f"{serves} killed, '{self.helper.state(waits)}' by {waits}: {len(failed)} requests failed, the next quote {after:.2f} s after the kill")
            check(after < TAKEN_OVER_S[self.cluster.judge_times], f"no quote for {after:.2f} s; failed: {failed}")
        self.cluster.remove_pods("asker")

    def do_without_standby(self):
        self.start_asker("asker")
        for change, containers in (("--disable-standby", CONTAINERS[:1]), ("--standby", CONTAINERS)):
            say(self.cluster.enclayer("update", change))
            check(self.helper.containers() == containers, f"the helper's containers are {self.helper.containers()}")
        self.end_asker("asker")

    def top(self):
        self.start_asker("asker")
        told, node, pod = self.look_at_asker()
        helper = next(one for one in node["pods"] if one["name"].startswith("enclayer-quote-helper-"))
        check(node["epc_mib"] == NODE_MIB and pod["asked_mib"] == 10 and helper["asked_mib"] == HELPER_MIB * len(CONTAINERS), f"asked for: {node}")
        check(pod["containers"][0]["quotes_per_minute"] == pod["quotes_per_minute"] <= node["quotes_per_minute"], f"quotes: {node}")
        check(pod["refused_per_minute"] == 0 and node["wait_p99_seconds"] is not None and node["mapped_mib"] is None, f"beside them: {node}")
        check(told["daemons"] == {"asked": 1, "answered": 1} and not told["notes"], f"who was asked: {told['daemons']}, {told['notes']}")
        say(self.cluster.enclayer("top"))
        say(self.cluster.enclayer("top", "--by", "node", "--order", "quotes", "--interval", "1"))
        self.end_asker("asker")

    def look_at_asker(self):
        """What top says, of it the node and the pod, whose quotes a minute have to be as many as the pod counts. What pods map is not to
        be had here: this node's processes are in a PID namespace of its own, which the plugin refuses."""
        def count():
            return len(self.cluster.log("asker").splitlines()), time.monotonic()

        (before, begin), told, (after, end) = count(), json.loads(self.cluster.enclayer("top", "--output", "json", "--interval", "10")), count()
        node = next(node for node in told["nodes"] if node["name"] == NODE)
        pod = next(pod for pod in node["pods"] if pod["name"] == "asker")
        counted = (after - before) / (end - begin) * 60
        say(f"{pod['quotes_per_minute']:.0f} quotes a minute, by the pod's own count {counted:.0f}; {node['wait_p99_seconds']} s of waiting at most for 99 of 100")
        check(0.7 * counted < pod["quotes_per_minute"] < 1.4 * counted, f"top says {pod['quotes_per_minute']}, the pod counted {counted}")
        return told, node, pod

    def apply_samples(self):
        self.run_job("out-of-process/job-aks.yaml", "attest-as-on-aks", judge=self.check_slot)
        say("out-of-process/job-aks.yaml: a quote, from a slot")
        self.allow_in_process()
        say("in-process/job.yaml: " + self.run_job("in-process/job.yaml", "attest-in-process", "attest-in-process"))
        self.plane.kubectl("delete", "namespace", "attest-in-process", "--wait", timeout=120)
        for file, name in (("enclave-aware/deployment.yaml", "enclave-aware"), ("confidential-container/deployment.yaml", "nginx-gramine")):
            self.plane.kubectl("apply", "-f", SAMPLES / file)
            self.plane.kubectl("rollout", "status", f"deployment/{name}", "--timeout=90s")
            say(f"{file}: every replica runs")
        self.plane.kubectl("apply", "--dry-run=server", "-f", SAMPLES / "attest/pod.yaml")

    def allow_in_process(self):
        say(self.cluster.enclayer("update", "--in-proc-attestation", "--provision-limit", PROVISION_LIMIT))
        self.cluster.wait_for_allocatable(PROVISION, PROVISION_LIMIT)

    def provision(self):
        """While pods hold all that they may have, the quote helper is still updated: its own units are counted apart."""
        limits, namespace = {EPC: 1, PROVISION: 1}, "provisioning"
        self.make_namespace(namespace, "baseline")
        said = self.cluster.start_pod("early", ["pause"], namespace, expect=1, limits=limits)
        check(f"kubectl label namespace {namespace} {ALLOWING}" in said, f"the refusal does not name the step that is left: {said}")
        self.plane.kubectl("label", "namespace", namespace, ALLOWING)
        wait_for("the label is known", lambda: self.cluster.start_pod("holder-1", ["pause"], namespace, limits=limits), 30, pause=0.5)
        self.cluster.wait_for_pod("holder-1", running, 60, namespace)
        seen, _ = self.cluster.run_workload("holder-2", ["open", "/dev/sgx_provision"], namespace, limits=limits)
        check([device["error"] for device in seen["devices"]] == [""], f"the pod saw {seen['devices']}")
        self.cluster.start_pod("waiting", ["pause"], namespace, limits=limits)
        pod = self.cluster.wait_for_pod("waiting", lambda pod: condition(pod, "PodScheduled").get("status") == "False", namespace=namespace)
        message = condition(pod, "PodScheduled")["message"]
        check(f"Insufficient {PROVISION}" in message, f"it waits for another reason: {message}")
        self.plane.kubectl("rollout", "restart", "daemonset/enclayer-quote-helper", "-n", "enclayer-system")
        self.plane.kubectl("rollout", "status", "daemonset/enclayer-quote-helper", "-n", "enclayer-system", "--timeout=90s", timeout=120)
        self.cluster.remove_pods("holder-1", namespace=namespace)
        self.cluster.wait_for_pod("waiting", running, 90, namespace)
        self.plane.kubectl("delete", "namespace", namespace, "--wait", timeout=120)
        say(f"{message}; it runs once another pod has ended")

    def autoscale(self):
        """The sample's autoscaler, on a Deployment of the name that it expects, whose pods are busy."""
        self.plane.start_metrics()
        self.plane.kubectl("delete", "deployment", "enclave-aware", "--wait")
        self.plane.apply(busy_deployment())
        begin = time.monotonic()
        self.plane.kubectl("apply", "-f", SAMPLES / "autoscaling/hpa.yaml")

        def grown():
            ready = self.plane.read("/apis/apps/v1/namespaces/default/deployments/enclave-aware")["status"].get("readyReplicas", 0)
            check(ready > 1, f"{ready} ready; {self.plane.kubectl('get', 'hpa', '--no-headers').strip()}")
            return ready

        ready = wait_for("more pods", grown, 180, pause=1)
        say(f"{ready} pods with EPC after {time.monotonic() - begin:.0f} s; {self.plane.kubectl('get', 'hpa', '--no-headers').strip()}")
        self.plane.kubectl("delete", "-f", SAMPLES / "autoscaling/hpa.yaml")
        self.plane.kubectl("delete", "deployment", "enclave-aware", "--wait")
        self.plane.stop_metrics()

    def update_under_load(self):
        """`asker-before` got the folder of the legacy socket from the plugin of before; `asker` has a slot."""
        other = self.cluster.image + "-other"
        self.cluster.load_image(other, self.cluster.image_files(), ["/usr/bin/enclayer"])
        self.go_back_to_the_manifests_before()
        self.start_asker("asker-before")
        askers = ["asker-before"]
        holders = self.containers()
        for change, images in [([], {self.cluster.image}), (["--image", other], {other}), (["--rollback"], {self.cluster.image})]:
            begin = time.monotonic()
            say(self.cluster.enclayer("update", *change))
            check(set(self.images().values()) == images, f"images are {self.images()}")
            say(f"update {' '.join(change)}: {time.monotonic() - begin:.0f} s")
            if len(askers) == 1:
                self.start_asker("asker")
                askers.append("asker")
                holders = holders | self.containers()
        check(self.containers() == holders, "a pod with EPC was started again")
        say(f"{len(holders)} pods with EPC kept their containers")
        for name in askers:
            self.end_asker(name)

    def go_back_to_the_manifests_before(self):
        """What an earlier enclayer would have left, by its field manager; with today's programs: there is no image of that time."""
        text = re.sub(r"(image: ).*", rf"\g<1>{self.cluster.image}", (E2E / "previous.yaml").read_text())
        self.plane.kubectl("apply", "--server-side", "--force-conflicts", "--field-manager=enclayer", "-f", "-", stdin=text)
        for name in self.images():
            self.cluster.wait_for_daemon_set(name, NAMESPACE)
        arguments = self.our_pod("device-plugin")["spec"]["containers"][0]["args"]
        check(not any(argument.startswith("--enclave-limit") for argument in arguments), f"these are today's: {arguments}")

    def fail_the_self_test(self):
        broken = self.cluster.image + "-broken"
        # In place of the helper a program that knows none of its flags.
        files = self.cluster.image_files() | {"/usr/bin/enclayer-quote-helper": self.cluster.paths["programs"] / "workload"}
        self.cluster.load_image(broken, files, ["/usr/bin/enclayer"])
        before = self.images()
        try:
            said = self.cluster.enclayer("update", "--image", broken)
        except Failure as why:
            say(str(why).splitlines()[-1])
        else:
            raise Failure(f"it went through:\n{said}")
        check(self.images() == before, f"images were {before}, now {self.images()}")
        seen, _ = self.cluster.run_workload("after-failure", ["attest", "00" * 64, *ENCLAVE_DEVICES], limits={EPC: 10, QUOTE: 1})
        check(seen["quote_exit"] == 0, seen["quote_output"])
        self.cluster.remove_pods("after-failure")

    def update_without_room(self):
        other = self.cluster.image + "-other"
        free = json.loads(self.cluster.enclayer("show", "--output", "json"))["nodes"][0]["epc_mib"]["free"]
        self.cluster.start_pod("filler", ["pause"], limits={EPC: free - HELPER_MIB * len(CONTAINERS) + 1})
        self.cluster.wait_for_pod("filler", running)
        # Nor is there room for a self-test.
        waited = self.cluster.enclayer("update", "--image", other, "--no-self-test", "--timeout", "25", expect=4)
        say(waited)
        check(f"no room for two: {NODE}" in waited, "the node is not named")
        check(self.serving() == [self.cluster.image], f"there should be the helper before, there are {self.serving()}")
        say(self.cluster.enclayer("update", "--no-self-test", "--allow-gap"))
        check(self.serving() == [other], f"there should be the new helper, there are {self.serving()}")
        self.cluster.remove_pods("filler")
        say(self.cluster.enclayer("update", "--image", self.cluster.image))

    def show(self):
        say(self.cluster.enclayer("show"))
        told = json.loads(self.cluster.enclayer("show", "--output", "json"))
        check([node["name"] for node in told["nodes"]] == [NODE] and told["nodes_without_sgx"] == ORDINARY_NODES, f"show says {told['nodes']}")
        check(told["protection"] == {"translation_works": True, "why_not": "", "flaws": []}, f"show says {told['protection']}")

    def show_with_the_role(self):
        self.plane.authority.issue("onlooker", "onlooker")
        onlooker = self.plane.authority.kubeconfig("onlooker", self.plane.server)
        refused = self.cluster.enclayer("show", "--kubeconfig", onlooker, expect=3)
        check("cannot list" in refused, refused)
        self.plane.kubectl("create", "clusterrolebinding", "onlooker", "--clusterrole=enclayer-show", "--user=onlooker")

        def seen():  # the API server takes a moment to hear of the binding
            return json.loads(self.cluster.enclayer("show", "--kubeconfig", onlooker, "--output", "json"))

        told, full = wait_for("the role is enough", seen, 30, pause=0.5), json.loads(self.cluster.enclayer("show", "--output", "json"))
        for key in ("on", "settings", "parts", "policies", "nodes"):
            check(told[key] == full[key], f"{key}: {told[key]}, and for an administrator {full[key]}")
        check(told["protection"]["translation_works"] is None and not told["quote_helpers"], f"it has tried a pod, or asked a helper: {told}")
        say("\n".join(told["warnings"]))
        check(any("pods/exec" in warning for warning in told["warnings"]), "what was left out is not said")
        self.plane.kubectl("delete", "clusterrolebinding", "onlooker")

    def refuse_to_disable(self):
        self.cluster.start_pod("holder", ["pause"], limits={QUOTE: 1})
        self.cluster.wait_for_pod("holder", running)
        refused = self.cluster.enclayer("disable", expect=5)
        check(f"default/holder on {NODE}: 1 of {QUOTE}" in refused, refused)
        self.cluster.remove_pods("holder")
        self.cluster.start_pod("holder", ["pause"], limits={EPC: 10})
        self.cluster.wait_for_pod("holder", running)
        refused = self.cluster.enclayer("disable", expect=5)
        say(refused)
        check(f"default/holder on {NODE}: 10 MiB of EPC" in refused, "the pod is not named")

    def leave_while_held(self):
        self.cluster.label_node("enclayer.io/sim-")
        self.cluster.wait_for_allocatable(EPC, 0, 120)
        told = json.loads(self.cluster.enclayer("show", "--output", "json"))
        lines = [line for line in [*(node["reason"] for node in told["nodes"]), *told["warnings"]] if "default/holder" in line]
        check(lines and "of which the node offers 0" in lines[0], f"the pod is not named: {told}")
        check(told["nodes"][0]["epc_mib"]["free"] == 0, f"free are {told['nodes'][0]['epc_mib']}")
        say(lines[0])
        self.cluster.label_node("enclayer.io/sim=true")
        self.cluster.wait_for_allocatable(EPC, NODE_MIB, 120)
        self.check_helper()
        self.cluster.remove_pods("holder")

    def disable(self):
        self.clear()
        say(self.cluster.enclayer("disable"))
        self.check_nothing_left()
        labels = [label for label in self.cluster.node()["metadata"]["labels"] if label.startswith("enclayer.io/")]
        check(labels == ["enclayer.io/sim"], f"the node has {labels}")
        self.cluster.label_node("enclayer.io/sim-")
        self.leave()

    # --- what the steps are made of

    def clear(self):
        """Nothing of the samples holds EPC any more."""
        self.plane.kubectl("delete", "-n", "default", "deployments,jobs,horizontalpodautoscalers,configmaps", "--all", "--wait", timeout=120)
        self.plane.kubectl("delete", "namespace", "strict", "--wait", timeout=120)
        wait_for("no pod holds EPC", lambda: not self.plane.read("/api/v1/namespaces/default/pods")["items"], 60, pause=0.3)

    def check_nothing_left(self):
        left = self.plane.kubectl("get", KINDS, "-l", OURS, "-o", "name")
        check(not left, f"these are left: {left}")
        self.cluster.wait_for_allocatable(EPC, 0)

    def unlabel(self):
        ours = [key for key in self.cluster.node()["metadata"]["labels"] if key.startswith("enclayer.io/")]
        self.cluster.label_node(*(f"{key}-" for key in ours))

    def leave(self):
        self.plane.kubectl("delete", "nodes", "-l", "type=kwok", timeout=120)
        self.plane.kwok.stop()
        self.cluster.forget_devices()

    def our_pods(self):
        return self.plane.read(f"/api/v1/namespaces/{NAMESPACE}/pods")["items"]

    def our_pod(self, component):
        found = [pod for pod in self.our_pods() if pod["metadata"]["labels"].get("app.kubernetes.io/component") == component]
        check(len(found) == 1, f"{len(found)} pods of {component}")
        return found[0]

    def serving(self):
        """The images of quote helpers that run, and stay."""
        return [pod["spec"]["containers"][0]["image"] for pod in self.our_pods()
                if pod["metadata"]["labels"].get("app.kubernetes.io/component") == "quote-helper" and running(pod) and "deletionTimestamp" not in pod["metadata"]]

    def check_where_our_pods_are(self):
        """detect looks at every node; everything else is on SGX nodes only."""
        elsewhere = [pod["metadata"]["name"] for pod in self.our_pods()
                     if pod["spec"].get("nodeName") != NODE and pod["metadata"]["labels"].get("app.kubernetes.io/component") != "detect"]
        check(not elsewhere, f"on nodes without SGX: {elsewhere}")

    def generations(self):
        sets = self.plane.read(f"/apis/apps/v1/namespaces/{NAMESPACE}/daemonsets")["items"]
        return {one["metadata"]["name"]: one["metadata"]["generation"] for one in sets}

    def images(self):
        sets = self.plane.read(f"/apis/apps/v1/namespaces/{NAMESPACE}/daemonsets")["items"]
        return {one["metadata"]["name"]: one["spec"]["template"]["spec"]["containers"][0]["image"] for one in sets}

    def start_asker(self, name):
        """A pod that asks for one quote after the other."""
        self.cluster.start_pod(name, ["quotes"], limits={EPC: 10, QUOTE: 1})
        self.cluster.wait_for_pod(name, running)
        wait_for(f"{name} has a quote", lambda: "quote after" in self.cluster.log(name), 30, pause=0.2)

    def end_asker(self, name):
        """Nothing that it asked has failed."""
        lines = self.cluster.log(name).splitlines()
        failed = [line for line in lines if not line.startswith("quote ")]
        check(not failed, f"{len(failed)} of {len(lines)} requests of {name} failed, the first: {failed[:1]}")
        say(f"{name}: {len(lines)} quotes, none failed, the slowest took {max(map(milliseconds, lines))} ms")
        self.cluster.remove_pods(name)

    def failures(self, name, since):
        """The asker's requests that failed since that time (seconds since 1970), and when, from then on, quotes came again."""
        stamped = self.plane.raw(f"/api/v1/namespaces/default/pods/{name}/log", timestamps="true").splitlines()
        answers = [(datetime.fromisoformat(when).timestamp() - since, what) for when, _, what in (line.partition(" ") for line in stamped)]
        failed = [(after, what) for after, what in answers if not what.startswith("quote ") and after > 0]
        return failed, next(after for after, what in answers if what.startswith("quote ") and after > max([0, *(at for at, _ in failed)]))

    def containers(self):
        """Of the pods in `default` that run."""
        pods = self.plane.read("/api/v1/namespaces/default/pods")["items"]
        return {pod["metadata"]["name"]: pod["status"]["containerStatuses"][0]["containerID"] for pod in pods if running(pod)}

    def give_collateral(self, namespace):
        """As samples/out-of-process/README.md says."""
        self.plane.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "quote-collateral", "namespace": namespace}, "data": self.collateral()})

    def collateral(self):
        return {name: self.plane.kubectl("exec", "-n", NAMESPACE, "ds/enclayer-quote-helper", "--", "enclayer", "sim", "export", option, "-")
                for option, name in (("--out", "collateral.json"), ("--root-ca-out", "root.pem"))}

    def verified(self, quote):
        """What `enclayer verify` says of a quote that has to be trusted."""
        work = self.cluster.work
        for name, text in self.collateral().items():
            (work / name).write_text(text)
        (work / "quote.bin").write_bytes(quote)
        said = self.cluster.enclayer("verify", "--quote", work / "quote.bin", "--collateral", work / "collateral.json", "--root-ca", work / "root.pem")
        check(said.startswith("TRUSTED"), f"the quote was not trusted:\n{said}")
        return said.splitlines()[0]

    def make_namespace(self, name, level):
        self.plane.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"pod-security.kubernetes.io/enforce": level}}})

    def pod_of_job(self, name, namespace="default"):
        pods = f"/api/v1/namespaces/{namespace}/pods"
        return wait_for(f"a pod of {name}", lambda: self.plane.read(pods, labelSelector=f"job-name={name}")["items"], 60)[0]["metadata"]["name"]

    def check_slot(self, pod):
        """A pod that was written with a volume of the host, as it was admitted."""
        check(not any("hostPath" in volume for volume in pod["spec"]["volumes"]), f"it has the volumes {pod['spec']['volumes']}")
        limits = pod["spec"]["containers"][0]["resources"]["limits"]
        check(limits[QUOTE] == "1" and SLOTS_RECORD in pod["metadata"]["annotations"], f"it asks for {limits}, and is annotated {pod['metadata']['annotations']}")

    def run_job(self, file, name, namespace="default", container=None, judge=lambda pod: None):
        """A Job of samples/, until it has succeeded; its log. `judge` looks at its pod. It is removed again."""
        self.plane.kubectl("apply", "-n", namespace, "-f", SAMPLES / file)
        pod = self.cluster.wait_for_pod(self.pod_of_job(name, namespace), ended, 90, namespace)
        judge(pod)
        log = self.cluster.log(pod["metadata"]["name"], namespace, container).strip()
        check(pod["status"]["phase"] == "Succeeded", f"{file}: {pod['status']['phase']}: {log}")
        self.plane.kubectl("delete", "job", "-n", namespace, name, "--wait")
        return log


class Rendered(Addon):
    """The same without `enclayer enable`: what `enclayer render` prints, applied by kubectl, as a GitOps tool would."""

    def listed(self):
        return [
            (f"the images of samples/, and {ORDINARY_NODES} ordinary nodes", self.prepare),
            ("enclayer render --platform sim | kubectl apply: the labelled node offers its EPC, the others are left alone", self.apply),
            ("samples/hello-world: 10 MiB, with its device", self.hello_world),
            ("the same with --enable-sgxquotehelper: the helper's own pod got its EPC from the plugin", self.apply_helper),
            ("kubectl delete: nothing is left but the node's labels", self.delete),
        ]

    def render(self, *more):
        self.manifests = self.cluster.enclayer("render", "--platform", "sim", "--image", self.cluster.image, *more)
        self.plane.kubectl("apply", "--server-side", "-f", "-", stdin=self.manifests)

    def apply(self):
        self.render()
        begin = time.monotonic()
        self.cluster.wait_for_allocatable(EPC, NODE_MIB)
        say(f"{time.monotonic() - begin:.1f} s to {NODE_MIB} MiB in the node's status")
        labels = self.cluster.node()["metadata"]["labels"]
        say(", ".join(f"{key}={value}" for key, value in sorted(labels.items()) if key.startswith("enclayer.io/")))
        self.check_where_our_pods_are()

    def apply_helper(self):
        self.render("--enable-sgxquotehelper")
        self.cluster.wait_for_daemon_set("enclayer-quote-helper", NAMESPACE, HELPER_SECONDS)
        self.check_helper()

    def delete(self):
        self.plane.kubectl("delete", "-f", "-", "--wait", stdin=self.manifests, timeout=180)
        self.check_nothing_left()
        self.unlabel()
        self.leave()


class Helm(Addon):
    """The same by helm, with the chart."""

    def listed(self):
        return [
            (f"the images of samples/, and {ORDINARY_NODES} ordinary nodes", self.prepare),
            ("helm install: the labelled node offers its EPC, the others are left alone", self.install),
            ("enclayer show sees it, enclayer enable and disable leave it to Helm, by name", self.see_helm),
            ("samples/hello-world: 10 MiB, with its device", self.hello_world),
            ("helm upgrade --set quoteHelper=true: the helper's own pod got its EPC from the plugin", self.upgrade),
            ("helm rollback: no helper, and the EPC stays", self.rollback),
            ("helm uninstall: nothing is left but the namespace and the node's labels", self.uninstall),
        ]

    def helm(self, *arguments):
        say(self.cluster.helm(*arguments, "--namespace", NAMESPACE, timeout=HELPER_SECONDS + 60).splitlines()[0])

    def install(self):
        self.helm("install", "enclayer", CHART, "--create-namespace", "--wait", "--set", "platform=sim", "--set", f"image={self.cluster.image}")
        self.cluster.wait_for_allocatable(EPC, NODE_MIB)
        self.check_where_our_pods_are()

    def see_helm(self):
        told = json.loads(self.cluster.enclayer("show", "--output", "json"))
        release = f"Helm release {NAMESPACE}/enclayer"
        check(told["on"] and told["kept_by"] == release and told["settings"] is None, f"show says {told}")
        check(told["protection"] == {"translation_works": True, "why_not": "", "flaws": []}, f"show says {told['protection']}")
        say(self.cluster.enclayer("show"))
        for command in ("enable", "disable"):
            refused = self.cluster.enclayer(command, expect=5)
            check(release in refused and "ClusterRole" not in refused, refused)
            say(refused)

    def upgrade(self):
        self.helm("upgrade", "enclayer", CHART, "--wait", "--reuse-values", "--set", "quoteHelper=true")
        self.cluster.wait_for_daemon_set("enclayer-quote-helper", NAMESPACE, HELPER_SECONDS)
        self.check_helper()

    def rollback(self):
        self.helm("rollback", "enclayer", "1", "--wait")
        self.cluster.wait_for_allocatable(QUOTE, 0)
        check(sorted(self.images()) == ["enclayer-detect", "enclayer-device-plugin"], f"there are {sorted(self.images())}")
        self.cluster.wait_for_allocatable(EPC, NODE_MIB)

    def uninstall(self):
        self.helm("uninstall", "enclayer", "--wait")
        self.check_nothing_left()
        self.plane.kubectl("delete", "namespace", NAMESPACE, "--wait", timeout=180)
        self.unlabel()
        self.leave()


def busy_deployment():
    container = {
        "name": "main", "image": WORKLOAD_IMAGE, "args": ["quotes"], "resources": {"requests": {"cpu": "10m"}, "limits": {EPC: "10", QUOTE: "1"}},
    }
    labels = {"app": "enclave-aware"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "enclave-aware", "namespace": "default"},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container], "terminationGracePeriodSeconds": 1}},
        },
    }


def milliseconds(line):
    """`quote after 1.203s`, `quote after 34ms`."""
    amount, unit = re.search(r"after ([0-9.]+)(ms|s)", line).groups()
    return round(float(amount) * (1 if unit == "ms" else 1000))
