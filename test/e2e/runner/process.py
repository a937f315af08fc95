"""Starting programs, waiting for conditions, and showing logs when something went wrong."""

import subprocess
import time
from pathlib import Path

from .steps import Failure


def output(argv, *, expect=0, stdin=None, timeout=60, **options):
    """Runs to the end; the exit code must be `expect`. Gives stdout, or stderr when a failure is what is expected and stdout
    has nothing."""
    done = subprocess.run([str(word) for word in argv], input=stdin, capture_output=True, text=True, timeout=timeout, **options)
    if done.returncode != expect:
        raise Failure(
            f"exit {done.returncode} instead of {expect}: {' '.join(map(str, argv))}\n{tail_of(done.stdout)}{tail_of(done.stderr)}"
        )
    return done.stdout or (done.stderr if expect else "")


def tail_of(text, lines=25):
    kept = text.splitlines()[-lines:]
    return "".join(f"  | {line}\n" for line in kept)


class Daemon:
    """A process that this run started. Its output goes to one log, over restarts as well."""

    running = []

    def __init__(self, name, log):
        self.name = name
        self.log = log
        self.process = None

    def start(self, argv, **options):
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [str(word) for word in argv], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, **options
            )
        Daemon.running.append(self)

    @property
    def pid(self):
        return self.process.pid

    def cpu_seconds(self):
        """User and system time since its start."""
        return time.clock_gettime(~self.pid << 3 | 2)  # clock_getcpuclockid(3)

    def memory_mib(self):
        """Resident now and at its peak."""
        facts = dict(line.split(":", 1) for line in Path(f"/proc/{self.pid}/status").read_text().splitlines())
        return tuple(int(facts[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM"))

    def must_live(self):
        if self.process.poll() is not None:
            raise Failure(f"{self.name} ended by itself with exit code {self.process.returncode}")

    def stop(self, seconds=20):
        """SIGTERM to this very process; gives its exit code."""
        Daemon.running.remove(self)
        self.process.terminate()
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise Failure(f"{self.name} did not end within {seconds} s of SIGTERM") from None

    def kill(self):
        """SIGKILL: it can put nothing in order."""
        Daemon.running.remove(self)
        self.process.kill()
        self.process.wait()

    def end(self, seconds):
        """Ends by itself within that time; gives its exit code."""
        Daemon.running.remove(self)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise Failure(f"{self.name} did not end by itself within {seconds} s") from None

    def tail(self, lines=25):
        return f"--- the end of {self.log}\n{tail_of(self.log.read_text(errors='replace'), lines)}"


def wait_for(what, probe, seconds, pause=0.05):
    """Polls `probe`, every `pause` seconds, until it gives something true, and gives that. A daemon that ends meanwhile ends
    the wait. A probe may raise: that, too, means not yet."""
    deadline = time.monotonic() + seconds
    last = None
    while True:
        try:
            found = probe()
            if found:
                return found
            last = found
        except (OSError, Failure, ValueError, KeyError) as why:
            last = why
        for daemon in Daemon.running:
            daemon.must_live()
        if time.monotonic() > deadline:
            raise Failure(f"not within {seconds} s: {what}" + f"\n  last seen: {last}")
        time.sleep(pause)
