"""What happens on the node, step by step."""

import json
import os
import secrets
import stat
import sys
import time
from datetime import datetime, timezone
from pathlib import Path

from . import image
from .builds import E2E
from .node import PAUSE_IMAGE, Containerd, Kubelet, full_name, pod_manifest, why_not_running
from .process import Daemon, output, wait_for
from .steps import Failure, check, say

RESOURCE = "kubernetes.azure.com/sgx_epc_mem_in_MiB"
EPC_MIB = 64
POD_MIB = 10
TOO_MUCH_MIB = EPC_MIB - POD_MIB + 1
RESTARTS = 3  # a plugin that notices them by luck fails one of them

WORKLOAD_IMAGE = "localhost/enclayer-e2e/workload:1"
ENCLAVE_DEVICES = ["/dev/sgx_enclave", "/dev/sgx/enclave"]
# The numbers of /dev/fuse: a device that no container may open by itself, and whose driver lets itself be opened.
STAND_IN = os.makedev(10, 229)
STAND_IN_KIND = "c 10:229"
REPORT_DATA = slice(48 + 320, 48 + 384)  # in a quote v3, bytes


class Scenario:
    """`paths` names what was built: product (folder), kubelet, podresources, workload, aesm_client, dcap_qvl (folder)."""

    def __init__(self, steps, work, logs, paths):
        self.steps = steps
        self.work = work
        self.paths = paths
        self.containerd = Containerd(work, logs)
        self.kubelet = Kubelet(paths["kubelet"], paths["podresources"], self.containerd, work, logs)
        self.plugin = Daemon("enclayer-device-plugin", logs / "enclayer-device-plugin.log")
        self.helper = Daemon("enclayer-quote-helper", logs / "enclayer-quote-helper.log")
        self.helper_state = work / "helper-state"
        self.aesm_folder = work / "aesmd"
        self.aesm_socket = self.aesm_folder / "aesm.socket"
        self.device = work / "stand-in-sgx"
        self.collateral = work / "collateral.json"
        self.root = work / "root.pem"
        self.quotes = []

    def product(self, name):
        return self.paths["product"] / name

    def run(self):
        try:
            for title, act in self.listed():
                with self.steps.step(title):
                    act()
        except BaseException:
            for daemon in Daemon.running:
                print(daemon.tail(), flush=True)
            raise

    def listed(self):
        return [
            ("containerd, with two images made here", self.start_containerd),
            ("a standalone kubelet", self.start_kubelet),
            ("enclayer-quote-helper answers on its socket", self.start_helper),
            (f"enclayer-device-plugin: the kubelet sees {EPC_MIB} MiB of EPC", self.start_plugin),
            (f"a pod with {POD_MIB} MiB of EPC opens its device and gets a quote", self.attest_in_a_pod),
            ("a pod without EPC cannot open such a device", self.be_refused_the_device),
            (f"a pod that asks for {TOO_MUCH_MIB} MiB fails, and says of what there is too little", self.ask_for_too_much),
            (f"the kubelet restarts {RESTARTS} times: the EPC is back, its owner kept it", self.restart_kubelet),
            ("a new pod gets EPC and a quote from the restarted kubelet", self.attest_after_the_restart),
            ("the unmodified Rust crate aesm-client gets a quote", self.attest_with_aesm_client),
            ("enclayer verify trusts each quote with the simulation's root, and none with Intel's", self.verify_quotes),
            ("the unmodified dcap-qvl agrees, and refuses a changed quote", self.verify_with_dcap_qvl),
            ("both daemons end cleanly on SIGTERM", self.stop_daemons),
        ]

    def start_containerd(self):
        pause, workload = self.work / "pause.tar", self.work / "workload.tar"
        program = self.paths["workload"]
        image.write(pause, PAUSE_IMAGE, {"/workload": program}, ["/workload", "pause"])
        files = {"/workload": program, "/enclayer": self.product("enclayer"), **image.with_libraries(self.product("enclayer"))}
        image.write(workload, WORKLOAD_IMAGE, files, ["/workload"])
        self.containerd.start()
        self.containerd.load(pause)
        self.containerd.load(workload)
        say(f"workload image: enclayer and {len(files) - 2} shared libraries, {workload.stat().st_size >> 20} MiB")

    def start_kubelet(self):
        self.kubelet.start()
        wait_for("the kubelet answers on its pod-resources socket", self.kubelet.resources, 60)
        say(output([self.paths["kubelet"], "--version"]))

    def start_helper(self):
        self.aesm_folder.mkdir()
        self.helper.start(
            [self.product("enclayer-quote-helper"), "--platform", "sim", "--socket", self.aesm_socket, "--state-dir", self.helper_state,
             "--log-format", "json"]
        )
        wait_for("the AESM socket is there", self.aesm_socket.is_socket, 30)
        output(
            [self.product("enclayer"), "sim", "export", "--state-dir", self.helper_state, "--out", self.collateral, "--root-ca-out", self.root]
        )

    def start_plugin(self):
        make_node(self.device)
        check(self.epc() == 0, f"{RESOURCE} is there before the plugin was started")
        started = time.monotonic()
        self.plugin.start(
            [self.product("enclayer-device-plugin"), "--platform", "sim", "--sim-epc", f"{EPC_MIB}Mi", "--sim-device", self.device,
             "--kubelet-dir", "/var/lib/kubelet", "--resource", RESOURCE, "--log-format", "json"]
        )
        self.wait_for_epc()
        say(f"{time.monotonic() - started:.2f} s from the plugin's start to {EPC_MIB} devices in the pod-resources API")

    def attest_in_a_pod(self):
        self.first_ids = self.attest("owner")

    def be_refused_the_device(self):
        clone = self.work / "clone"
        make_node(clone)
        check_opens(clone)
        seen = self.run_workload(
            "stranger", lambda result: ["open", result, ENCLAVE_DEVICES[0]], mounts=[(clone, "CharDevice", ENCLAVE_DEVICES[0])]
        )
        expected = [{"path": ENCLAVE_DEVICES[0], "kind": STAND_IN_KIND, "error": "EPERM"}]
        check(seen["devices"] == expected, f"expected {expected}, the pod saw {seen['devices']}")
        say(f"{ENCLAVE_DEVICES[0]} ({STAND_IN_KIND}), mounted but not granted: EPERM")
        self.kubelet.remove_pod("stranger")

    def ask_for_too_much(self):
        self.kubelet.run_pod(self.workload_pod("greedy", ["pause"], limits={RESOURCE: TOO_MUCH_MIB}))
        pod = self.wait_for_pod("greedy", lambda pod: pod["status"]["phase"] == "Failed")
        reason, message = pod["status"].get("reason", ""), pod["status"].get("message", "")
        say(f"{reason}: {message}")
        check(RESOURCE in reason + message, f"neither reason nor message names {RESOURCE}")
        self.check_owner_runs()
        self.kubelet.remove_pod("greedy")

    def restart_kubelet(self):
        before = self.kubelet.pod("owner")["status"]
        for _ in range(RESTARTS):
            self.kubelet.daemon.stop()
            started = time.monotonic()
            self.kubelet.start()
            self.wait_for_epc()
            say(f"{time.monotonic() - started:.2f} s from the kubelet's start to {EPC_MIB} devices again")
        after = wait_for("the kubelet reports the owner again", self.owner_status, 60)
        check(container_id(after) == container_id(before), "the owner's container is another one than before")
        held = self.kubelet.resources()["pods"][full_name("owner")][RESOURCE]
        check(sorted(held) == self.first_ids, f"the owner held {self.first_ids}, now {held}")

    def attest_after_the_restart(self):
        ids = self.attest("newcomer")
        check(not set(ids) & set(self.first_ids), f"{ids} overlap with the owner's {self.first_ids}")
        self.check_owner_runs()

    def attest_with_aesm_client(self):
        quote = self.work / "aesm-client.quote"
        say(output([self.paths["aesm_client"], self.aesm_socket, quote]))
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
        for daemon in (self.plugin, self.helper):
            code = daemon.stop()
            check(code == 0, f"{daemon.name}: exit code {code}")
            lines = daemon.log.read_text().splitlines()
            for line in lines:
                json.loads(line)
            say(f"{daemon.name}: exit code 0, {len(lines)} log lines, each of them JSON")

    # --- what the steps are made of

    def attest(self, name):
        """A pod with EPC that opens its devices and gets a quote; keeps running. Gives the ids of its EPC devices."""
        report_data = secrets.token_hex(64)
        seen = self.run_workload(
            name,
            lambda result: ["attest", result, result.with_name("quote.bin"), report_data, *ENCLAVE_DEVICES],
            limits={RESOURCE: POD_MIB},
            mounts=[(self.aesm_folder, "Directory", "/var/run/aesmd")],
            env={"SGX_AESM_ADDR": "1"},
        )
        expected = [{"path": path, "kind": STAND_IN_KIND, "error": ""} for path in ENCLAVE_DEVICES]
        check(seen["devices"] == expected, f"expected {expected}, the pod saw {seen['devices']}")
        check(seen["platform"] == "sim", f"ENCLAYER_PLATFORM is '{seen['platform']}', expected 'sim'")
        check(seen["quote_exit"] == 0, f"{seen['quote_command']}: exit {seen['quote_exit']}\n{seen['quote_output']}")
        quote = self.work / f"{name}.quote"
        quote.write_bytes((self.out_folder(name) / "quote.bin").read_bytes())
        quoted = quote.read_bytes()[REPORT_DATA].hex()
        check(quoted == report_data, f"the quote's report data is {quoted}, the pod asked for {report_data}")
        self.quotes.append(quote)
        ids = self.kubelet.resources()["pods"][full_name(name)].get(RESOURCE, [])
        check(len(ids) == POD_MIB, f"the pod holds {ids}, expected {POD_MIB} devices")
        say(f"{', '.join(ENCLAVE_DEVICES)} opened ({STAND_IN_KIND}), ENCLAYER_PLATFORM=sim, {POD_MIB} devices held")
        say(f"a quote of {quote.stat().st_size} bytes through /var/run/aesmd/aesm.socket, with the pod's own report data")
        return sorted(ids)

    def run_workload(self, name, arguments, *, mounts=(), **options):
        """Starts a pod of the workload image and gives what it reports. `arguments` makes them from the result's path in the pod."""
        folder = self.out_folder(name)
        folder.mkdir(parents=True)
        started = time.monotonic()
        self.kubelet.run_pod(
            self.workload_pod(name, arguments(Path("/out/result.json")), mounts=[*mounts, (folder, "Directory", "/out")], **options)
        )
        self.wait_for_pod(name, lambda pod: (folder / "result.json").exists())
        say(f"{time.monotonic() - started:.1f} s from the manifest to the pod's result")
        return json.loads((folder / "result.json").read_text())

    def workload_pod(self, name, arguments, **options):
        return pod_manifest(name, WORKLOAD_IMAGE, arguments, **options)

    def out_folder(self, name):
        return self.work / "out" / name

    def wait_for_pod(self, name, good, seconds=60):
        """Until `good(pod)`; a pod that ended without being good is not waited for."""
        last = None

        def probe():
            nonlocal last
            last = self.kubelet.pod(name)
            return last and (good(last) or last["status"]["phase"] in ("Failed", "Succeeded"))

        try:
            wait_for(f"pod {name}", probe, seconds)
            check(good(last), f"pod {name} ended")
        except Failure as why:
            raise Failure(f"{why}\n  {why_not_running(last)}") from None
        return last

    def owner_status(self):
        pod = self.kubelet.pod("owner")
        return pod["status"] if pod and pod["status"]["phase"] == "Running" and pod["status"].get("containerStatuses") else None

    def check_owner_runs(self):
        check(self.owner_status(), f"the pod that holds {POD_MIB} MiB no longer runs")

    def epc(self):
        return self.kubelet.resources()["allocatable"].get(RESOURCE, 0)

    def wait_for_epc(self):
        def probe():
            found = self.epc()
            check(found == EPC_MIB, f"{found} allocatable")
            return True

        wait_for(f"{EPC_MIB} allocatable {RESOURCE}", probe, 60)

    def verify(self, quote, options, expect):
        now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        return json.loads(
            output(
                [self.product("enclayer"), "verify", "--quote", quote, "--collateral", self.collateral, "--at", now, "--output", "json", *options],
                expect=expect,
            )
        )

    def judge(self, quote, root, expect):
        return output(
            [sys.executable, E2E / "python/verify.py", quote, self.collateral, int(time.time()), *root],
            expect=expect, env={**os.environ, "PYTHONPATH": str(self.paths["dcap_qvl"])},
        ).strip()


def make_node(path):
    os.mknod(path, 0o600 | stat.S_IFCHR, STAND_IN)


def check_opens(path):
    """On the host it opens: what refuses it in a pod is the pod's device cgroup, not the driver."""
    try:
        os.close(os.open(path, os.O_RDWR))
    except OSError as why:
        raise Failure(f"the stand-in device {STAND_IN_KIND} does not open on this machine: {why}") from None


def container_id(status):
    return status["containerStatuses"][0]["containerID"]
