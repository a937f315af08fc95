"""The simulated cases of `enclayer sim case`, judged by dcap-qvl. Where it says something else than the case expects,
docs/sim-cases.md has to list it, with the reason; what is listed and does not differ any more is a failure too."""

import json
import os
import re
import sys

from .builds import E2E
from .process import output
from .steps import Failure, check, say

PAGE = E2E.parent.parent / "docs/sim-cases.md"
HEADING = "## Where dcap-qvl judges otherwise"
REFUSED = "refused"


def compare(enclayer, dcap_qvl, work):
    folder = work / "cases"
    cases = json.loads(output([enclayer, "sim", "case", "--all", "--out-dir", folder, "--output", "json"]))
    said = json.loads(
        output([sys.executable, E2E / "python/verify_cases.py", folder], env={**os.environ, "PYTHONPATH": str(dcap_qvl)}, timeout=300)
    )
    check(len(said) == len(cases) > 100, f"{len(cases)} cases were written, dcap-qvl judged {len(said)}")
    found = {}
    for case in cases:
        ours, theirs = expected(case), judged(said[case["case"]])
        if ours != theirs:
            found[case["case"]] = (ours, theirs)
    listed = differences_listed()
    wrong = [f"{name}: {listed.get(name, 'not listed')} in {PAGE.name}, found {found.get(name, 'no difference')}"
             for name in sorted({*found, *listed}) if found.get(name) != listed.get(name)]
    if wrong:
        raise Failure("\n  ".join(["enclayer and dcap-qvl, as docs/sim-cases.md has them and as they are:", *wrong]))
    accepted = [case["case"] for case in cases if case["accept"]]
    agreed = [name for name in accepted if name not in found]
    say(f"{len(agreed)} of {len(accepted)} positives accepted with the same TCB status and advisories; not: "
        f"{', '.join(sorted(set(accepted) - set(agreed)))}")
    say(f"{len(cases) - len(accepted)} negatives: {len(found) - len(accepted) + len(agreed)} accepted by dcap-qvl, the rest refused by both")
    say(f"every difference is in {PAGE.name}, with its reason")


def expected(case):
    return " ".join([case["tcb_status"], *case["advisory_ids"]]) if case["accept"] else REFUSED


def judged(answer):
    return answer["words"] if answer["accepted"] else REFUSED


def differences_listed():
    """{case: (enclayer, dcap-qvl)} of the page's table."""
    _, heading, section = PAGE.read_text().partition(HEADING)
    check(heading, f"{PAGE} has no section '{HEADING}'")
    rows = re.findall(r"^\| `([a-z0-9-]+)` \| ([^|]+) \| ([^|]+) \| [^|]+ \|$", section, re.MULTILINE)
    return {name: (ours, theirs) for name, ours, theirs in rows}
