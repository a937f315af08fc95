"""The attestation service in the add-on: two replicas with one set of keys, and a secret for the right enclave alone."""

import base64
import json
import socket
import ssl
import threading
import time

from .builds import E2E
from .cluster import running
from .helperpod import NAMESPACE
from .process import wait_for
from .steps import check, say
from .testbed import ENCLAVE_DEVICES, EPC, QUOTE

SAMPLE = E2E.parent.parent / "samples/attested-secret"
HOST = "enclayer-attest.enclayer-system.svc"
SELECTOR = "app.kubernetes.io/name=enclayer-attest"
PASSWORD = "correct-horse"
CLIENTS, REQUESTS = 4, 100
ROTATED_S = 90  # a replica looks once a minute


class AttestedSecret:
    def __init__(self, cluster):
        self.cluster = cluster
        self.plane = cluster.plane

    def listed(self):
        return [
            ("enclayer enable --enable-attestation-service without a root for the simulation is refused, with the remedy", self.refuse),
            ("samples/attested-secret: enable, two replicas with one set of keys", self.enable),
            ("samples/attested-secret: the pod gets its secret; with another MRENCLAVE, a debugger or another account it does not", self.release),
            (f"a replica is killed while {CLIENTS} clients ask for tokens: no wrong answer, and retries succeed", self.kill),
            ("keys are rotated: the new ones are in every replica's JWKS before they sign", self.rotate),
            ("what is rendered, shown and logged holds no key and no secret", self.look_for_secrets),
            ("enclayer doctor finds nothing; a binding that is gone and an image that is not there are its first lines", self.examine),
            ("enclayer disable: nothing is left", self.disable),
        ]

    # --- what there is to ask

    def replicas(self):
        pods = self.plane.read(f"/api/v1/namespaces/{NAMESPACE}/pods", labelSelector=SELECTOR)["items"]
        return {pod["metadata"]["name"]: pod["status"]["podIP"] for pod in pods
                if running(pod) and "deletionTimestamp" not in pod["metadata"] and all(one["ready"] for one in pod["status"]["containerStatuses"])}

    def ask(self, address, path, body=None):
        """One request to one replica, by the name that its certificate is for."""
        context = ssl.create_default_context(cadata=self.authority)
        with context.wrap_socket(socket.create_connection((address, 8443), timeout=10), server_hostname=HOST) as connection:
            head = f"{'POST' if body else 'GET'} /simulated{path} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n"
            connection.sendall((head + f"Content-Length: {len(body or '')}\r\n\r\n" + (body or "")).encode())
            answer = b""
            while part := connection.recv(65536):
                answer += part
        head, _, content = answer.partition(b"\r\n\r\n")
        return int(head.split()[1]), json.loads(content)

    def keys(self, address):
        status, jwks = self.ask(address, "/jwks")
        check(status == 200, f"{status}: {jwks}")
        return [key["kid"] for key in jwks["keys"]]

    # --- steps

    def refuse(self):
        said = self.cluster.enclayer("enable", "--platform", "sim", "--image", self.cluster.image, "--enable-attestation-service", expect=1)
        check("--attestation-simulated-root" in said and "enclayer sim export" in said, said)
        said = self.cluster.enclayer("enable", "--platform", "sim", "--attestation-policy", SAMPLE / "README.md", expect=1)
        check("--attestation-policy: " in said and "line 1" in said, said)
        say(said.strip())

    def enable(self):
        self.cluster.label_node("enclayer.io/sim=true")
        say(self.cluster.enclayer("enable", "--platform", "sim", "--image", self.cluster.image, "--enable-sgxquotehelper"))
        self.switch_on()

    def switch_on(self):
        """As samples/attested-secret/README.md says."""
        work = self.cluster.work
        for option, name in (("--out", "collateral.json"), ("--root-ca-out", "root.pem")):
            (work / name).write_text(self.plane.kubectl("exec", "-n", NAMESPACE, "ds/enclayer-quote-helper", "--", "enclayer", "sim", "export", option, "-"))
        self.plane.kubectl("-n", NAMESPACE, "create", "secret", "generic", "attested-secrets", f"--from-literal=db-password={PASSWORD}")
        self.plane.kubectl("-n", NAMESPACE, "create", "configmap", "attested-policies", f"--from-file={SAMPLE}/db-password.json")
        say(self.cluster.enclayer(
            "update", "--enable-attestation-service", "--attestation-collateral", work / "collateral.json", "--attestation-simulated-root",
            work / "root.pem", "--attestation-secrets", "attested-secrets", "--attestation-release-policies", "attested-policies",
            "--attestation-release-accounts", "default/attested", "--attestation-audience", "vault"))
        self.authority = self.plane.read(f"/api/v1/namespaces/{NAMESPACE}/configmaps/enclayer-attest-authority")["data"]["ca.crt"]
        replicas = self.replicas()
        check(len(replicas) == 2, f"ready replicas: {replicas}")
        found = [self.keys(address) for address in replicas.values()]
        check(found[0] == found[1] and len(found[0]) == 2, f"their keys differ: {found}")
        shown = self.cluster.enclayer("show")
        check("attestation-service" in shown, shown)
        say(next(line for line in shown.splitlines() if "attestation-service" in line).strip())

    def run_sample(self, name, enclave="release", account="attested"):
        """As it is published; the test's cluster has no DNS and no Services, so its pod is told a replica's address."""
        alias = json.dumps([{"ip": next(iter(self.replicas().values())), "hostnames": [HOST]}])
        text = (SAMPLE / "job.yaml").read_text()
        for old, new in (("  name: attested\n", f"  name: {account}\n"), ("  name: attested-secret\n", f"  name: {name}\n"),
                         ("serviceAccountName: attested\n", f"serviceAccountName: {account}\n      hostAliases: {alias}\n"),
                         ("localhost/enclayer:0.2.0", self.cluster.image), (HOST + "\n", HOST + ":8443\n"), ("--enclave=release", f"--enclave={enclave}")):
            check(text.count(old) == 1, f"job.yaml has {old!r} {text.count(old)} times")
            text = text.replace(old, new)
        self.plane.kubectl("apply", "-f", "-", stdin=text)
        found = wait_for(f"a pod of {name}", lambda: self.plane.read("/api/v1/namespaces/default/pods", labelSelector=f"job-name={name}")["items"], 60)
        pod = self.cluster.wait_for_pod(found[0]["metadata"]["name"], lambda pod: pod["status"]["phase"] in ("Succeeded", "Failed"), 90)
        log = self.cluster.log(pod["metadata"]["name"])
        self.plane.kubectl("delete", "job", name)
        return pod["status"]["phase"], log

    def release(self):
        self.plane.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "attest-authority", "namespace": "default"}, "data": {"ca.crt": self.authority}})
        phase, log = self.run_sample("attested-secret")
        check(phase == "Succeeded" and f"db-password: {len(PASSWORD)} bytes" in log, f"{phase}: {log}")
        say(log.strip())
        for name, options, why in (("other-enclave", {"enclave": "other"}, "released to this evidence"), ("under-debugger", {"enclave": "debug"}, "403"),
                                   ("other-account", {"account": "somebody"}, "may not ask for secrets here")):
            phase, log = self.run_sample(name, **options)
            check(phase == "Failed" and why in log, f"{name}, {phase}: {log}")
            say(f"{name}: {log.strip()}")

    def kill(self):
        evidence = self.evidence()
        known = set(self.keys(next(iter(self.replicas().values()))))
        wrong, served, retried = [], [], []

        def client(first):
            addresses = list(self.replicas().values())  # as a client that resolved the name once; anew when one does not answer
            for i in range(REQUESTS):
                for attempt in range(20):
                    try:
                        status, answer = self.ask(addresses[(first + i + attempt) % len(addresses)], "/ear", evidence)
                    except (OSError, ValueError, IndexError, ZeroDivisionError):
                        retried.append(attempt)
                        time.sleep(0.2)
                        addresses = list(self.replicas().values())
                        continue
                    header = json.loads(base64.urlsafe_b64decode(answer.get("token", "").split(".")[0] + "=="))
                    if status != 200 or header["kid"] not in known:
                        wrong.append(f"{status}: {answer}")
                    served.append(status)
                    break
                else:
                    wrong.append("twenty tries failed")

        clients = [threading.Thread(target=client, args=(first,)) for first in range(CLIENTS)]
        for one in clients:
            one.start()
        wait_for("some tokens", lambda: len(served) > REQUESTS // 4, 60, pause=0.1)
        victim = next(iter(self.replicas()))
        self.plane.kubectl("-n", NAMESPACE, "delete", "pod", victim, "--grace-period=0", "--force")
        for one in clients:
            one.join()
        check(not wrong and len(served) == CLIENTS * REQUESTS, f"{len(served)} tokens; wrong: {wrong[:3]}")
        say(f"{victim} killed after some: {len(served)} tokens, {len(retried)} requests were tried again, no wrong answer")
        wait_for("two replicas again", lambda: len(self.replicas()) == 2, 60, pause=0.5)

    def evidence(self):
        """The body of a request for an EAR token."""
        seen, _ = self.cluster.run_workload("evidence", ["attest", "00" * 64, *ENCLAVE_DEVICES], limits={EPC: 10, QUOTE: 1})
        check(seen["quote_exit"] == 0, seen["quote_output"])
        self.cluster.remove_pods("evidence")
        quote = base64.urlsafe_b64encode(base64.b64decode(seen["quote"])).decode().rstrip("=")
        return json.dumps({"audience": "vault", "quote": quote})

    def rotate(self):
        old = self.keys(next(iter(self.replicas().values())))
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        self.plane.kubectl("-n", NAMESPACE, "annotate", "secret", "enclayer-attest-keys", f"enclayer.io/rotate-at={now}")
        begin = time.monotonic()

        def rotated():
            found = [self.keys(address) for address in self.replicas().values()]
            check(len(found) == 2 and found[0] == found[1] and len(found[0]) == 4 and set(old) < set(found[0]), f"their keys: {found}")
            return True

        wait_for("each replica has the new keys and the old ones", rotated, ROTATED_S, pause=1)
        say(f"after {time.monotonic() - begin:.0f} s both replicas publish {len(old)} new keys beside the old ones")
        status, answer = self.ask(next(iter(self.replicas().values())), "/ear", self.evidence())
        check(status == 200, f"{status}: {answer}")
        header = json.loads(base64.urlsafe_b64decode(answer["token"].split(".")[0] + "=="))
        check(header["kid"] in old, "a key signs that nobody can know yet")

    def look_for_secrets(self):
        secret = self.plane.read(f"/api/v1/namespaces/{NAMESPACE}/secrets/enclayer-attest-keys")
        private = [base64.b64decode(text).decode(errors="replace").splitlines()[1][:40] for name, text in secret["data"].items() if name.endswith(".pem")]
        check(len(private) == 4, f"the Secret has {sorted(secret['data'])}")
        said = self.cluster.enclayer("show", "--output", "json") + self.cluster.enclayer("render", "--platform", "hardware", "--enable-attestation-service", "--attestation-fmspc", "00606a000000")
        for name in self.replicas():
            said += self.plane.kubectl("-n", NAMESPACE, "logs", name)
        found = [word for word in [*private, PASSWORD] if word in said]
        check(not found, f"{len(found)} of them are told")

    def examine(self):
        say(self.cluster.enclayer("doctor").strip())
        self.plane.kubectl("delete", "mutatingadmissionpolicybinding", "enclayer-translate")
        said = self.cluster.enclayer("doctor", expect=2)
        check(said.startswith("wrong    admission") and "enclayer-translate is missing" in said.splitlines()[0], said)
        say(said.splitlines()[0])
        self.cluster.enclayer("update")
        self.plane.kubectl("-n", NAMESPACE, "set", "image", "deployment/enclayer-attest", "attest=localhost/none:1")

        def named():
            line = self.cluster.enclayer("doctor", expect=2).splitlines()[0]
            check(line.startswith("wrong    images") and "localhost/none:1" in line, line)
            return line

        say(wait_for("doctor names the image", named, 60, pause=1))
        self.cluster.enclayer("update", "--adopt")
        self.cluster.enclayer("doctor")

    def disable(self):
        self.plane.kubectl("-n", NAMESPACE, "delete", "secret/attested-secrets", "configmap/attested-policies")
        self.plane.kubectl("delete", "configmap/attest-authority", "serviceaccount/attested", "serviceaccount/somebody")
        self.cluster.disable("deployments,services,secrets,configmaps,poddisruptionbudgets,networkpolicies,roles,rolebindings")
