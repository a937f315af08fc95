"""Verification of enclayer, of the dcap-qvl crate and of Intel's QVL by turns, on the same evidence; one table. See bench/verify/run."""

import argparse
import datetime
import json
import resource
import ssl
import statistics
import subprocess
import sys
import time
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2] / "test/e2e/python"))
import intel  # noqa: E402  Intel's QVL, as the end-to-end test asks it

# name, the same in C, what it is, goal in units (of both), the evidence. Whoever remembers nothing is cold each time.
ROWS = [
    ("normal/plain", "c_normal", "known platform and collateral, new quote", 1.9, "simulated"),
    ("normal/prepared", None, "... with tables of its keys", 1.9, "simulated"),
    ("qe_report_seen", "c_qe_report_seen", "... and a QE report seen before", 0.8, "simulated"),
    ("cold", "c_cold", "nothing seen before", 9.0, "simulated"),
    ("cold_prepared", None, "... with tables of Intel's keys and the PCK's", 7.0, "simulated"),
    ("seen_real/sgx", None, "quote of Intel's hardware, QE report seen", 0.8, "SGX"),
    ("cold_real/sgx", None, "quote of Intel's hardware, nothing seen", 9.0, "SGX"),
    ("seen_real/tdx", None, "quote of a real TD, QE report seen", 0.8, "TDX"),
    ("cold_real/tdx", None, "quote of a real TD, nothing seen", 9.0, "TDX"),
]
PEERS = {"dcap-qvl": "the dcap-qvl crate, native", "QVL": "Intel's QVL"}


def ours(bench, evidence, parsers):
    """CPU microseconds by name."""
    only = [] if parsers else ["--benchmark_filter=-parse"]
    out = subprocess.run([bench, f"--evidence={evidence}", "--benchmark_format=json", "--benchmark_min_time=0.3", *only],
                         check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
    return {b["name"]: b["cpu_time"] / 1000 for b in json.loads(out)["benchmarks"]}


def dcap_qvl(program, folder, at, root):
    """CPU microseconds of one verification; reading the collateral is not counted, as it is not in ours."""
    of_root = [root.with_suffix(".der")] if root else []
    if root:
        of_root[0].write_bytes(ssl.PEM_cert_to_DER_cert(root.read_text()))
    out = subprocess.run([program, folder / "quote.bin", folder / "collateral.json", str(at), "0.5", *of_root],
                         check=True, stdout=subprocess.PIPE, text=True).stdout
    return float(out)


def qvl(folder, at, root):
    """The same; reading the files is counted, which is a hundredth of it at most."""
    root = root or intel.INTEL_ROOT
    begin, count = time.process_time(), 0
    while time.process_time() - begin < 0.5:
        accepted, words = intel.judge(folder / "quote.bin", folder / "collateral.json", at, root)
        assert accepted, words
        count += 1
    return (time.process_time() - begin) * 1e6 / count


def process(command):
    """CPU microseconds of a process and of nothing but a process, /bin/true, beside it."""
    def one(argv, count=20):
        used = lambda: sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])
        begin = used()
        for _ in range(count):
            subprocess.run(argv, stdout=subprocess.DEVNULL)
        return (used() - begin) * 1e6 / count
    return one(command), one(["/bin/true"])


def mark(reached):
    return "" if reached is None else "met" if reached else "MISSED"


def main():
    options = argparse.ArgumentParser(prog="bench/verify/run")
    options.add_argument("--bench", required=True, help=argparse.SUPPRESS)
    options.add_argument("--cli", required=True, help=argparse.SUPPRESS)
    options.add_argument("--dcap-qvl", required=True, help=argparse.SUPPRESS)
    options.add_argument("--real", type=Path, required=True, help=argparse.SUPPRESS)
    options.add_argument("--real-td", type=Path, required=True, help=argparse.SUPPRESS)
    options.add_argument("--evidence", type=Path, required=True, help=argparse.SUPPRESS)
    options.add_argument("--rounds", type=int, default=5, help="how often both are measured by turns; medians are shown [5]")
    options.add_argument("--folder", type=Path, help="write the figures to FOLDER/verify.json too")
    o = options.parse_args()

    def time_of(case):
        return int(datetime.datetime.fromisoformat(json.loads((case / "meta.json").read_text())["at"].replace("Z", "+00:00")).timestamp())

    rounds = []
    for number in range(o.rounds):
        figures = ours(o.bench, o.evidence, parsers=number == 0)
        for evidence, (folder, at, root) in {
            "simulated": (o.evidence, int((o.evidence / "time").read_text()), o.evidence / "root.pem"),
            "SGX": (o.real, time_of(o.real), None), "TDX": (o.real_td, time_of(o.real_td), None),
        }.items():
            figures[f"dcap-qvl {evidence}"] = dcap_qvl(o.dcap_qvl, folder, at, root)
            figures[f"QVL {evidence}"] = qvl(folder, at, root)
        at = json.loads((o.real / "meta.json").read_text())["at"]
        figures["process"], figures["true"] = process([o.cli, "verify", "--quote", o.real / "quote.bin", "--collateral",
                                                       o.real / "collateral.json", "--at", at])
        rounds.append(figures)

    # Ratios are taken within a round, whose parts saw the same machine.
    median = lambda value: statistics.median(value(r) for r in rounds)
    unit = median(lambda r: r["p256_verification"])
    print(f"CPU time on one core, medians of {o.rounds} rounds. One P-256 verification (the unit): {unit:.0f} us.\n")
    line = "{:<46} {:>6} {:>9} {:>6} {:>11} {:>6} {:>11} {:>9} {:>7} {:>6}".format
    print(line("enclayer", "us", "a second", "units", "goal", "C", "goal", "dcap-qvl", "ahead", "QVL"))
    summary, lost = {}, []
    for name, in_c, what, goal, evidence in ROWS:
        micros = median(lambda r: r[name])
        units = median(lambda r: r[name] / r["p256_verification"])
        units_c = median(lambda r: r[in_c] / r["p256_verification"]) if in_c else None
        ahead = median(lambda r: r[f"dcap-qvl {evidence}"] / r[name])
        won = sum(r[f"dcap-qvl {evidence}"] > r[name] for r in rounds)
        of_qvl = median(lambda r: r[f"QVL {evidence}"] / r[name])
        print(line(what, f"{micros:.0f}", f"{1e6 / micros:,.0f}", f"{units:.2f}", f"{goal:g} {mark(units <= goal)}",
                   f"{units_c:.2f}" if in_c else "", f"{goal:g} {mark(units_c <= goal)}" if in_c else "",
                   f"{ahead:.2f}x", f"{won} of {len(rounds)}", f"{of_qvl:.0f}x"))
        summary[name] = {"us": micros, "units": units, "units_c": units_c, "dcap_qvl_ratio": ahead, "rounds_ahead": won,
                         "qvl_ratio": of_qvl}
        if units > goal or 2 * won <= len(rounds):
            lost.append(f"{what}: {units:.2f} units (goal {goal:g}), {ahead:.2f}x dcap-qvl, ahead in {won} of {len(rounds)} rounds")
        if in_c and units_c > goal:
            lost.append(f"{what}, in C: {units_c:.2f} units (goal {goal:g})")
    for peer, name in PEERS.items():
        for evidence in ("simulated", "SGX", "TDX"):
            key = f"{peer} {evidence}"
            micros = median(lambda r: r[key])
            units = median(lambda r: r[key] / r["p256_verification"])
            print(line(f"{name}: {evidence}", f"{micros:.0f}", f"{1e6 / micros:,.0f}", f"{units:.2f}", "", "", "", "", "", ""))
            summary[key] = {"us": micros, "units": units}
    milliseconds, floor = median(lambda r: r["process"]) / 1000, median(lambda r: r["true"]) / 1000
    print(f"\nenclayer verify as a process: {milliseconds:.1f} ms (goal: 3 ms, {mark(milliseconds <= 3)}); /bin/true: {floor:.1f} ms")
    summary["process"] = {"ms": milliseconds, "true_ms": floor}
    if milliseconds > 3:
        lost.append(f"enclayer verify as a process: {milliseconds:.1f} ms (goal 3 ms)")
    print("dcap-qvl and QVL remember nothing: each of their verifications is cold.")

    print("\nParsing 64 KiB of what is meant to be expensive (goal: 1000 us)")
    for name, micros in rounds[0].items():
        if name.startswith("parse_64k/"):
            print(f"  {name.removeprefix('parse_64k/'):<20} {micros:>6.0f} us  {mark(micros <= 1000)}")
            summary[name] = {"us": micros}
            if micros > 1000:
                lost.append(f"parsing 64 KiB of {name.removeprefix('parse_64k/')}: {micros:.0f} us")
    print("\nWhere we lose: " + ("nowhere" if not lost else ""))
    for one in lost:
        print("  " + one)
    if o.folder:
        o.folder.mkdir(parents=True, exist_ok=True)
        (o.folder / "verify.json").write_text(json.dumps({"unit_us": unit, "rows": summary}, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
