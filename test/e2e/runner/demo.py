"""The add-on's story, for a person to watch; it ends with the add-on on, as `enclayer show` tells it."""

from .addon import ORDINARY_NODES, Addon
from .attested import AttestedSecret


class Demo(Addon):
    def listed(self):
        attestation = AttestedSecret(self.cluster)
        return [
            (f"the images of samples/, and {ORDINARY_NODES} ordinary nodes", self.prepare),
            ("enclayer enable --platform sim", self.enable),
            ("samples/hello-world: 10 MiB, with its device", self.hello_world),
            ("a pod that asks for more than any node has stays Pending, with the reason", self.ask_for_too_much),
            ("enclayer update --enable-sgxquotehelper", self.enable_helper),
            ("samples/out-of-process: a quote, and it verifies; also in a namespace that enforces `restricted`", self.attest),
            ("enclayer update --enable-attestation-service: two replicas with one set of keys", lambda: self.switch_on(attestation)),
            ("samples/attested-secret: the right enclave gets the password, nobody else does", attestation.release),
            ("enclayer show", self.show),
        ]

    def switch_on(self, attestation):
        """Its pods prefer nodes without SGX, and those that there are here run nothing: kwok plays them."""
        self.plane.kubectl("cordon", "-l", "type=kwok")
        attestation.switch_on()
        self.plane.kubectl("uncordon", "-l", "type=kwok")
