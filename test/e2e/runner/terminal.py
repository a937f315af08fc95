"""A program on a terminal of its own, as a person has it."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time

from .steps import Failure

LINES, COLUMNS = 24, 100


class Terminal:
    def __init__(self, argv, environment):
        self.argv = [str(word) for word in argv]
        self.environment = environment
        self.seen = ""

    def __enter__(self):
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            os.execve(self.argv[0], self.argv, {**self.environment, "TERM": "xterm"})
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
        return self

    def __exit__(self, *_):
        """Ended by the key for it."""
        os.write(self.master, b"q")
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            self.read(0.1)
            if os.waitpid(self.pid, os.WNOHANG)[0]:
                os.close(self.master)
                return
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        raise Failure(f"{self.argv[1]} does not end at q")

    def read(self, seconds):
        if select.select([self.master], [], [], seconds)[0]:
            try:
                self.seen += os.read(self.master, 1 << 16).decode(errors="replace")
            except OSError:  # the program has ended
                time.sleep(seconds)

    def picture(self):
        """The last whole one, without what moves the cursor."""
        whole = self.seen.split("\x1b[H")[1:-1] or [self.seen]
        return re.sub(r"\x1b\[[?0-9]*[A-Za-z]", "", whole[-1]).replace("\r", "")

    def until(self, text, seconds=60):
        """The picture with that text, once it is there."""
        deadline = time.monotonic() + seconds
        while text not in self.seen:
            if time.monotonic() > deadline:
                raise Failure(f"{self.argv[1]} does not show {text!r}:\n{self.picture()}")
            self.read(0.05)

    def after(self, seconds):
        """The last picture, then."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.read(0.5)
        return self.picture()
