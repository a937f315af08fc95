"""Numbered steps, printed as they happen."""

import json
import time
from contextlib import contextmanager


class Failure(Exception):
    """What did not hold, in words for the person who reads the run's output."""


def check(holds, what):
    if not holds:
        raise Failure(what)


class Steps:
    """Counts steps in a file, because the run goes on in another process once it is inside its namespaces."""

    def __init__(self, file):
        self.file = file

    @contextmanager
    def step(self, title):
        state = self.state()
        number = state["passed"] + state["failed"] + 1
        print(f"{number:2}. {title}", flush=True)
        begin = time.monotonic()
        try:
            yield
        except BaseException:
            self.save(state["passed"], state["failed"] + 1)
            print(f"    FAILED after {time.monotonic() - begin:.1f} s", flush=True)
            raise
        self.save(state["passed"] + 1, state["failed"])
        print(f"    {time.monotonic() - begin:.1f} s", flush=True)

    def state(self):
        return json.loads(self.file.read_text()) if self.file.exists() else {"passed": 0, "failed": 0}

    def save(self, passed, failed):
        self.file.write_text(json.dumps({"passed": passed, "failed": failed}))


def say(fact):
    for line in str(fact).rstrip().splitlines():
        print(f"      {line}", flush=True)
