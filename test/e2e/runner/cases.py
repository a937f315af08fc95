"""The simulated cases of `enclayer sim case`, judged by two witnesses. Where one says something else than the case expects,
docs/sim-cases.md has to list it, with the reason; what is listed and does not differ any more is a failure too."""

import json
import os
import re
import sys
from typing import NamedTuple

from .builds import E2E
from .process import output
from .steps import Failure, check, say

PAGE = E2E.parent.parent / "docs/sim-cases.md"
REFUSED = "refused"


class Witness(NamedTuple):
    name: str
    module: str  # in python/
    tells_advisories: bool

    @property
    def heading(self):
        return f"## Where {self.name} judges otherwise"


WITNESSES = [Witness("dcap-qvl", "dcap", True), Witness("Intel's QVL", "intel", False)]


def write(enclayer, folder):
    """What each case expects."""
    cases = json.loads(output([enclayer, "sim", "case", "--all", "--out-dir", folder, "--output", "json"], timeout=300))
    check(len(cases) > 200, f"only {len(cases)} cases were written")
    return cases


def compare(witness, cases, folder, packages):
    said = json.loads(
        output([sys.executable, E2E / "python/verify_cases.py", witness.module, folder],
               env={**os.environ, "PYTHONPATH": str(packages)}, timeout=300)
    )
    check(len(said) == len(cases), f"{len(cases)} cases were written, {witness.name} judged {len(said)}")
    found = {}
    for case in cases:
        ours, theirs = expected(case, witness), judged(said[case["case"]])
        if ours != theirs:
            found[case["case"]] = (ours, theirs)
    listed = differences_listed(witness)
    wrong = [f"{name}: {listed.get(name, 'not listed')} in {PAGE.name}, found {found.get(name, 'no difference')}: {said[name]['words']}"
             for name in sorted({*found, *listed}) if found.get(name) != listed.get(name)]
    if wrong:
        raise Failure("\n  ".join([f"enclayer and {witness.name}, as docs/sim-cases.md has them and as they are:", *wrong]))
    accepted = [case["case"] for case in cases if case["accept"]]
    agreed = [name for name in accepted if name not in found]
    say(f"{len(agreed)} of {len(accepted)} positives accepted with the same TCB status{' and advisories' * witness.tells_advisories}; not: "
        f"{', '.join(sorted(set(accepted) - set(agreed)))}")
    say(f"{len(cases) - len(accepted)} negatives: {len(found) - len(accepted) + len(agreed)} accepted by {witness.name}, "
        "the rest refused by both")
    say(f"every difference is in {PAGE.name}, with its reason")


def expected(case, witness):
    if not case["accept"]:
        return REFUSED
    return " ".join([case["tcb_status"], *(case["advisory_ids"] if witness.tells_advisories else [])])


def judged(answer):
    return answer["words"] if answer["accepted"] else REFUSED


def differences_listed(witness):
    """{case: (enclayer, the witness)} of the page's tables."""
    _, heading, section = PAGE.read_text().partition(witness.heading)
    check(heading, f"{PAGE} has no section '{witness.heading}'")
    section = section.partition("\n## ")[0]
    rows = re.findall(r"^\| `([a-z0-9-]+)` \| ([^|]+) \| ([^|]+) \| [^|]+ \|$", section, re.MULTILINE)
    return {name: (ours, theirs) for name, ours, theirs in rows}
