"""The attestation service for a simulation: a quote helper, `enclayer-attest`, and what is needed to ask it."""

import hashlib
import json
import re
import ssl
import urllib.error
import urllib.request
from pathlib import Path

from .process import Daemon, output, wait_for
from .steps import check

ANYBODY = "version=1.0;\nauthorizationrules { => permit(); };\nissuancerules { };\n"


class Attestation:
    """Certificates are in `folder`: tls.crt is the service's and its own authority, client.crt the same of a client CN=backup."""

    def __init__(self, folder, product):
        self.folder, self.product = Path(folder), product
        self.service = Daemon("enclayer-attest", self.folder / "attest.log")
        self.helper = Daemon("enclayer-quote-helper", self.folder / "helper.log")
        self.socket = self.folder / "aesm.socket"
        self.address, self.issuer = "127.0.0.1:0", ""

    def prepare(self):
        self.helper.start([self.product / "enclayer-quote-helper", "--platform", "sim", "--socket", self.socket, "--state-dir",
                           self.folder / "helper"])
        wait_for("the quote helper's socket", self.socket.exists, 30)
        output([self.product / "enclayer", "sim", "export", "--state-dir", self.folder / "helper", "--out",
                self.folder / "collateral.json", "--root-ca-out", self.folder / "root.pem"])
        self.certificate("tls", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1")
        self.certificate("client", "/CN=backup")

    def certificate(self, name, subject, *more):
        output(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1", "-subj",
                subject, *more, "-keyout", self.folder / f"{name}.key", "-out", self.folder / f"{name}.crt"])

    def end(self):
        for daemon in (self.service, self.helper):
            if daemon in Daemon.running:
                daemon.stop(30)

    def quote_of(self, data, name):
        """A quote whose report data is bound to `data`."""
        path = self.folder / name
        output([self.product / "enclayer", "quote", "--socket", self.socket, "--report-data",
                hashlib.sha256(data.encode()).hexdigest(), "--out", path])
        return path

    def start(self, policy, *more, plain=False):
        """Again at the same place, which its tokens name: its first run, and one after another kind of run, finds a port."""
        if self.service in Daemon.running:
            check(self.service.stop(30) == 0, "enclayer-attest did not end well")
        (self.folder / "policy.txt").write_text(policy)
        scheme = "http" if plain else "https"
        transport = ["--plain-http"] if plain else ["--tls-cert", self.folder / "tls.crt", "--tls-key", self.folder / "tls.key"]
        if not self.issuer.startswith(f"{scheme}:"):
            self.address, self.issuer = "127.0.0.1:0", f"{scheme}://127.0.0.1:1/simulated"
        for _ in range(2):
            already = self.log().count(" serving ")
            self.service.start([
                self.product / "enclayer-attest", "--listen", self.address, "--issuer", self.issuer, *transport, "--state-dir",
                self.folder / "attest", "--policy", self.folder / "policy.txt", "--simulated-root", self.folder / "root.pem",
                "--collateral", self.folder / "collateral.json", "--audience", "vault", *more])
            wait_for("enclayer-attest serves", lambda: self.log().count(" serving ") > already, 30)
            found = re.findall(r" serving address=(\S+)", self.log())[-1]
            if found == self.address:
                return
            self.service.stop(30)
            self.address, self.issuer = found, f"{scheme}://{found}/simulated"

    def log(self):
        return self.service.log.read_text() if self.service.log.exists() else ""

    def ask(self, path, body=None, client=None, expect=200):
        """(body, headers) of the answer; `client`: the name of a certificate to show."""
        context = None
        if self.issuer.startswith("https:"):
            context = ssl.create_default_context(cafile=self.folder / "tls.crt")
            if client:
                context.load_cert_chain(self.folder / f"{client}.crt", self.folder / f"{client}.key")
        url = f"{self.issuer.removesuffix('/simulated')}{path}"
        request = urllib.request.Request(url, None if body is None else json.dumps(body).encode())
        try:
            with urllib.request.urlopen(request, timeout=30, context=context) as answer:
                status, text, headers = answer.status, answer.read().decode(), answer.headers
        except urllib.error.HTTPError as refused:
            status, text, headers = refused.code, refused.read().decode(), refused.headers
        check(status == expect, f"{path}: status {status}, expected {expect}: {text[:300]}")
        return text, headers
