# SPDX-License-Identifier: Apache-2.0
"""Debian's Chromium without a window, driven over a pipe by the DevTools protocol: no port, and nothing but the standard
library."""
import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import tempfile
import time

PATIENCE = 180  # seconds; doctor looks at 700 nodes through a stand-in, on a busy machine perhaps


class Browser:
    """A page in a browser of its own. `requests` are all addresses that it has asked for, `failures` the errors of its
    scripts that nobody caught and the dialogs that it opened."""

    def __init__(self):
        self.profile = tempfile.mkdtemp(prefix="enclayer-browser-")
        to_browser, self.write = os.pipe()
        self.read, from_browser = os.pipe()
        # Descriptors 3 and 4 are its pipe. Ours are moved out of the way first.
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 20) for fd in (to_browser, from_browser)]

        def place():
            os.dup2(high[0], 3)
            os.dup2(high[1], 4)

        self.process = subprocess.Popen(
            ["chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync",
             "--disable-background-networking", "--disable-component-update", "--disable-default-apps",
             "--no-proxy-server", "--force-color-profile=srgb", "--hide-scrollbars", "--disable-lcd-text", "--remote-debugging-pipe",
             "--user-data-dir=" + self.profile, "about:blank"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=place,
            close_fds=False)
        for fd in (to_browser, from_browser, *high):
            os.close(fd)
        self.buffer, self.number, self.session = b"", 0, None
        self.requests, self.failures = [], []
        target = next(one for one in self.call("Target.getTargets")["targetInfos"] if one["type"] == "page")
        self.session = self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network"):
            self.call(domain + ".enable")

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.read)
        os.close(self.write)
        shutil.rmtree(self.profile, ignore_errors=True)

    def message(self, deadline):
        while b"\0" not in self.buffer:
            ready, _, _ = select.select([self.read], [], [], max(0, deadline - time.monotonic()))
            more = os.read(self.read, 1 << 20) if ready else b""
            if not more:
                raise SystemExit("dashboard check: chromium does not answer; does it start? Try: chromium --headless=new "
                                 "--no-sandbox --dump-dom about:blank")
            self.buffer += more
        one, self.buffer = self.buffer.split(b"\0", 1)
        said = json.loads(one)
        if said.get("method") == "Network.requestWillBeSent":
            self.requests.append(said["params"]["request"]["url"])
        if said.get("method") in ("Runtime.exceptionThrown", "Page.javascriptDialogOpening"):
            self.failures.append(json.dumps(said["params"]))
        return said

    def call(self, method, **parameters):
        self.number += 1
        request = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            request["sessionId"] = self.session
        os.write(self.write, json.dumps(request).encode() + b"\0")
        deadline = time.monotonic() + PATIENCE
        while True:
            said = self.message(deadline)
            if said.get("id") == self.number:
                if "error" in said:
                    raise RuntimeError(f"{method}: {said['error']}")
                return said["result"]

    def value(self, expression):
        """What an expression of the page is, as JSON."""
        done = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in done:
            raise RuntimeError(f"{expression}: {done['exceptionDetails']}")
        return done["result"].get("value")

    def until(self, expression):
        deadline = time.monotonic() + PATIENCE
        while not (value := self.value(expression)):
            if time.monotonic() > deadline:
                raise AssertionError("never true in the page: " + expression)
            # Two pictures of the page later.
            self.value("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        return value

    def look(self, width, height, scheme):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def key(self, name, text=""):
        codes = {"Enter": 13, "Escape": 27, "ArrowDown": 40, "ArrowUp": 38, "End": 35, "Home": 36, "Tab": 9}
        code = codes.get(name, 0)
        self.call("Input.dispatchKeyEvent", type="keyDown", key=name, code=name, text=text, windowsVirtualKeyCode=code)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=name, code=name, windowsVirtualKeyCode=code)

    def type(self, text):
        for one in text:
            self.key(one, one)

    def picture(self, path):
        with open(path, "wb") as out:
            out.write(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))
