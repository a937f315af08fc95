"""What tools/image makes, in pods of the real node: programs start with what is in their image, and nothing else is in it. The image with
Intel's libraries holds the stand-ins under their names."""

import json
import sys

from .cluster import PROGRAMS, TOOLS
from .process import output
from .steps import check, say
from .testbed import ended

HELPER = "/usr/bin/enclayer-quote-helper"


class Images:
    def __init__(self, cluster):
        self.cluster = cluster
        self.folder = cluster.work / "images"  # what pods see as /tmp: for the stand-ins, and for what they write

    def listed(self):
        return [
            ("enclayer: its programs start as nobody, with nothing to write to", self.start_programs),
            ("enclayer-dcap, of packages named like Intel's: built and loaded", self.load_dcap),
            ("enclayer-dcap: its quote helper tests itself with the stand-ins", self.test_dcap),
            ("neither has a shell", self.look_for_shells),
        ]

    def start_programs(self):
        self.folder.mkdir()
        self.folder.chmod(0o777)
        for program in PROGRAMS:
            said = self.run(self.cluster.image, [f"/usr/bin/{program}", "--version"])
            check(f"{program} 0." in said, f"{program} --version says {said}")
        said = self.run(self.cluster.image, [HELPER, "--platform", "sim", "--self-test", "--state-dir", "/tmp/state"])
        check("passed" in said, said)
        say(f"four programs say their version; {said.splitlines()[-1]}")

    def load_dcap(self):
        build, packages = self.cluster.paths["product"].parent, self.cluster.work / "packages"
        output([sys.executable, TOOLS.parent / "test/image/standin_packages.py", build, packages])
        said = output([TOOLS / "image", "enclayer-dcap", "--build", build, "--out", self.cluster.work, "--debs", packages, "--allow-older"])
        self.cluster.containerd.load(self.cluster.work / f"enclayer-dcap-{self.cluster.version()}.oci.tar")
        say(said.strip())

    def test_dcap(self):
        (self.folder / "dev").mkdir()
        for name in ("dev/sgx_enclave", "orders"):
            (self.folder / name).touch()
        stand_in = {"ENCLAYER_STANDIN": "/tmp/orders", "ENCLAYER_STANDIN_LOG": "/tmp/log"}
        self_test = [HELPER, "--self-test", "--dev-root", "/tmp/dev", "--cache-dir", "/tmp/cache", "--state-dir", "/tmp/state"]
        said = self.run(self.dcap, self_test, stand_in)
        check("passed  load" in said, said)
        say(said.strip())

    def look_for_shells(self):
        for image in (self.cluster.image, self.dcap):
            said = self.run(image, ["/bin/sh"], good=False)
            check("no such file" in said, said)

    @property
    def dcap(self):
        return self.cluster.image.replace("enclayer:", "enclayer-dcap:")

    def run(self, image, command, environment=None, good=True):
        """What the program says in a pod, or, unless it is to be `good`, what the kubelet says of it."""
        container = {
            "name": "main", "image": image, "imagePullPolicy": "Never", "command": command, "env": [{"name": key, "value": value} for key, value in (environment or {}).items()],
            "securityContext": {"runAsUser": 65532, "readOnlyRootFilesystem": True, "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
            "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
        }
        self.cluster.plane.apply({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "image", "namespace": "default"},
            "spec": {"restartPolicy": "Never", "containers": [container], "volumes": [{"name": "tmp", "hostPath": {"path": str(self.folder)}}]},
        })
        pod = self.cluster.wait_for_pod("image", ended)
        said = self.cluster.log("image") if good else json.dumps(pod["status"]["containerStatuses"])
        check((pod["status"]["phase"] == "Succeeded") == good, f"{command} in {image}: {json.dumps(pod['status'])[:2000]}\n{said}")
        self.cluster.remove_pods("image")
        return said
