"""Pods with slots of their own at the quote helper: one of them attacks, or one at the legacy socket, and another one notices
nothing; and whatever befalls the node, no request fails."""

import json
import secrets
import shutil
import time
from base64 import b64decode
from pathlib import Path

from .process import wait_for
from .steps import Failure, check, say
from .testbed import ENCLAVE_DEVICES, EPC, QUOTE, QUOTE_LIMIT

ATTACKS = {  # of k8s/workload/attack.go
    "flood": "1,000 connections that pipeline the cheapest request",
    "quotes": "600 connections with a quote in flight each",
    "churn": "2,000 connections with half a request each, replaced as fast as can be",
    "descriptors": "descriptors in bytes that are not read yet, whose last close takes 5 s",
}
ATTACK_SECONDS = 6
TRIES = 3  # a machine may stall once
IDLE_SECONDS = 4
REQUESTS = 5000  # at least, while one thing after the other befalls the node
AFTERWARDS = 200  # at least, of each pod whose container was started again

# One thread each, as the programs of an attacker that had one processor. With the node's network, because TCP over a
# loopback interface is part of one attack, and a pod here has none that is up.
ATTACKER = {"env": {"GOMAXPROCS": "1"}, "host_network": True}
IN_SLOT = {"limits": {EPC: 1, QUOTE: 1}}
STARTED_AGAIN = {**IN_SLOT, "restart": "Always"}


class Slots:
    def __init__(self, testbed, quotes, judge_times):
        self.testbed = testbed
        self.judge_times = judge_times
        self.kubelet = testbed.kubelet
        self.quotes = quotes

    def listed(self):
        return [
            ("a pod asks without end in a slot of its own", self.ask_first),
            *(
                (f"{what}, in a slot and on the legacy socket: who asks in another slot is served", lambda kind=kind: self.attack(kind))
                for kind, what in ATTACKS.items()
            ),
            (f"two pods ask while a container, helper, kubelet and plugin are started again: none of {REQUESTS:,} requests fails", self.go_on),
            ("the slots' folder is emptied, as /run by a reboot: containers that are started again have their slots", self.reboot),
        ]

    def ask_first(self):
        """What is measured is how long the helper keeps it waiting, and not how long other pods keep it from a processor."""
        self.ask("honest")
        self.testbed.come_first("honest")

    def ask(self, name):
        self.kubelet.run_pod(self.testbed.workload_pod(name, ["ask"], **STARTED_AGAIN))
        wait_for(f"{name} asks", lambda: self.asked(name).requests, 60)
        slot, holder = self.testbed.slot_of(name)
        say(f"{name}: {slot}, generation {holder['generation']}")

    # --- one attacks

    def attack(self, kind):
        for where, options in {"slot": IN_SLOT, "legacy": self.with_legacy_socket()}.items():
            self.attack_from(where, options, kind)

    def attack_from(self, where, options, kind):
        """Nobody's request may fail. How long each may take is measured beside nobody first; a machine may stall, so once of some
        tries is enough."""
        for number in range(TRIES):
            idle = self.watch(IDLE_SECONDS)
            say(f"beside nobody: {idle}")
            beside = self.beside_attacker(f"{where}-{kind}-{number}", options, kind)
            self.asked("honest").check_none_failed()
            if not (missed := beside.missed(idle)):
                return
            say(f"not as beside nobody: {missed}")
        check(not self.judge_times, f"{TRIES} times not as beside nobody: {missed}")
        say("NOT SHOWN on this machine: the bounds beside nobody")

    def beside_attacker(self, name, options, kind):
        """What the honest pod saw meanwhile."""
        helper = self.testbed.helper
        took, waited = helper.cpu_seconds(), waited_for_processor(helper.pid)
        self.kubelet.run_pod(self.testbed.workload_pod(name, ["attack", kind, ATTACK_SECONDS], **ATTACKER, **options))
        begun, ended = wait_for(f"{name} ends", lambda: self.two_lines(name), 90)
        self.kubelet.remove_pod(name)
        beside, seen = self.asked("honest", begun[0], ended[0]), json.loads(ended[1])
        took = helper.cpu_seconds() - took
        waited = max(seconds - waited.get(thread, 0) for thread, seconds in waited_for_processor(helper.pid).items())
        tried = seen["connections"] if kind == "churn" else seen["answers"] + seen["passed"] + seen["unpassed"]
        check(tried > 0, f"{name} has not attacked: {seen}")
        why = f" ({seen['why']})" if seen["why"] else ""
        say(
            f"{name}: {seen['connections']:,} connections, {seen['unconnected']:,} had no place, {seen['closed']:,} closed, "
            f"{seen['answers']:,} answers, {seen['passed']:,} descriptors passed, {seen['unpassed']:,} not{why}, {seen['cpu_seconds']:.1f} s"
        )
        say(f"beside it: {beside}; the helper took {took:.1f} s of processor time, a thread of it waited {waited:.1f} s for a processor")
        return beside

    def two_lines(self, name):
        """That it has begun, and what it came to."""
        log = self.kubelet.log_of(name)
        check(all(line.startswith("{") for _, line in log), f"{name} says: {log}")
        return log if len(log) == 2 else None

    def watch(self, seconds):
        begin = time.time()
        wait_for("some seconds of asking", lambda: self.kubelet.log_of("honest")[-1][0] > begin + seconds, seconds + 30)
        return self.asked("honest", begin)

    def with_legacy_socket(self):
        return {"mounts": [(self.testbed.aesm_folder, "Directory", "/var/run/aesmd")]}

    # --- one thing after the other

    def go_on(self):
        self.ask("steady")
        names = ("honest", "steady")
        begin = time.time()
        before = {name: self.testbed.slot_of(name) for name in names}
        self.testbed.restart_container("steady")
        say("the container of one was killed and started again")
        self.testbed.update_helper()
        say("the helper was succeeded by another instance")
        self.kubelet.daemon.stop()
        self.testbed.start_kubelet()
        self.testbed.wait_for_devices(QUOTE, QUOTE_LIMIT)
        for name in names:  # a pod that the kubelet has not admitted again would fail while the plugin is away (kubernetes 138446)
            wait_for(f"the kubelet reports {name} as running", lambda name=name: self.testbed.container(name), 60)
        say("the kubelet was stopped and started")
        self.testbed.stop_daemon(self.testbed.plugin)
        self.testbed.start_plugin_again()
        self.wait_for_plugin()
        say("the plugin was stopped and started")

        def asked():
            return Asked.sum(self.asked(name, begin) for name in names)

        wait_for(f"{REQUESTS:,} requests", lambda: asked().requests >= REQUESTS, 120)
        wait_for("the pod whose container was started again asks", lambda: self.asked("steady", begin, container=-1).requests, 60)
        seen = asked()
        say(f"{seen.requests:,} requests, {seen.failed} failed, {seen.refused} refused")
        seen.check_none_failed()
        after = {name: self.testbed.slot_of(name) for name in names}
        check(before == after, f"slots before {before}, and after {after}: a container was given its devices anew")

    def wait_for_plugin(self):
        """A kubelet that just lost the one before may forget a registration of the new one's, which then is made again."""
        self.testbed.wait_for_devices(EPC, self.testbed.epc_mib)
        self.testbed.wait_for_devices(QUOTE, QUOTE_LIMIT)

    # --- /run is emptied

    def reboot(self):
        report_data = secrets.token_hex(64)
        self.testbed.run_workload("survivor", ["attest", report_data, *ENCLAVE_DEVICES], **STARTED_AGAIN)
        names = ("honest", "steady", "survivor")
        slots = {name: self.testbed.slot_of(name)[0] for name in names}
        self.testbed.stop_daemon(self.testbed.plugin)
        self.testbed.stop_daemon(self.testbed.helper)
        empty(self.testbed.slots_dir)
        self.testbed.start_plugin_again()
        self.testbed.start_helper()
        self.wait_for_plugin()
        before = {name: self.testbed.slot_of(name) for name in names}
        check({name: slot for name, (slot, _) in before.items()} == slots, f"slots before {slots}, and after {before}")

        begin = time.time()
        for name in names:
            self.testbed.restart_container(name)
        for name in ("honest", "steady"):
            wait_for(f"{name} asks", lambda: self.asked(name, begin, container=-1).requests >= AFTERWARDS, 60)
            seen = self.asked(name, begin, container=-1)
            say(f"{name}, started again: {seen.requests:,} requests, {seen.failed} failed, {seen.refused} refused")
            seen.check_none_failed()
        log = wait_for("survivor reports again", lambda: [line for when, line in self.kubelet.log_of("survivor") if when > begin], 60)
        seen = json.loads(log[0])
        check(seen["quote_exit"] == 0, f"{seen['quote_command']}: exit {seen['quote_exit']}\n{seen['quote_output']}")
        quote = self.testbed.work / "survivor.quote"
        quote.write_bytes(b64decode(seen["quote"]))
        check(bytes.fromhex(report_data) in quote.read_bytes(), "the quote is not for the pod's report data")
        self.quotes.append(quote)
        after = {name: self.testbed.slot_of(name) for name in names}
        check(before == after, f"slots before {before}, and after {after}: a container was given its devices anew")
        say(f"{', '.join(f'{name} in {slot}' for name, slot in slots.items())}: no Allocate, and a quote with the pod's own report data")
        for name in names:
            self.kubelet.remove_pod(name)

    # --- what was asked

    def asked(self, name, begin=0.0, end=float("inf"), container=None):
        """What the pod asked in whole seconds between these times; of one of its containers, or of all."""
        logs = self.kubelet.logs_of(name)
        if container is not None:
            logs = logs[container:]
        return Asked.sum(Asked.read(line) for log in logs for when, line in log if begin + 1 <= when <= end)


class Asked:
    """Requests that a pod made, and how long they took."""

    def __init__(self, requests=0, failed=0, refused=0, why="", cheapest=(), quote=()):
        self.requests, self.failed, self.refused, self.why = requests, failed, refused, why
        self.cheapest, self.quote = sorted(cheapest or ()), sorted(quote or ())  # milliseconds

    @staticmethod
    def read(line):
        if not line.startswith("{"):
            raise Failure(f"a pod that asks says: {line}")
        return Asked(**json.loads(line))

    @staticmethod
    def sum(parts):
        parts = list(parts)
        return Asked(
            *(sum(getattr(part, name) for part in parts) for name in ("requests", "failed", "refused")),
            next((part.why for part in parts if part.why), ""),
            *([took for part in parts for took in getattr(part, name)] for name in ("cheapest", "quote")),
        )

    def check_none_failed(self):
        check(self.failed == self.refused == 0, f"{self.failed} requests failed, {self.refused} were refused, of {self.requests}: {self.why}")

    def missed(self, idle):
        """Which bounds do not hold beside what was seen without an attack; empty when all do."""
        cheapest = 2 * at(idle.cheapest, 0.99) + 2
        quote = 2 * at(idle.quote, 0.5) + at(idle.quote, 0.99)  # the one being made, one more, and what it takes anyway
        missed = []
        if (seen := at(self.cheapest, 0.99)) > cheapest:
            missed.append(f"the cheapest request took {seen:.1f} ms (p99), at most {cheapest:.1f} ms were allowed")
        if (seen := at(self.quote, 0.99)) > quote:
            missed.append(f"a quote took {seen:.1f} ms (p99), at most {quote:.1f} ms were allowed")
        return "; ".join(missed)

    def __str__(self):
        times = (
            f"{what} p50 {at(sorted_times, 0.5):.2f}, p99 {at(sorted_times, 0.99):.2f}, max {sorted_times[-1]:.2f} ms"
            for what, sorted_times in (("cheapest", self.cheapest), ("quote", self.quote))
        )
        return f"{self.requests:,} requests, {self.failed} failed, {self.refused} refused; {'; '.join(times)}"


def empty(folder):
    for entry in folder.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def waited_for_processor(pid):
    """Thread -> seconds that it was ready to run and did not."""
    return {file.parent.name: int(file.read_text().split()[1]) / 1e9 for file in Path(f"/proc/{pid}/task").glob("*/schedstat")}


def at(sorted_times, part):
    check(sorted_times, "nothing was asked in that time")
    return sorted_times[min(int(len(sorted_times) * part), len(sorted_times) - 1)]
