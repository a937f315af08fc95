"""The quote helper is updated while clients ask: instance after instance takes the socket over. Needs no kubelet."""

import socket
import subprocess
import threading
import time
from contextlib import contextmanager

from .process import Daemon, wait_for
from .steps import check, say

UPDATES = 5
REQUESTS = 5000  # at least, over all updates of a step
SILENT, ONE_BYTE, HUGE = 300, 100, 50  # connections of the client that misbehaves; 255 silent ones stop Intel's aesmd
HUGE_LENGTHS = [b"\xff\xff\xff\x7f", b"\xff\xff\xff\xff", b"\x00\x00\x01\x00"]


class Update:
    def __init__(self, work, logs, paths):
        self.paths = paths
        self.folder = work / "updated"
        self.socket = self.folder / "aesmd/aesm.socket"
        self.log = logs / "enclayer-quote-helper-updates.log"
        self.instance = None
        self.number = 0

    def listed(self):
        return [
            (f"the quote helper is updated {UPDATES} times under the load of aesm-client: no request of {REQUESTS:,} or more fails", self.update),
            ("the same, while another client holds silent connections, single bytes and huge lengths", self.update_beside_misuse),
        ]

    def run(self, steps):
        """Only these steps, without a node."""
        try:
            for title, act in self.listed():
                with steps.step(title):
                    act()
        except BaseException:
            print(self.instance.tail() if self.instance else "", flush=True)
            raise

    def update(self):
        self.folder.mkdir()
        self.start()
        self.update_under_load()
        check(self.instance.stop() == 0, f"{self.instance.name}: its exit code is not 0")

    def update_beside_misuse(self):
        self.start()
        with misuse(self.socket) as opened:
            self.update_under_load()
        say(f"{opened[0]:,} connections were misused meanwhile")
        check(opened[0] >= SILENT + ONE_BYTE + HUGE, "too few of them for a test")
        check(self.instance.stop(30) == 0, f"{self.instance.name}: its exit code is not 0")

    def start(self):
        """The next instance; gives once it serves."""
        self.number += 1
        instance = Daemon(f"quote helper {self.number}", self.log)
        before = self.served()
        instance.start(
            [self.paths["product"] / "enclayer-quote-helper", "--platform", "sim", "--socket", self.socket, "--state-dir",
             self.folder / "state", "--slots-dir", self.folder / "quotes", "--log-level", "info"]
        )
        wait_for(f"{instance.name} serves", lambda: self.served() > before, 30)
        self.instance = instance

    def served(self):
        return self.log.read_text().count(" serving ") if self.log.exists() else 0

    def update_under_load(self):
        load = subprocess.Popen(
            [self.paths["aesm_client"], "--load", self.socket, str(REQUESTS)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True,
        )
        longest = 0.0
        try:
            for _ in range(UPDATES):
                old = self.instance
                self.start()
                started = time.monotonic()
                check(old.end(30) == 0, f"{old.name}: its exit code is not 0\n{old.tail()}")
                longest = max(longest, time.monotonic() - started)
            output, _ = load.communicate(timeout=120)
        finally:
            load.kill()
            load.wait()
        check(load.returncode == 0, output)
        say(f"{output.strip()}; an old instance ended at most {longest:.1f} s after the new one served")


@contextmanager
def misuse(path):
    """Opens connections as fast as the server closes them. Gives a list whose only item counts them."""
    opened, stop = [0], threading.Event()

    def hold(number, words):
        held = []
        while not stop.is_set():
            while len(held) < number and not stop.is_set():
                try:
                    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                    connection.settimeout(1)
                    connection.connect(str(path))
                    if words:
                        connection.sendall(words[opened[0] % len(words)])
                    connection.setblocking(False)
                    held.append(connection)
                    opened[0] += 1
                except OSError:
                    connection.close()
            held = [connection for connection in held if is_open(connection)]
            stop.wait(0.05)
        for connection in held:
            connection.close()

    holders = [threading.Thread(target=hold, args=how) for how in ((SILENT, []), (ONE_BYTE, [b"\x10"]), (HUGE, HUGE_LENGTHS))]
    for holder in holders:
        holder.start()
    try:
        yield opened
    finally:
        stop.set()
        for holder in holders:
            holder.join()


def is_open(connection):
    try:
        closed = connection.recv(1) == b""
    except BlockingIOError:
        return True
    except OSError:
        closed = True
    if closed:
        connection.close()
    return not closed
