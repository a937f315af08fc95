#!/usr/bin/env python3
"""verify.py LIBENCLAYER EVIDENCE COLLATERAL POLICY TIME: is it to be trusted, at that time (seconds since 1970), by this
policy? EVIDENCE is a quote as bytes, hex, base64, PEM or JSON, or the RA-TLS certificate of a TLS peer. Calls libenclayer.so (include/enclayer/enclayer.h) through ctypes; needs nothing but Python."""
import ctypes
import json
import sys
from ctypes import POINTER, byref, c_char_p, c_int, c_int64, c_size_t, c_void_p


def library(path):
    lib = ctypes.CDLL(path)
    lib.enclayer_verifier_new.argtypes = [c_char_p, c_size_t, c_char_p, c_size_t, POINTER(c_void_p), c_char_p, c_size_t]
    lib.enclayer_verify_evidence.argtypes = [c_void_p, c_char_p, c_size_t, c_char_p, c_size_t, c_int64, POINTER(c_void_p)]
    lib.enclayer_verdict_json.argtypes, lib.enclayer_verdict_json.restype = [c_void_p], c_char_p
    for free in (lib.enclayer_verdict_free, lib.enclayer_verifier_free):
        free.argtypes, free.restype = [c_void_p], None
    return lib


def read(path):
    with open(path, "rb") as file:
        return file.read()


def main(path, evidence_path, collateral_path, policy_path, at):
    lib, evidence, collateral, policy = library(path), read(evidence_path), read(collateral_path), read(policy_path)
    verifier, verdict, why = c_void_p(), c_void_p(), ctypes.create_string_buffer(256)
    if lib.enclayer_verifier_new(None, 0, policy, len(policy), byref(verifier), why, len(why)) != 0:
        sys.exit(why.value.decode())
    result = lib.enclayer_verify_evidence(verifier, evidence, len(evidence), collateral, len(collateral), int(at),
                                          byref(verdict))
    if verdict:
        print(json.dumps(json.loads(lib.enclayer_verdict_json(verdict)), indent=2))
    lib.enclayer_verdict_free(verdict)
    lib.enclayer_verifier_free(verifier)
    return result


if __name__ == "__main__":
    if len(sys.argv) != 6:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
