"""The certificate authority of one cluster that lives for one run, by the `openssl` command."""

import base64
import json

from .process import output

DAYS = 30  # of everything; a run lasts minutes, a person who plays with the demo's cluster may take longer


class Authority:
    """A CA, and what it signs: each as NAME.crt and NAME.key in `folder`."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir(mode=0o700, parents=True)
        self.make("ca", "/CN=enclayer-e2e", ["-x509", "-days", DAYS, "-addext", "keyUsage=critical,keyCertSign,cRLSign,digitalSignature"])
        # Tokens of ServiceAccounts are signed with a key of their own.
        self.make("service-accounts", "/CN=none", ["-x509", "-days", DAYS])

    def certificate(self, name):
        return self.folder / f"{name}.crt"

    def key(self, name):
        return self.folder / f"{name}.key"

    def make(self, name, subject, arguments):
        output(["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", subject,
                "-keyout", self.key(name), "-out", self.certificate(name), *arguments])

    def issue(self, name, user, group=None, addresses=()):
        """For a client: `user` in `group`. For a server: `addresses` as openssl writes them (DNS:..., IP:...)."""
        subject = (f"/O={group}" if group else "") + f"/CN={user}"
        alternatives = ["-addext", "subjectAltName=" + ",".join(addresses)] if addresses else []
        self.make(name, subject, alternatives)
        request = self.certificate(name).rename(self.folder / f"{name}.csr")
        output(["openssl", "x509", "-req", "-in", request, "-CA", self.certificate("ca"), "-CAkey", self.key("ca"), "-CAcreateserial",
                "-copy_extensions", "copy", "-days", DAYS, "-out", self.certificate(name)])

    def kubeconfig(self, name, server):
        """A file with everything in it, for the client `name` that was issued before."""
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "e2e", "cluster": {"server": server, "certificate-authority-data": encoded(self.certificate("ca"))}}],
            "users": [{
                "name": name,
                "user": {"client-certificate-data": encoded(self.certificate(name)), "client-key-data": encoded(self.key(name))},
            }],
            "contexts": [{"name": "e2e", "context": {"cluster": "e2e", "user": name}}],
            "current-context": "e2e",
        }
        file = self.folder / f"{name}.kubeconfig"
        file.write_text(json.dumps(content, indent=2))
        return file


def encoded(file):
    return base64.b64encode(file.read_bytes()).decode()
