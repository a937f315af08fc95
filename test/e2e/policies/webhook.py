"""A mutating webhook like those of other projects: on loopback, by HTTPS, with an authority of its own. The API server asks it after all policies."""

import base64
import json
import ssl
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from runner.certificates import Authority, encoded

NAME = "policies-injector"
LABELS = ("marblerun/marbletype", "policies/other")  # pods with one of them are sent to it


class Webhook:
    """While it is entered: each container without SGX of such a pod gets `limits`."""

    def __init__(self, api, limits):
        self.api = api
        self.limits = limits
        self.asked = 0

    def __enter__(self):
        with tempfile.TemporaryDirectory() as folder:
            authority = Authority(Path(folder) / "certificates")
            authority.issue("injector", "injector", addresses=["IP:127.0.0.1"])
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(authority.certificate("injector"), authority.key("injector"))
            trusted = encoded(authority.certificate("ca"))
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self.handler())
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()
        self.api.make("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration", NAME, webhooks=[{
            "name": f"{label.replace('/', '-')}.policies.example", "sideEffects": "None", "admissionReviewVersions": ["v1"], "reinvocationPolicy": "Never",
            "clientConfig": {"url": f"https://127.0.0.1:{self.server.server_port}/", "caBundle": trusted},
            "objectSelector": {"matchExpressions": [{"key": label, "operator": "Exists"}]},
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"]}],
        } for label in LABELS])
        return self

    def __exit__(self, *_):
        self.api.must("DELETE", self.api.path("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration", None, NAME))
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def answer(self, request):
        self.asked += 1
        patch = [{"op": "add", "path": f"/spec/containers/{index}/resources", "value": {"limits": self.limits, "requests": self.limits}}
                 for index, each in enumerate(request["object"]["spec"]["containers"]) if not each.get("resources", {}).get("limits")]
        return {"uid": request["uid"], "allowed": True, "patchType": "JSONPatch", "patch": base64.b64encode(json.dumps(patch).encode()).decode()}

    def handler(self):
        webhook = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                body = json.dumps({"apiVersion": review["apiVersion"], "kind": review["kind"], "response": webhook.answer(review["request"])}).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        return Handler
