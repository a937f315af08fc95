"""What happens on the node, step by step: a small node and all that befalls it, then a large one, then what it costs."""

import copy
import json
import os
import secrets
import sys
import time
from base64 import b64decode
from datetime import datetime, timezone
from pathlib import Path

from .builds import E2E
from .cost import Cost
from .large import Large
from .node import full_name
from .process import Daemon, output, wait_for
from .slots import Slots
from .steps import check, say
from .testbed import ENCLAVE_DEVICES, EPC, HELPER_USER, QUOTE, QUOTE_LIMIT, SGX_GROUP, STAND_IN_KIND, Testbed, check_devices, check_opens, make_node
from .update import Update

EPC_MIB = 64
POD_MIB = 10
TOO_MUCH_MIB = EPC_MIB - POD_MIB + 1
RESTARTS = 3  # a plugin that notices them by luck fails one of them
REPORT_DATA = slice(48 + 320, 48 + 384)  # in a quote v3, bytes

# What the `restricted` pod security level wants of a pod, and a group for the device, whose mode is 0660.
RESTRICTED_POD = {
    "runAsNonRoot": True, "runAsUser": 65532, "runAsGroup": 65532, "supplementalGroups": [SGX_GROUP],
    "seccompProfile": {"type": "RuntimeDefault"},
}
RESTRICTED_CONTAINER = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


class Scenario:
    def __init__(self, steps, work, logs, paths, judge_times):
        self.steps = steps
        self.work = work
        self.logs = logs
        self.paths = paths
        self.judge_times = judge_times
        self.testbed = Testbed(work, logs, paths)
        self.kubelet = self.testbed.kubelet
        self.plugin = self.testbed.plugin
        self.collateral = work / "collateral.json"
        self.root = work / "root.pem"
        self.quotes = []
        self.ids = {}  # pod -> what it was given

    def run(self):
        try:
            for title, act in [
                *self.listed(), *Update(self.work, self.logs, self.paths).listed(), *Large(self.testbed).listed(), *Cost(self.testbed).listed(),
            ]:
                with self.steps.step(title):
                    act()
                    if self.kubelet.daemon in Daemon.running:
                        self.testbed.resources()  # fails when a device is given twice
        except BaseException:
            for daemon in Daemon.running:
                print(daemon.tail(), flush=True)
            raise

    def listed(self):
        return [
            ("containerd, with two images made here", self.testbed.start_containerd),
            ("a standalone kubelet", self.start_kubelet),
            ("enclayer-quote-helper answers on its socket", self.start_helper),
            (f"enclayer-device-plugin: the kubelet sees {EPC_MIB} MiB of EPC", self.start_plugin),
            (f"a pod with {POD_MIB} MiB of EPC opens its device and gets a quote", self.attest_in_a_pod),
            ("a pod without EPC cannot open such a device", self.be_refused_the_device),
            (f"a pod that asks for {TOO_MUCH_MIB} MiB fails, and says of what there is too little", self.ask_for_too_much),
            (f"the kubelet restarts {RESTARTS} times: the EPC is back, its owner kept it", self.restart_kubelet),
            ("a new pod gets EPC and a quote from the restarted kubelet", self.attest_after_the_restart),
            ("the plugin is killed and started again: the pods kept their devices, a new one gets others", self.kill_plugin),
            (f"a pod with {QUOTE}, without any volume, at the restricted level, gets a quote", self.attest_without_a_volume),
            (f"no quote helper, no {QUOTE}; the EPC stays", self.stop_and_start_helper),
            ("pods are told apart by their slots: holders.json and the line for a quote name each", self.tell_pods_apart),
            ("the device vanishes: no EPC; it comes back: all of it; its owners run on", self.lose_device),
            *Slots(self.testbed, self.quotes, self.judge_times).listed(),
            ("the unmodified Rust crate aesm-client gets a quote", self.attest_with_aesm_client),
            ("enclayer verify trusts each quote with the simulation's root, and none with Intel's", self.verify_quotes),
            ("the unmodified dcap-qvl agrees, and refuses a changed quote", self.verify_with_dcap_qvl),
            ("both daemons end cleanly on SIGTERM", self.stop_daemons),
        ]

    def start_kubelet(self):
        self.testbed.start_kubelet()
        say(output([self.paths["kubernetes"] / "kubelet", "--version"]))

    def start_helper(self):
        self.testbed.aesm_folder.mkdir()
        self.testbed.start_helper()
        output(
            [self.testbed.product("enclayer"), "sim", "export", "--state-dir", self.testbed.helper_state, "--out", self.collateral,
             "--root-ca-out", self.root]
        )

    def start_plugin(self):
        make_node(self.testbed.device)
        check(self.testbed.allocatable(EPC) == 0, f"{EPC} is there before the plugin was started")
        started = time.monotonic()
        self.testbed.start_plugin(EPC_MIB)
        self.wait_for_epc()
        say(f"{time.monotonic() - started:.2f} s from the plugin's start to {EPC_MIB} devices in the pod-resources API")

    def attest_in_a_pod(self):
        self.attest("owner", **self.with_mounted_socket())

    def be_refused_the_device(self):
        clone = self.work / "clone"
        make_node(clone)
        check_opens(clone)
        seen, _ = self.testbed.run_workload("stranger", ["open", ENCLAVE_DEVICES[0]], mounts=[(clone, "CharDevice", ENCLAVE_DEVICES[0])])
        expected = [{"path": ENCLAVE_DEVICES[0], "kind": STAND_IN_KIND, "error": "EPERM"}]
        check(seen["devices"] == expected, f"expected {expected}, the pod saw {seen['devices']}")
        say(f"{ENCLAVE_DEVICES[0]} ({STAND_IN_KIND}), mounted but not granted: EPERM")
        self.kubelet.remove_pod("stranger")

    def ask_for_too_much(self):
        self.kubelet.run_pod(self.testbed.workload_pod("greedy", ["pause"], limits={EPC: TOO_MUCH_MIB}))
        pod = self.testbed.wait_for_pod("greedy", lambda pod: pod["status"]["phase"] == "Failed")
        reason, message = pod["status"].get("reason", ""), pod["status"].get("message", "")
        say(f"{reason}: {message}")
        check(EPC in reason + message, f"neither reason nor message names {EPC}")
        self.check_owners_keep()
        self.kubelet.remove_pod("greedy")

    def restart_kubelet(self):
        before = self.containers()
        for _ in range(RESTARTS):
            self.kubelet.daemon.stop()
            started = time.monotonic()
            self.kubelet.start()
            self.wait_for_epc()
            say(f"{time.monotonic() - started:.2f} s from the kubelet's start to {EPC_MIB} devices again")
        self.check_owners_keep(before)

    def attest_after_the_restart(self):
        self.attest("newcomer", **self.with_mounted_socket())
        self.check_owners_keep()

    def kill_plugin(self):
        before = self.containers()
        self.plugin.kill()
        self.wait_for_epc(0)
        say("killed with SIGKILL: 0 devices allocatable")
        self.check_owners_keep(before)
        started = time.monotonic()
        self.testbed.start_plugin(EPC_MIB)
        self.wait_for_epc()
        say(f"{time.monotonic() - started:.2f} s from the plugin's new start to {EPC_MIB} devices again")
        self.check_owners_keep(before)
        self.ids["latecomer"], _ = self.testbed.run_enclave("latecomer", POD_MIB)
        self.check_owners_keep(before)

    def attest_without_a_volume(self):
        self.testbed.wait_for_devices(QUOTE, QUOTE_LIMIT)
        options = {"limits": {EPC: POD_MIB, QUOTE: 1}, "pod_security": RESTRICTED_POD, "container_security": RESTRICTED_CONTAINER}
        self.check_pod_security(options)
        seen = self.attest("volunteer", **options)
        check(seen["user"] == RESTRICTED_POD["runAsUser"], f"it ran as user {seen['user']}")
        spec = self.kubelet.pod("volunteer")["spec"]
        check("volumes" not in spec and "volumeMounts" not in spec["containers"][0], f"the pod has volumes: {spec}")
        say(f"as user {seen['user']}, without volumes; SGX_AESM_ADDR={seen['sgx_aesm_addr']} came with {QUOTE}")

    def check_pod_security(self, options):
        """By Kubernetes' own pod security admission; and the pod that mounts the socket itself does not pass it."""
        arguments = ["pause"]
        output([self.testbed.program("podsecurity"), "restricted"], stdin=json.dumps(self.testbed.workload_pod("volunteer", arguments, **options)))
        mounting = {**copy.deepcopy(options), "mounts": self.with_mounted_socket()["mounts"]}
        refused = output(
            [self.testbed.program("podsecurity"), "restricted"], expect=2,
            stdin=json.dumps(self.testbed.workload_pod("volunteer", arguments, **mounting)),
        )
        check("hostPath" in refused, f"refused, but not for its hostPath: {refused}")
        say(f"pod security admission allows it as restricted; with a hostPath for the socket: {refused.strip()}")

    def stop_and_start_helper(self):
        self.testbed.stop_daemon(self.testbed.helper)
        started = time.monotonic()
        self.testbed.wait_for_devices(QUOTE, 0)
        say(f"{time.monotonic() - started:.2f} s from the helper's end to 0 allocatable")
        check(self.testbed.allocatable(EPC) == EPC_MIB, "the EPC went with the quote helper")
        started = time.monotonic()
        self.testbed.start_helper()
        self.testbed.wait_for_devices(QUOTE, QUOTE_LIMIT)
        say(f"{time.monotonic() - started:.2f} s from the helper's start to {QUOTE_LIMIT} allocatable")
        self.check_owners_keep()

    def tell_pods_apart(self):
        seen = [line.split() for line in Path(f"/proc/{self.testbed.helper.pid}/status").read_text().splitlines()]
        status = {fields[0]: fields[1:] for fields in seen if fields}
        check(
            status["Uid:"] == [str(HELPER_USER)] * 4 and int(status["CapEff:"][0], 16) == 0,
            f"the helper runs as {status['Uid:']}, {status['CapEff:']}",
        )
        say(f"the helper runs as user {HELPER_USER}, without capabilities")

        before = len(self.helper_lines("quote made"))
        with_slot = {"limits": {EPC: POD_MIB, QUOTE: 1}}
        holders = {}
        for name in ("named", "other"):
            self.attest(name, **with_slot)
            slot, holder = self.testbed.slot_of(name)
            expected = {
                "generation": holder["generation"],
                "namespace": "default",
                "pod": full_name(name),
                "uid": self.testbed.kubelet.pod(name)["metadata"]["uid"],
                "container": "main",
                "epcMiB": POD_MIB,
            }
            check(holder == expected, f"holders.json says of {slot}: {holder}; expected {expected}")
            holders[name] = slot
        check(holders["named"] != holders["other"], f"both pods are said to hold the slot {holders['named']}")
        self.attest("outsider", **{**self.with_mounted_socket(), "limits": {EPC: 1}}, mib=1)

        made = [
            {key: line[key] for key in ("slot", "namespace", "pod", "container")} for line in self.helper_lines("quote made")[before:]
        ]
        expected = [
            *({"slot": holders[name], "namespace": "default", "pod": full_name(name), "container": "main"} for name in ("named", "other")),
            {"slot": "legacy", "namespace": "", "pod": "", "container": ""},
        ]
        check(made == expected, f"expected the lines {expected}, the log has {made}")
        for line in made:
            say(f"quote made: {' '.join(f'{key}={value}' for key, value in line.items())}")
        gone = ("other", "outsider")
        for name in gone:
            self.kubelet.remove_pod(name)
            del self.ids[name]
        wait_for("what they held is free", lambda: self.testbed.resources()["pods"].keys().isdisjoint(map(full_name, gone)), 60)
        self.check_owners_keep()

    def helper_lines(self, message):
        lines = [json.loads(line) for line in self.testbed.helper.log.read_text().splitlines()]
        return [line for line in lines if line["message"] == message]

    def lose_device(self):
        before = self.containers()
        self.testbed.device.unlink()
        started = time.monotonic()
        self.wait_for_epc(0)
        say(f"{time.monotonic() - started:.2f} s from the device's removal to 0 allocatable")
        self.check_owners_keep(before)
        make_node(self.testbed.device)
        started = time.monotonic()
        self.wait_for_epc()
        say(f"{time.monotonic() - started:.2f} s from the device's return to {EPC_MIB} allocatable")
        self.check_owners_keep(before)
        self.ids["returner"], _ = self.testbed.run_enclave("returner", POD_MIB)

    def attest_with_aesm_client(self):
        quote = self.work / "aesm-client.quote"
        say(output([self.paths["aesm_client"], self.testbed.aesm_socket, quote]))
        self.quotes.append(quote)

    def verify_quotes(self):
        for quote in self.quotes:
            trusted = self.verify(quote, ["--root-ca", self.root], expect=0)
            check(
                trusted["verdict"] == "trusted" and trusted["simulated"] is True and trusted["root"] == "custom",
                f"{quote.name}: expected trusted, simulated, custom root; got {trusted}",
            )
            refused = self.verify(quote, [], expect=2)
            check(refused["verdict"] == "untrusted", f"{quote.name}: expected untrusted with Intel's root; got {refused}")
            say(f"{quote.name}: trusted ({trusted['tcb_status']}, simulated); with Intel's root untrusted ({refused['reason']})")

    def verify_with_dcap_qvl(self):
        for quote in self.quotes:
            accepted = self.judge(quote, [self.root], expect=0)
            check(accepted == "accepted: UpToDate", f"{quote.name}: {accepted}")
            refused = self.judge(quote, [], expect=2)
            say(f"{quote.name}: {accepted}; without our root {refused}")
        changed = self.work / "changed.quote"
        content = bytearray(self.quotes[0].read_bytes())
        content[REPORT_DATA.start] ^= 1
        changed.write_bytes(content)
        say(f"{changed.name}: {self.judge(changed, [self.root], expect=2)}")

    def stop_daemons(self):
        self.testbed.stop_daemon(self.plugin)
        self.testbed.stop_daemon(self.testbed.helper)
        self.testbed.remove_pods()
        self.ids.clear()

    # --- what the steps are made of

    def attest(self, name, mib=POD_MIB, **options):
        """A pod with EPC that opens its devices and gets a quote; keeps running. Gives what it saw."""
        report_data = secrets.token_hex(64)
        seen, seconds = self.testbed.run_workload(name, ["attest", report_data, *ENCLAVE_DEVICES], **options)
        say(f"{seconds:.1f} s from the manifest to the pod's result")
        check_devices(seen)
        check(seen["platform"] == "sim", f"ENCLAYER_PLATFORM is '{seen['platform']}', expected 'sim'")
        check(seen["sgx_aesm_addr"] == "1", f"SGX_AESM_ADDR is '{seen['sgx_aesm_addr']}', expected '1'")
        check(seen["quote_exit"] == 0, f"{seen['quote_command']}: exit {seen['quote_exit']}\n{seen['quote_output']}")
        quote = self.work / f"{name}.quote"
        quote.write_bytes(b64decode(seen["quote"]))
        quoted = quote.read_bytes()[REPORT_DATA].hex()
        check(quoted == report_data, f"the quote's report data is {quoted}, the pod asked for {report_data}")
        self.quotes.append(quote)
        self.ids[name] = self.testbed.ids_of(name, mib)
        say(f"{', '.join(ENCLAVE_DEVICES)} opened ({STAND_IN_KIND}), ENCLAYER_PLATFORM=sim, {mib} devices held")
        say(f"a quote of {quote.stat().st_size} bytes through /var/run/aesmd/aesm.socket, with the pod's own report data")
        return seen

    def with_mounted_socket(self):
        """A pod that sees to the socket itself, as existing manifests do."""
        return {
            "limits": {EPC: POD_MIB}, "mounts": [(self.testbed.aesm_folder, "Directory", "/var/run/aesmd")], "env": {"SGX_AESM_ADDR": "1"},
        }

    def containers(self):
        return {name: wait_for(f"the kubelet reports {name} as running", lambda: self.testbed.container(name), 60) for name in self.ids}

    def check_owners_keep(self, containers=None):
        """Whoever was given devices runs, in the same container if `containers` are given, and holds exactly those devices."""
        for name, container in self.containers().items():
            check(container == (containers or {}).get(name, container), f"{name}'s container is another one than before")
            held = self.testbed.resources()["pods"][full_name(name)][EPC]
            check(sorted(held) == self.ids[name], f"{name} held {self.ids[name]}, now {held}")

    def wait_for_epc(self, count=EPC_MIB):
        self.testbed.wait_for_devices(EPC, count)

    def verify(self, quote, options, expect):
        now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        return json.loads(
            output(
                [self.testbed.product("enclayer"), "verify", "--quote", quote, "--collateral", self.collateral, "--at", now,
                 "--output", "json", *options],
                expect=expect,
            )
        )

    def judge(self, quote, root, expect):
        return output(
            [sys.executable, E2E / "python/verify.py", quote, self.collateral, int(time.time()), *root],
            expect=expect, env={**os.environ, "PYTHONPATH": str(self.paths["verifiers"])},
        ).strip()
