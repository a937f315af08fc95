"""The attestation service, with quotes of the simulated helper, before clients and relying parties that nobody here wrote: the
Python client of Azure Attestation, and the library under Vault's jwt auth."""

import base64
import hashlib
import json
import os
import re
import ssl
import sys
import urllib.error
import urllib.request
from pathlib import Path

from .builds import E2E
from .process import Daemon, output, wait_for
from .steps import check, say

POLICY = """version=1.0;
authorizationrules { [type=="x-ms-sgx-mrsigner", value=="%s"] && [type=="x-ms-sgx-is-debuggable", value==false] => permit(); };
issuancerules { c:[type=="x-ms-sgx-svn"] => issue(type="release", value=c.value); };
"""
ANYBODY = "version=1.0;\nauthorizationrules { => permit(); };\nissuancerules { };\n"
DATA = "what the enclave holds"


class Tokens:
    def __init__(self, folder, product, azure, oidc):
        self.folder, self.product, self.azure, self.oidc = Path(folder), product, azure, oidc
        self.service = Daemon("enclayer-attest", self.folder / "attest.log")
        self.helper = Daemon("enclayer-quote-helper", self.folder / "helper.log")

    def run(self, steps):
        try:
            with steps.step("enclayer-attest serves over TLS, for the simulation that a quote helper runs"):
                self.prepare()
            with steps.step("the unmodified azure-security-attestation gets a token, and is told why it gets none"):
                self.ask_as_azure()
            with steps.step("the unmodified hashicorp/cap takes an EAR token by discovery, and refuses what it should"):
                self.judge_as_vault()
        finally:
            for daemon in (self.service, self.helper):
                if daemon.process:
                    daemon.process.terminate()
                    daemon.process.wait(30)

    # ---- What there is to ask ----

    def prepare(self):
        self.socket = self.folder / "aesm.socket"
        self.helper.start([self.product / "enclayer-quote-helper", "--platform", "sim", "--socket", self.socket, "--state-dir",
                           self.folder / "helper"])
        wait_for("the quote helper's socket", self.socket.exists, 30)
        self.quote = self.quote_of(DATA, "quote.bin")
        output([self.product / "enclayer", "sim", "export", "--state-dir", self.folder / "helper", "--out",
                self.folder / "collateral.json", "--root-ca-out", self.folder / "root.pem"])
        output(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1", "-subj",
                "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", self.folder / "tls.key", "-out",
                self.folder / "tls.crt"])
        self.start(ANYBODY)
        claims = json.loads(self.as_azure(self.quote, DATA))
        self.signer, self.enclave = claims["mr_signer"], claims["mr_enclave"]

    def quote_of(self, data, name):
        """A quote whose report data is bound to `data`."""
        path = self.folder / name
        output([self.product / "enclayer", "quote", "--socket", self.socket, "--report-data",
                hashlib.sha256(data.encode()).hexdigest(), "--out", path])
        return path

    def start(self, policy):
        """Again at the same place, which its tokens name: its first run finds a port."""
        if self.service.process:
            self.service.process.terminate()
            check(self.service.process.wait(30) == 0, "enclayer-attest did not end well")
        (self.folder / "policy.txt").write_text(policy)
        address, issuer = getattr(self, "address", "127.0.0.1:0"), getattr(self, "issuer", "https://127.0.0.1:1/simulated")
        for _ in range(2):
            already = self.log().count(" serving ")
            self.service.start([
                self.product / "enclayer-attest", "--listen", address, "--issuer", issuer, "--tls-cert",
                self.folder / "tls.crt", "--tls-key", self.folder / "tls.key", "--state-dir", self.folder / "attest", "--policy",
                self.folder / "policy.txt", "--simulated-root", self.folder / "root.pem", "--collateral",
                self.folder / "collateral.json", "--audience", "vault"])
            wait_for("enclayer-attest serves", lambda: self.log().count(" serving ") > already or self.must_live(), 30)
            found = re.findall(r" serving address=(\S+)", self.log())[-1]
            if found == address:
                break
            self.service.process.terminate()
            self.service.process.wait(30)
            address, issuer = found, f"https://{found}/simulated"
        self.address, self.issuer = address, issuer

    def must_live(self):
        check(self.service.process.poll() is None, f"enclayer-attest ended by itself:\n{self.log()[-2000:]}")

    def log(self):
        return self.service.log.read_text() if self.service.log.exists() else ""

    # ---- Azure's client ----

    def as_azure(self, quote, data=None, expect=0):
        argv = [sys.executable, E2E / "python/azure_attestation.py", self.issuer, self.folder / "tls.crt", quote, *([data] if data else [])]
        return output(argv, expect=expect, env={**os.environ, "PYTHONPATH": str(self.azure)})

    def ask_as_azure(self):
        self.start(POLICY % self.signer)
        claims = json.loads(self.as_azure(self.quote, DATA))
        report = self.quote.read_bytes()[48:432]
        check(claims["mr_enclave"] == report[64:96].hex() and claims["mr_signer"] == report[128:160].hex(), f"other measurements: {claims}")
        check(claims["enclave_held_data"] == DATA and claims["is_debuggable"] is False and claims["algorithm"] == "RS256",
              f"unexpected claims: {claims}")
        check(claims["quotehash"] == hashlib.sha256(self.quote.read_bytes()).hexdigest(), "another quotehash")
        say(f"token for MRENCLAVE {claims['mr_enclave'][:16]}..., checked by the client with the certificate from /certs")
        say(f"other runtime data: {self.as_azure(self.quote, DATA + '!', expect=2).splitlines()[0][:110]}")
        flipped = self.folder / "flipped.bin"
        bytes_ = bytearray(self.quote.read_bytes())
        bytes_[200] ^= 1
        flipped.write_bytes(bytes_)
        said = self.as_azure(flipped, expect=2)
        check("INVALID_QUOTE_SIGNATURE" in said, f"not refused for its signature: {said}")
        say(f"one bit changed: {said.splitlines()[0][:110]}")
        self.start(POLICY % ("00" * 32))
        check("policy" in self.as_azure(self.quote, DATA, expect=2), "another signer was not refused by the policy")
        self.start(POLICY % self.signer)

    # ---- A relying party ----

    def post(self, path, body):
        context = ssl.create_default_context(cafile=self.folder / "tls.crt")
        request = urllib.request.Request(f"https://{self.address}{path}", json.dumps(body).encode(), method="POST")
        with urllib.request.urlopen(request, timeout=30, context=context) as answer:
            return json.load(answer)

    def as_vault(self, token, audience="vault", algorithm="ES256", expect=0):
        return output([self.oidc / "oidc", self.issuer, self.folder / "tls.crt", audience, algorithm, token], expect=expect)

    def judge_as_vault(self):
        encoded = base64.urlsafe_b64encode(self.quote.read_bytes()).decode().rstrip("=")
        token = self.post("/ear", {"audience": "vault", "quote": encoded})["token"]
        claims = json.loads(self.as_vault(token))
        check(claims["sub"].startswith(f"sgx:mrsigner:{self.signer}:") and claims["x-enclayer-simulated"] is True,
              f"unexpected claims: {claims}")
        say(f"taken: sub {claims['sub'][:32]}...")
        say(f"another audience: {self.as_vault(token, 'elsewhere', expect=2).splitlines()[0][:110]}")
        head, body, signature = token.split(".")
        changed = json.loads(base64.urlsafe_b64decode(body + "=="))
        changed["sub"] = "sgx:mrsigner:" + "00" * 32 + ":0"
        forged = base64.urlsafe_b64encode(json.dumps(changed).encode()).decode().rstrip("=")
        say(f"another subject: {self.as_vault(f'{head}.{forged}.{signature}', expect=2).splitlines()[0][:110]}")
        say(f"as RS256: {self.as_vault(token, algorithm='RS256', expect=2).splitlines()[0][:110]}")
        try:
            self.post("/ear", {"audience": "elsewhere", "quote": encoded})
        except urllib.error.HTTPError as refused:
            check(refused.code == 403, f"status {refused.code} for an audience that is not configured")
        else:
            check(False, "a token for an audience that is not configured")
