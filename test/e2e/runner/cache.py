"""What takes long to build, kept in the user's cache folder under a key made of everything that it is built from."""

import hashlib
import os
import shutil
import subprocess
import time
from pathlib import Path

from .process import tail_of
from .steps import Failure, say

KEPT_VERSIONS = 2
PROGRESS_EVERY = 30  # seconds


def folder():
    root = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(root) / "enclayer" / "e2e"


class Artefact:
    """`build(into)` fills a folder; it runs only when no folder with this key is there."""

    def __init__(self, name, sources, recipe, build):
        digest = hashlib.sha256(repr(recipe).encode())
        for source in sources:
            digest.update(f"\0{source.name}\0".encode() + source.read_bytes())
        self.name = name
        self.place = folder() / f"{name}-{digest.hexdigest()[:16]}"
        self.build = build

    def get(self, note):
        if self.place.exists():
            say(f"cached: {self.place}")
            os.utime(self.place)
            return self.place
        say(note)
        partial = self.place.with_name(self.place.name + ".partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        self.build(partial)
        partial.rename(self.place)
        self.drop_older()
        return self.place

    def drop_older(self):
        versions = sorted(folder().glob(f"{self.name}-*"), key=lambda place: place.stat().st_mtime, reverse=True)
        for old in versions[KEPT_VERSIONS:]:
            shutil.rmtree(old, ignore_errors=True)


def ended(process, seconds):
    """The exit code; None when it still runs after that time."""
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        return None


def build_command(argv, *, cwd, log, env=None, progress=None):
    """A build, its output in `log`. Ends with us: a build that is interrupted leaves no compiler behind. `progress` makes of that
    output what is said of it now and then."""
    with log.open("ab") as file:
        process = subprocess.Popen(
            [str(word) for word in argv], cwd=cwd, env={**os.environ, **(env or {})}, stdin=subprocess.DEVNULL, stdout=file, stderr=file,
            start_new_session=True,
        )
        try:
            begin, before = time.monotonic(), log.stat().st_size
            while (code := ended(process, PROGRESS_EVERY)) is None:
                if progress:
                    with log.open(errors="replace") as written:
                        written.seek(before)
                        say(f"{progress(written.read())}, {time.monotonic() - begin:.0f} s")
        except BaseException:
            os.killpg(process.pid, 9)
            process.wait()
            raise
    if code != 0:
        raise Failure(f"exit {code}: {' '.join(map(str, argv))}\n{tail_of(log.read_text(errors='replace'))}  whole log: {log}")
