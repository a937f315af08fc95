"""Outside: builds, then the node in namespaces of its own, then the comparison of the machine with what it was."""

import argparse
import fcntl
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

from . import builds, cache, cases, footprint, isolation
from .clusterscenario import AUTOSCALING_SUITE, METRICS_POLICY_SUITE, NEXT_SUITE, ClusterScenario, suites_of
from .monitoring import Monitoring
from .process import wait_for
from .scenario import Scenario
from .steps import Failure, Steps, say
from .tokens import Tokens
from .update import Update

PRODUCT = builds.E2E.parent.parent / "build/release/bin"
ENTRANCE, KEPT = cache.folder() / "entrance", cache.folder() / "kept.json"  # of the one run that there can be
BINARIES = ["enclayer", "enclayer-attest", "enclayer-device-plugin", "enclayer-quote-helper"]


def main():
    parser = argparse.ArgumentParser(prog="test/e2e/run", description="The end-to-end test on a real kubelet; see test/e2e/README.md.")
    parser.add_argument("--check-tools", action="store_true", help="only look for the tools that the run needs")
    parser.add_argument("--cases", action="store_true", help="only the simulated cases, judged by dcap-qvl and by Intel's QVL: no node, no root needed")
    parser.add_argument("--tokens", action="store_true", help="only the attestation service, asked and judged by foreign programs: no node, no root needed")
    parser.add_argument("--monitoring", action="store_true", help="only alerts and dashboard, with Debian's Prometheus: no node, no root needed")
    parser.add_argument("--bin", type=Path, default=PRODUCT, help="folder of the binaries under test (default: build/release/bin)")
    parser.add_argument(
        "--updates", action="store_true", help="only the updates of the quote helper under load: no kubelet, no containers"
    )
    parser.add_argument("--cluster", action="store_true", help="the add-on on a real control plane, instead of the daemons on a kubelet alone")
    parser.add_argument("--demo", action="store_true", help="the add-on's story on a real control plane, for a person to watch")
    parser.add_argument("--keep", action="store_true", help="with --demo: leave the cluster up afterwards, until Ctrl-C")
    parser.add_argument("--enter", nargs=argparse.REMAINDER, metavar="COMMAND", help="a shell, or COMMAND, in the cluster that --keep left up")
    parser.add_argument("--suite", action="append", default=[], help="with --cluster: only these suites")
    parser.add_argument("--kubernetes", metavar="VERSION", default=builds.KUBERNETES_VERSION, help="another one that the Go module proxy has; with --cluster: the short suites")
    parser.add_argument("--judge-times", action="store_true", help="times that are goals have to be met; for a machine without other work")
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.check_tools:
        return 0
    if options.inside:
        return inside(options.inside)
    if options.enter is not None:
        return enter(options.enter)
    if options.keep and not options.demo:
        parser.error("--keep goes with --demo")
    if options.cases:
        return only_cases(options.bin.resolve())
    if options.tokens:
        return only("tokens", ask_for_tokens, options.bin.resolve())
    if options.monitoring:
        return only("monitoring", watch, options.bin.resolve())
    what = next((name for name in ("updates", "cluster", "demo") if getattr(options, name)), "node")
    return outside(options.bin.resolve(), {"what": what, "suites": options.suite, "kubernetes": "v" + options.kubernetes.removeprefix("v"), "judge_times": options.judge_times, "keep": options.keep})


def outside(product, task):
    what = task["what"]
    isolation.on_terminate_exit()
    missing = [name for name in (BINARIES[-1:] if what == "updates" else BINARIES) if not (product / name).is_file()]
    if missing:
        print(f"test/e2e/run: not in {product}: {', '.join(missing)}. Run 'make build' first.", file=sys.stderr)
        return 1
    with only_one_run():
        logs = cache.folder() / "logs"
        shutil.rmtree(logs, ignore_errors=True)
        logs.mkdir()
        work = Path(tempfile.mkdtemp(prefix="enclayer-e2e-"))
        begin = time.monotonic()
        if what != "updates":
            isolation.remove_cgroups()  # a run that was killed could not do it
        KEPT.unlink(missing_ok=True)
        before = footprint.take(work)
        steps = Steps(logs / "steps.json")
        code = 1
        try:
            with isolation.work_folder(work):
                paths = {"product": product, "logs": logs, **build(task, steps, logs)}
                if what == "node":
                    compare_cases(steps, paths["product"], paths["verifiers"])
                    ask_for_tokens(steps, paths["product"], logs / "build.log")
                    watch(steps, paths["product"], logs / "build.log")
                task["paths"] = {name: str(path) for name, path in paths.items()}
                (work / "task.json").write_text(json.dumps(task))
                with ExitStack() as made:
                    if what != "updates":
                        made.enter_context(isolation.cgroup_root())
                        made.enter_context(isolation.mount_points())
                    code = isolation.run_inside(["--inside", str(work)], ENTRANCE)
        except Failure as why:
            print(f"\n{why}", file=sys.stderr)
        except KeyboardInterrupt:
            was_kept = KEPT.exists()  # then this is how it is ended
            print("\nthe cluster is ended" if was_kept else "\ninterrupted", file=sys.stderr)
            code = 0 if was_kept else 130
        except SystemExit as told:
            print("\nterminated", file=sys.stderr)
            code = told.code
        KEPT.unlink(missing_ok=True)
        try:
            with steps.step("the machine is as it was"):
                compare(before, work)
        except Failure as why:
            print(f"\n{why}", file=sys.stderr)
            code = code or 1
        return closing(steps, code, logs, time.monotonic() - begin)


def only_cases(product):
    with tempfile.TemporaryDirectory(prefix="enclayer-e2e-cases-") as folder:
        steps = Steps(Path(folder) / "steps.json")
        try:
            compare_cases(steps, product, build_verifiers(steps, Path(folder) / "build.log"))
        except Failure as why:
            print(f"\n{why}", file=sys.stderr)
            return 1
    return 0


def only(name, act, product):
    with tempfile.TemporaryDirectory(prefix=f"enclayer-e2e-{name}-") as folder:
        steps = Steps(Path(folder) / "steps.json")
        try:
            act(steps, product, Path(folder) / "build.log")
        except Failure as why:
            print(f"\n{why}", file=sys.stderr)
            return 1
    return 0


def watch(steps, product, log):
    with steps.step("Debian's prometheus and promtool"):
        programs = builds.prometheus(log).get("downloading")
    with tempfile.TemporaryDirectory(prefix="enclayer-e2e-monitoring-") as folder:
        Monitoring(folder, product, programs).run(steps)


def ask_for_tokens(steps, product, log):
    peers = {}
    for name, artefact, what, note in [
        ("aesm-client", builds.aesm_client(log), "the Rust crates ear and pcs, beside aesm-client", "compiling; two minutes"),
        ("verifiers", builds.verifiers(log), "the Python package dcap-qvl", "installing"),
        ("azure", builds.azure_client(log), "the Python package azure-security-attestation", "installing"),
        ("azure-javascript", builds.azure_javascript_client(log), "the JavaScript package @azure/attestation", "installing"),
        ("relying", builds.relying_parties(log), "hashicorp/cap, Vault's jwt auth and transit engine, go-jose, from source", "compiling; a minute"),
    ]:
        with steps.step(what):
            peers[name] = artefact.get(note)
    with tempfile.TemporaryDirectory(prefix="enclayer-e2e-tokens-") as folder:
        Tokens(folder, product, peers).run(steps)


def compare_cases(steps, product, verifiers):
    with tempfile.TemporaryDirectory(prefix="enclayer-e2e-cases-") as folder:
        with steps.step("the simulated cases are written"):
            written = cases.write(product / "enclayer", Path(folder))
        for witness in cases.WITNESSES:
            with steps.step(f"the unmodified {witness.name} judges them as docs/sim-cases.md says"):
                cases.compare(witness, written, Path(folder), verifiers)


def build_verifiers(steps, log):
    with steps.step("the Python packages dcap-qvl and trustflow-verification, which has Intel's QVL"):
        return builds.verifiers(log).get("installing")


def build(task, steps, logs):
    """Where everything is that the task needs."""
    version = task["kubernetes"]
    if task["what"] == "updates":
        return build_client(steps, logs)
    if task["what"] == "node":
        return build_client(steps, logs) | build_node(version, steps, logs)
    suites = suites_of(task["what"], task["suites"], version)
    made = build_cluster(version, steps, logs)
    if NEXT_SUITE in suites:
        made |= build_next(steps, logs)
    if AUTOSCALING_SUITE in suites:
        made |= build_autoscaling(steps, logs)
    if METRICS_POLICY_SUITE in suites:
        made |= build_router(steps, logs)
    return made


def build_client(steps, logs):
    with steps.step("the Rust crate aesm-client"):
        aesm_client = builds.aesm_client(logs / "build.log").get("compiling; about a minute")
    return {"aesm_client": aesm_client / "e2e-aesm-client"}


def build_kubernetes(version, steps, log, program="kube"):
    with steps.step(f"Kubernetes {version}, {'all of it in one program' if program == 'kube' else program}, from source"):
        kubernetes = builds.kubernetes(log, version, program).get("compiling; 6 to 15 minutes on two cores when nothing is cached")
    with steps.step("the pods' program, the pod-resources client, the API server's judgement of pods"):
        programs = builds.pod_programs(log).get("compiling")
    return {"kubernetes": kubernetes, "programs": programs}


def build_node(version, steps, logs):
    log = logs / "build.log"
    with steps.step("Debian's containerd and runc"):
        builds.debian_packages(log)
        say(builds.versions())
    # The one that the cluster has too, or of another version no more than is needed.
    made = build_kubernetes(version, steps, log, "kube" if version == builds.KUBERNETES_VERSION else "kubelet")
    return {**made, "verifiers": build_verifiers(steps, log)}


def build_cluster(version, steps, logs):
    log = logs / "build.log"
    with steps.step("Debian's runc, network plugins, openssl and iproute2"):
        builds.cluster_packages(log)
    made = build_kubernetes(version, steps, log)
    for artefact, title, note in [
        (builds.etcd(log), f"etcd {builds.ETCD_VERSION}", "compiling; 2 minutes"),
        (builds.containerd(log), f"containerd {builds.CONTAINERD_VERSION}", "compiling; 3 minutes"),
        (builds.clients(log), f"kwok {builds.KWOK_VERSION}, helm {builds.HELM_VERSION}, kustomize {builds.KUSTOMIZE_VERSION}, metrics-server {builds.METRICS_VERSION}", "compiling; 5 minutes"),
    ]:
        with steps.step(f"{title}, from source"):
            made[artefact.name] = artefact.get(note)
    return made


def build_next(steps, logs):
    with steps.step(f"the API server of Kubernetes {builds.NEXT_KUBERNETES_VERSION}, from source"):
        return {"next-kubernetes": builds.kubernetes(logs / "build.log", builds.NEXT_KUBERNETES_VERSION, "kube-apiserver").get("compiling; 8 to 15 minutes on two cores when nothing is cached")}


def build_autoscaling(steps, logs):
    log = logs / "build.log"
    with steps.step(f"Debian's prometheus, and prometheus-adapter {builds.ADAPTER_VERSION} from source"):
        return {"prometheus": builds.prometheus(log).get("downloading"), "adapter": builds.adapter(log).get("compiling; 5 minutes")}


def build_router(steps, logs):
    log = logs / "build.log"
    with steps.step(f"Debian's iptables and ipset, and kube-router {builds.ROUTER_VERSION} from source"):
        builds.firewall_packages(log)
        return {"router": builds.router(log).get("compiling; 3 minutes")}


def inside(work):
    task = json.loads((work / "task.json").read_text())
    paths = {name: Path(path) for name, path in task["paths"].items()}
    logs, steps = paths["logs"], Steps(paths["logs"] / "steps.json")
    if task["what"] != "updates":
        isolation.private_places(work)
    isolation.first_process()
    try:
        if task["what"] == "updates":
            Update(work, logs, paths).run(steps)
        elif task["what"] == "node":
            Scenario(steps, work, logs, paths, task["judge_times"]).run()
        else:
            scenario = ClusterScenario(steps, work, logs, paths, task["judge_times"])
            scenario.run(suites_of(task["what"], task["suites"], task["kubernetes"]))
            if task["keep"]:
                keep(scenario.cluster)
    except Failure as why:
        print(f"\n{why}", file=sys.stderr)
        return 1
    return 0


def keep(cluster):
    """The cluster goes on until the run is interrupted, and with it its namespaces end."""
    environment = cluster.environment()
    environment["PATH"] = f"{cluster.product('').resolve()}:{environment['PATH']}"
    KEPT.write_text(json.dumps(environment))
    print(
        "\nThe cluster stays up, with the add-on on it. In another terminal, as root:\n"
        "    test/e2e/run --enter                             a shell in it, with enclayer, kubectl and helm\n"
        "    test/e2e/run --enter enclayer show\n"
        "    test/e2e/run --enter kubectl get pods -A\n"
        "End it with Ctrl-C here: nothing of it is left then.", flush=True,
    )
    while True:
        signal.pause()


def enter(command):
    try:
        environment = json.loads(KEPT.read_text())
        isolation.enter(ENTRANCE, command or ["bash"], {**os.environ, **environment})
    except (OSError, IndexError):
        print("test/e2e/run: no cluster is kept; make demo-cluster KEEP=1 leaves one up", file=sys.stderr)
        return 1


@contextmanager
def only_one_run():
    """The kubelet's paths and our cgroup exist once on a machine."""
    cache.folder().mkdir(parents=True, exist_ok=True)
    with (cache.folder() / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.exit(f"test/e2e/run: another run holds {lock.name}")
        yield


def compare(before, work):
    def same():
        changed = footprint.differences(before, footprint.take(work))
        if changed:
            raise Failure("\n  ".join(["the machine has changed:", *changed]))
        return True

    wait_for("the machine is as it was", same, 10)
    say(f"{len(before)} facts compared: sysctls, cgroups, interfaces, mounts, paths, processes")


def closing(steps, code, logs, seconds):
    passed, failed = steps.state().values()
    if code and not failed:
        failed = 1  # interrupted inside a step
    print(f"\n{seconds:.0f} s; logs: {logs}")
    print(f"{passed} passed, {failed} failed", flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
