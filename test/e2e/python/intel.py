"""What Intel's Quote Verification Library says of a quote: its C functions, which the unmodified package trustflow-verification
exports. They are those that Intel's own AttestationApp calls; the trusted root is a parameter of theirs.

sgx_qv_verify_quote(), which applications call, is not: Intel's key is in its code, and so no simulated quote is genuine to it."""

import ctypes
import json
import re
from ctypes import POINTER, byref, c_char_p, c_int64, c_uint16, c_uint32
from importlib.util import find_spec
from pathlib import Path

# Of its Status, those of a quote that verified; 46 is TCB_REVOKED.
VERIFIED = {
    0: "UpToDate", 45: "OutOfDate", 47: "ConfigurationNeeded", 48: "OutOfDateConfigurationNeeded", 82: "SWHardeningNeeded",
    83: "ConfigurationAndSWHardeningNeeded", 87: "TDRelaunchAdvised", 88: "TDRelaunchAdvisedConfigurationNeeded",
}
INTEL_ROOT = Path(__file__).resolve().parents[3] / "test/data/quotes/intel_root_2049.pem"

library = ctypes.CDLL(find_spec("trustflow.attestation.verification.verifier").origin)
library.sgxAttestationVerifyPCKCertificate.argtypes = [c_char_p, POINTER(c_char_p), c_char_p, POINTER(c_int64)]
for function in (library.sgxAttestationVerifyTCBInfo, library.sgxAttestationVerifyEnclaveIdentity):
    function.argtypes = [c_char_p, c_char_p, c_char_p, c_char_p, POINTER(c_int64)]
library.sgxAttestationVerifyQuote.argtypes = [c_char_p, c_uint32, c_char_p, c_char_p, c_char_p, c_char_p]
library.sgxAttestationGetQECertificationDataSize.argtypes = [c_char_p, c_uint32, POINTER(c_uint32)]
library.sgxAttestationGetQECertificationData.argtypes = [c_char_p, c_uint32, c_uint32, c_char_p, POINTER(c_uint16)]


def judge(quote, collateral, time, root=INTEL_ROOT):
    """(accepted, words): paths of the files, seconds since 1970."""
    quote, root = Path(quote).read_bytes(), Path(root).read_bytes()
    given = {key: value.encode() for key, value in json.loads(Path(collateral).read_text()).items()}
    at = byref(c_int64(time))

    size, kind = c_uint32(), c_uint16()
    status = library.sgxAttestationGetQECertificationDataSize(quote, len(quote), byref(size))
    chain = ctypes.create_string_buffer(size.value + 1)  # a NUL ends it
    status = status or library.sgxAttestationGetQECertificationData(quote, len(quote), size, chain, byref(kind))
    if status != 0:
        return False, f"quote's certification data: {status}"
    leaf = re.search(rb"-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----", chain.raw)
    tcb_info = signed(b"tcbInfo", given["tcb_info"], given["tcb_info_signature"])
    identity = signed(b"enclaveIdentity", given["qe_identity"], given["qe_identity_signature"])
    crls = (c_char_p * 2)(given["root_ca_crl"], given["pck_crl"])

    for part, status in [
        ("PCK certificate", library.sgxAttestationVerifyPCKCertificate(chain, crls, root, at)),
        ("TCB Info", library.sgxAttestationVerifyTCBInfo(tcb_info, given["tcb_info_issuer_chain"], given["root_ca_crl"], root, at)),
        ("QE Identity", library.sgxAttestationVerifyEnclaveIdentity(
            identity, given["qe_identity_issuer_chain"], given["root_ca_crl"], root, at)),
    ]:
        if status != 0:
            return False, f"{part}: {status}"
    status = library.sgxAttestationVerifyQuote(quote, len(quote), leaf and leaf[0], given["pck_crl"], tcb_info, identity)
    return status in VERIFIED, VERIFIED.get(status, f"quote: {status}")


def signed(name, text, signature):
    """As the provisioning service sends it: the signature stands beside what it signs."""
    return b'{"%s":%s,"signature":"%s"}' % (name, text, signature)
