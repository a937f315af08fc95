"""An API server, asked over one kept connection: hundreds of dry runs take seconds."""

import http.client
import json
import re
import ssl
import subprocess
import tempfile
import time
from base64 import b64decode
from pathlib import Path
from urllib.parse import urlsplit

from runner.steps import Failure

PLURALS = {
    "Pod": "pods", "Job": "jobs", "Deployment": "deployments", "DaemonSet": "daemonsets", "StatefulSet": "statefulsets", "Service": "services", "Namespace": "namespaces",
    "ServiceAccount": "serviceaccounts", "ResourceClaimTemplate": "resourceclaimtemplates", "ResourceQuota": "resourcequotas", "LimitRange": "limitranges", "MutatingWebhookConfiguration": "mutatingwebhookconfigurations",
    **{kind: kind.lower().replace("policy", "policies") if not kind.endswith("Binding") else kind.lower() + "s" for kind in (
        "MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")},
}
CLUSTER_SCOPED = {kind for kind in PLURALS if "Admission" in kind} | {"Namespace", "MutatingWebhookConfiguration"}


class Reply:
    def __init__(self, status, body, warnings):
        self.status = status
        self.body = body
        self.warnings = warnings  # the texts of the Warning headers

    @property
    def ok(self):
        return self.status < 300

    @property
    def message(self):
        return self.body.get("message", "") if isinstance(self.body, dict) else self.body


class Api:
    """`kubectl` only reads the kubeconfig, whatever is in it that gives a client certificate or a token."""

    def __init__(self, kubeconfig, kubectl="kubectl"):
        self.kubectl = [str(kubectl), f"--kubeconfig={kubeconfig}"]
        read = subprocess.run([*self.kubectl, "config", "view", "--raw", "--minify", "--flatten", "-o", "json"], capture_output=True, text=True, check=True)
        config = json.loads(read.stdout)
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        context = ssl.create_default_context(cadata=b64decode(cluster["certificate-authority-data"]).decode())
        if "client-certificate-data" in user:
            with tempfile.TemporaryDirectory() as folder:
                paths = [Path(folder) / "crt", Path(folder) / "key"]
                for path, name in zip(paths, ("client-certificate-data", "client-key-data")):
                    path.touch(0o600)
                    path.write_bytes(b64decode(user[name]))
                context.load_cert_chain(*paths)
        self.headers = {"Authorization": f"Bearer {user['token']}"} if "token" in user else {}
        address = urlsplit(cluster["server"])
        self.connection = http.client.HTTPSConnection(address.hostname, address.port, context=context, timeout=60)

    def request(self, method, path, body=None, content="application/json"):
        data = json.dumps(body) if content.endswith("json") and body is not None else body
        self.connection.request(method, path, data, {**self.headers, "Content-Type": content, "Accept": "application/json"})
        answer = self.connection.getresponse()
        text = answer.read().decode()
        warnings = [re.sub(r'^299 \S+ "(.*)"$', r"\1", each, flags=re.S).replace('\\"', '"') for each in answer.headers.get_all("Warning") or []]
        try:
            return Reply(answer.status, json.loads(text), warnings)
        except ValueError:
            return Reply(answer.status, text, warnings)

    def path(self, api_version, kind, namespace=None, name=None):
        root = "/apis/" + api_version if "/" in api_version else "/api/" + api_version
        scope = "" if kind in CLUSTER_SCOPED else f"/namespaces/{namespace}"
        return f"{root}{scope}/{PLURALS[kind]}" + (f"/{name}" if name else "")

    def try_pod(self, pod, namespace):
        """What would become of the pod: nothing is stored."""
        return self.request("POST", self.path("v1", "Pod", namespace) + "?dryRun=All&fieldValidation=Strict", pod)

    def must(self, method, path, body=None, content="application/json", besides=()):
        reply = self.request(method, path, body, content)
        if not reply.ok and reply.status not in besides:
            raise Failure(f"{method} {path}: {reply.status} {reply.message}")
        return reply

    def apply(self, yaml):
        kind, name = (re.search(rf"^\s*{key}: (\S+)$", yaml, re.M).group(1) for key in ("kind", "name"))
        version = re.search(r"^apiVersion: (\S+)$", yaml, re.M).group(1)
        self.must("PATCH", self.path(version, kind, None, name) + "?fieldManager=enclayer&force=true", yaml, "application/apply-patch+yaml")
        return kind, name

    def make(self, api_version, kind, name, namespace=None, **fields):
        """409: it is there already."""
        body = {"apiVersion": api_version, "kind": kind, "metadata": {"name": name, **fields.pop("metadata", {})}, **fields}
        return self.must("POST", self.path(api_version, kind, namespace), body, besides=(409,))

    def metrics(self):
        """{(name, labels): value}"""
        text = self.must("GET", "/metrics").body
        return {(name, frozenset(re.findall(r'(\w+)="([^"]*)"', labels or ""))): float(value)
                for name, labels, value in re.findall(r"^(\w+)(\{.*\})? (\S+)$", text, re.M)}


def wait_until(holds, what, seconds=30):
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise Failure(f"not within {seconds} s: {what}")
        time.sleep(0.05)


def documents(text):
    """The parts of a YAML stream, without those of comments alone."""
    return [part for part in re.split(r"^---.*$", text, flags=re.M) if re.search(r"^[^#\s]", part, re.M)]
