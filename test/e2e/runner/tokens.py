"""The attestation service, with quotes of the simulated helper, before clients and relying parties that nobody here wrote."""

import base64
import hashlib
import json
import os
import ssl
import sys
import urllib.parse
import urllib.request

from .attestation import ANYBODY, Attestation
from .builds import E2E
from .process import Daemon, output, wait_for
from .steps import check, say

POLICY = """version=1.0;
authorizationrules { [type=="x-ms-sgx-mrsigner", value=="%s"] && [type=="x-ms-sgx-is-debuggable", value==false] => permit(); };
issuancerules { c:[type=="x-ms-sgx-svn"] => issue(type="release", value=c.value); };
"""
DATA = "what the enclave holds"
OTHER_SIGNER = "00" * 32
SECRET = "open sesame"


def first_line(text):
    return text.splitlines()[0][:110]


def base64url(content):
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


class Tokens:
    """`peers`: folders of the programs, by name (runner/builds.py)."""

    def __init__(self, folder, product, peers):
        self.attestation = Attestation(folder, product)
        self.folder, self.peers = self.attestation.folder, peers
        self.vault = Daemon("vault", self.folder / "vault.log")

    def run(self, steps):
        try:
            with steps.step("enclayer-attest serves over TLS, for the simulation that a quote helper runs"):
                self.prepare()
            with steps.step("the unmodified azure-security-attestation (Python) gets a token, and is told why it gets none"):
                self.ask_as_azure()
            with steps.step("the unmodified @azure/attestation (JavaScript) does the same, with runtime data in JSON"):
                self.ask_as_azure_in_javascript()
            with steps.step("the unmodified hashicorp/cap takes an EAR token by discovery, and refuses what it should"):
                self.judge_as_cap()
            with steps.step("Vault's own jwt auth lets an enclave in by its claims, and no other"):
                self.log_in_to_vault()
            with steps.step("the unmodified crate ear reads what the token says of the platform"):
                self.read_as_veraison()
            with steps.step("a secret for keys of go-jose, RSA-OAEP-256 and ECDH-ES, which only they open"):
                self.open_with_go_jose()
            with steps.step("a secret that Vault's own transit engine decrypts on release, and nobody while it is away"):
                self.decrypt_by_vault()
            with steps.step("the unmodified dcap-qvl (Python) and the crate pcs take the service's collateral"):
                self.serve_collateral()
        finally:
            self.attestation.end()
            if self.vault in Daemon.running:
                self.vault.stop()

    def prepare(self):
        self.attestation.prepare()
        self.quote = self.attestation.quote_of(DATA, "quote.bin")
        self.attestation.start(ANYBODY)
        claims = json.loads(self.as_azure(self.quote, DATA))
        self.signer, self.enclave = claims["mr_signer"], claims["mr_enclave"]
        self.flipped = self.folder / "flipped.bin"
        changed = bytearray(self.quote.read_bytes())
        changed[200] ^= 1
        self.flipped.write_bytes(changed)

    # ---- Azure's clients ----

    def as_azure(self, quote, data=None, expect=0):
        argv = [sys.executable, E2E / "python/azure_attestation.py", self.attestation.issuer, self.folder / "tls.crt", quote, *([data] if data else [])]
        return output(argv, expect=expect, env={**os.environ, "PYTHONPATH": str(self.peers["azure"])})

    def ask_as_azure(self):
        self.attestation.start(POLICY % self.signer)
        claims = json.loads(self.as_azure(self.quote, DATA))
        report = self.quote.read_bytes()[48:432]
        check(claims["mr_enclave"] == report[64:96].hex() and claims["mr_signer"] == report[128:160].hex(), f"other measurements: {claims}")
        check(claims["enclave_held_data"] == DATA and claims["is_debuggable"] is False and claims["algorithm"] == "RS256",
              f"unexpected claims: {claims}")
        check(claims["quotehash"] == hashlib.sha256(self.quote.read_bytes()).hexdigest(), "another quotehash")
        say(f"token for MRENCLAVE {claims['mr_enclave'][:16]}..., checked by the client with the certificate from /certs")
        say(f"other runtime data: {first_line(self.as_azure(self.quote, DATA + '!', expect=2))}")
        said = self.as_azure(self.flipped, expect=2)
        check("INVALID_QUOTE_SIGNATURE" in said, f"not refused for its signature: {said}")
        say(f"one bit changed: {first_line(said)}")
        self.attestation.start(POLICY % OTHER_SIGNER)
        check("policy" in self.as_azure(self.quote, DATA, expect=2), "another signer was not refused by the policy")
        self.attestation.start(POLICY % self.signer)

    def ask_as_azure_in_javascript(self):
        data = json.dumps({"session": "7", "keys": []})
        quote = self.attestation.quote_of(data, "json.bin")

        def ask(*arguments, issuer=self.attestation.issuer, expect=0):
            argv = ["node", self.peers["azure-javascript"] / "azure_attestation.mjs", self.attestation.issuer, issuer, *arguments]
            return output(argv, expect=expect, env={**os.environ, "NODE_EXTRA_CA_CERTS": str(self.folder / "tls.crt")})

        claims = json.loads(ask(quote, data))
        check(claims["mrEnclave"] == self.enclave and claims["mrSigner"] == self.signer and claims["isDebuggable"] is False and
              claims["verifierType"] == "sgx" and claims["issuer"] == self.attestation.issuer, f"unexpected claims: {claims}")
        check(claims["runTimeClaims"] == json.loads(data), f"other runtime claims: {claims['runTimeClaims']}")
        check(claims["quotehash"] == hashlib.sha256(quote.read_bytes()).hexdigest(), "another quotehash")
        say(f"token by {claims['algorithm']}, checked with one of {claims['signers']} certificates; runtime claims as they were sent")
        refusals = {
            "other runtime data": ask(quote, data.replace("7", "8"), expect=2), "one bit changed": ask(self.flipped, expect=2),
            "a token of another issuer": ask(quote, data, issuer="https://attest.example", expect=2),
        }
        for what, word in [("other runtime data", "AttestationFailed"), ("one bit changed", "INVALID_QUOTE_SIGNATURE"),
                           ("a token of another issuer", "expected issuer")]:
            check(word in refusals[what], f"{what}: {refusals[what]}")
            say(f"{what}: {first_line(refusals[what])}")

    # ---- Relying parties ----

    def token(self):
        encoded = base64url(self.quote.read_bytes())
        return json.loads(self.attestation.ask("/ear", {"audience": "vault", "quote": encoded})[0])["token"]

    def with_another_subject(self, token):
        head, body, signature = token.split(".")
        changed = json.loads(base64.urlsafe_b64decode(body + "=="))
        changed["sub"] = f"sgx:mrsigner:{OTHER_SIGNER}:0"
        return f"{head}.{base64url(json.dumps(changed).encode())}.{signature}"

    def judge_as_cap(self):
        token = self.token()

        def judge(token, audience="vault", algorithm="ES256", expect=0):
            return output([self.peers["relying"] / "oidc", self.attestation.issuer, self.folder / "tls.crt", audience, algorithm, token], expect=expect)

        claims = json.loads(judge(token))
        check(claims["sub"].startswith(f"sgx:mrsigner:{self.signer}:") and claims["x-enclayer-simulated"] is True,
              f"unexpected claims: {claims}")
        say(f"taken: sub {claims['sub'][:32]}...")
        say(f"another audience: {first_line(judge(token, 'elsewhere', expect=2))}")
        say(f"another subject: {first_line(judge(self.with_another_subject(token), expect=2))}")
        say(f"as RS256: {first_line(judge(token, algorithm='RS256', expect=2))}")
        self.attestation.ask("/ear", {"audience": "elsewhere", "quote": base64url(self.quote.read_bytes())}, expect=403)

    def log_in_to_vault(self):
        token = self.token()

        def log_in(token, audience="vault", expect=0, **claims):
            return output([self.peers["relying"] / "vault", "login", self.attestation.issuer, self.folder / "tls.crt", audience, json.dumps(claims), token],
                          expect=expect)

        ours = {"x-ms-sgx-mrsigner": self.signer, "x-ms-sgx-is-debuggable": False}
        said = json.loads(log_in(token, **ours))
        check(said["policies"] == ["database"] and said["alias"].startswith(f"sgx:mrsigner:{self.signer}:"), f"unexpected: {said}")
        say(f"in as {said['alias'][:32]}..., with the policies {said['policies']}")
        for what, refusal, word in [
            ("bound to another signer", log_in(token, expect=2, **{**ours, "x-ms-sgx-mrsigner": OTHER_SIGNER}), "claim"),
            ("bound to debug enclaves", log_in(token, expect=2, **{**ours, "x-ms-sgx-is-debuggable": True}), "claim"),
            ("another audience", log_in(token, "elsewhere", expect=2, **ours), "audience"),
            ("another subject", log_in(self.with_another_subject(token), expect=2, **ours), "signature"),
        ]:
            check(word in refusal, f"{what}: {refusal}")
            say(f"{what}: {first_line(refusal)}")

    def read_as_veraison(self):
        token = self.token()
        header = json.loads(base64.urlsafe_b64decode(token.split(".")[0] + "=="))
        keys = {key["kid"]: key for key in json.loads(self.attestation.ask("/jwks")[0])["keys"]}

        def read(token, kid=header["kid"], audience="vault", expect=0):
            path = self.folder / "jwk.json"
            path.write_text(json.dumps(keys[kid]))
            return output([self.peers["aesm-client"] / "e2e-relying", "ear", path, audience, token], expect=expect)

        said = json.loads(read(token))
        check(said["profile"] == "tag:github.com,2023:veraison/ear" and said["developer"] == "enclayer", f"unexpected: {said}")
        # A simulation is as bad as can be, whatever else is well (docs/attestation-service.md).
        expected = {"status": "contraindicated", "vector": {"hardware": 97, "executables": 2, "configuration": 2}}
        found = {name: said["submods"]["sgx"][name] for name in expected}
        check(found == expected, f"expected {expected}, it read {found}")
        say(f"read: {found['status']}, {found['vector']}; by its own function: {said['own']}")
        say(f"another audience: {first_line(read(token, audience='elsewhere', expect=2))}")
        other = next(kid for kid, key in keys.items() if key["kty"] == "RSA")
        say(f"another subject: {first_line(read(self.with_another_subject(token), expect=2))}")
        say(f"another key: {first_line(read(token, other, expect=2))}")

    # ---- Secrets ----

    def start_with_secret(self, stored, *more):
        """For the client CN=backup and enclaves of our signer."""
        secrets, policies = self.folder / "secrets", self.folder / "release"
        for folder in (secrets, policies):
            folder.mkdir(exist_ok=True)
        self.secret, self.release_policy = secrets / "db-password", policies / "db-password.json"
        self.secret.write_text(stored)
        self.attestation.start(ANYBODY, "--client-ca", self.folder / "client.crt", "--secrets-dir", secrets, "--release-policies", policies,
                               "--release-client", "CN=backup", *more)
        self.release_to(self.signer)

    def release_to(self, signer):
        conditions = [{"claim": "x-ms-sgx-mrsigner", "equals": signer}, {"claim": "x-ms-sgx-is-debuggable", "equals": False}]
        self.release_policy.write_text(json.dumps({"version": "1.0.0", "anyOf": [{"authority": self.attestation.issuer, "allOf": conditions}]}))

    def open_with_go_jose(self):
        self.start_with_secret(SECRET)

        def jose(*arguments, expect=0):
            return output([self.peers["relying"] / "jose", *arguments], expect=expect)

        def release(kind, client="backup", expect=200):
            data = json.dumps({"keys": [json.loads(jose("key", kind, self.folder / f"{kind}.json"))]})
            quote = self.attestation.quote_of(data, f"{kind}.bin").read_bytes()
            body = {"quote": base64url(quote), "runtime_data": base64url(data.encode())}
            answer = self.attestation.ask("/release/db-password", body, client=client and "client", expect=expect)[0]
            return json.loads(answer).get("value")

        values = {kind: release(kind) for kind in ("rsa", "p256")}
        for kind, algorithm, other in [("rsa", "RSA-OAEP-256", "p256"), ("p256", "ECDH-ES", "rsa")]:
            header = json.loads(jose("header", values[kind]))
            check(header["alg"] == algorithm and header["enc"] == "A256GCM", f"it is sealed by {header}")
            opened = jose("open", self.folder / f"{kind}.json", values[kind])
            check(opened == SECRET, f"{algorithm}: it opens to {opened!r}")
            refused = jose("open", self.folder / f"{other}.json", values[kind], expect=2)
            say(f"{algorithm}: opened; by another key: {first_line(refused)}")
        jose("key", "rsa", self.folder / "later.json")
        say(f"by another key of the kind: {first_line(jose('open', self.folder / 'later.json', values['rsa'], expect=2))}")
        release("rsa", client=None, expect=401)
        self.release_to(OTHER_SIGNER)
        release("rsa", expect=403)
        check(SECRET not in self.attestation.log(), "the secret is in the log")
        say("without a certificate 401, of another signer 403; the log does not know the secret")

    def decrypt_by_vault(self):
        self.attestation.certificate("vault", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1")
        token = self.folder / "vault-token"
        token.write_text("hvs.e2e\n")
        self.vault.start([self.peers["relying"] / "vault", "transit", self.folder / "vault.crt", self.folder / "vault.key", "hvs.e2e"])
        url = "https://" + wait_for("Vault's address", lambda: self.vault.log.read_text().strip(), 30)
        context = ssl.create_default_context(cafile=self.folder / "vault.crt")

        def ask(path, data):
            request = urllib.request.Request(f"{url}/v1/transit/{path}", json.dumps(data).encode(), {"X-Vault-Token": "hvs.e2e"})
            with urllib.request.urlopen(request, timeout=30, context=context) as answer:
                return json.loads(answer.read() or b"{}")

        def sealed(name):
            data = {key: base64.b64encode(value.encode()).decode() for key, value in [("plaintext", SECRET), ("associated_data", name)]}
            return ask("encrypt/enclayer-attest", data)["data"]["ciphertext"]

        ask("keys/enclayer-attest", {})
        self.start_with_secret(sealed("db-password") + "\n", "--vault-url", url, "--vault-cacert", self.folder / "vault.crt", "--vault-token-file", token)

        def request(expect=0):
            said = output([self.attestation.product / "enclayer", "attest", "request", "--url", self.attestation.issuer, "--secret", "db-password",
                           "--socket", self.attestation.socket, "--cacert", self.folder / "tls.crt", "--client-cert", self.folder / "client.crt",
                           "--client-key", self.folder / "client.key", "--timeout", 1 if expect else 15], expect=expect)
            return said.partition(" answers with ")[2] if expect else said

        check(request() == SECRET, "another secret")
        ask("keys/enclayer-attest/rotate", {})
        check(request() == SECRET, "not by the old key, which Vault keeps")
        say("decrypted, and again when the key was rotated")
        self.secret.write_text(sealed("another"))
        say(f"a ciphertext of another name: {first_line(request(3))}")
        self.secret.write_text(sealed("db-password"))
        token.write_text("hvs.expired")
        say(f"a token that Vault does not take: {first_line(request(4))}")
        token.write_text("hvs.e2e")
        check(request() == SECRET, "not when the token was renewed")
        self.vault.stop()
        say(f"Vault away: {first_line(request(4))}")
        check(SECRET not in self.attestation.log() and "hvs." not in self.attestation.log(), "a secret is in the log")

    # ---- Collateral ----

    def serve_collateral(self):
        self.attestation.start(ANYBODY, "--collateral-door", plain=True)
        base = self.attestation.issuer.removesuffix("/simulated")

        def judge(root, expect):
            return output([sys.executable, E2E / "python/collateral_door.py", base, self.quote, *root], expect=expect,
                          env={**os.environ, "PYTHONPATH": str(self.peers["verifiers"])})

        accepted = judge([self.folder / "root.pem"], 0)
        check(accepted.startswith("accepted: UpToDate"), accepted)
        say(f"dcap-qvl, which fetched it itself: {first_line(accepted)}; without our root {first_line(judge([], 2))}")

        def fetch(path, chain):
            body, headers = self.attestation.ask(path)
            (self.folder / "body.json").write_text(body)
            (self.folder / "chain.pem").write_text(urllib.parse.unquote(headers[chain]))
            return json.loads(body)

        def parse(kind, expect=0):
            return output([self.peers["aesm-client"] / "e2e-relying", "pcs", kind, self.folder / "body.json", self.folder / "chain.pem"], expect=expect)

        fmspc = json.loads(json.loads((self.folder / "collateral.json").read_text())["tcb_info"])["fmspc"].lower()
        signed = fetch(f"/sgx/certification/v4/tcb?fmspc={fmspc}", "TCB-Info-Issuer-Chain")
        said = json.loads(parse("tcb"))
        expected = {"number": signed["tcbInfo"]["tcbEvaluationDataNumber"], "levels": len(signed["tcbInfo"]["tcbLevels"]), "certificates": 2}
        check(said == expected, f"expected {expected}, pcs reads {said}")
        say(f"pcs: TCB Info with {said['levels']} levels; as that of TDs: {first_line(parse('tdx-tcb', expect=2))}")
        fetch("/sgx/certification/v4/qe/identity", "SGX-Enclave-Identity-Issuer-Chain")
        said = json.loads(parse("qe"))
        check(said["certificates"] == 2, f"pcs reads {said}")
        (self.folder / "body.json").write_text((self.folder / "body.json").read_text()[:-40])
        say(f"pcs: QE Identity, evaluation {said['number']}; cut short: {first_line(parse('qe', expect=2))}")
        self.attestation.ask("/sgx/certification/v4/tcb?fmspc=000000000000", expect=404)
        self.attestation.ask(f"/sgx/certification/v4/tcb?fmspc={fmspc}&update=early", expect=400)
