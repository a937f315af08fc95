#!/usr/bin/env python3
"""make.py COLLATERAL.JSON FOLDER: the responses of a provisioning service that give this collateral (README.md)."""
import json
import pathlib
import sys
import urllib.parse

collateral = json.load(open(sys.argv[1]))
folder = pathlib.Path(sys.argv[2])
folder.mkdir(exist_ok=True)


def put(name, body, media_type, chain_header=None, chain=None):
    (folder / name).write_bytes(body)
    if chain_header:
        lines = ["HTTP/1.1 200 OK", f"Content-Type: {media_type}", f"{chain_header}: {urllib.parse.quote(chain)}", ""]
        (folder / f"{name}.headers").write_bytes(("\r\n".join(lines) + "\r\n").encode())


def signed(key, text, signature):
    return f'{{"{key}":{text},"signature":"{signature}"}}'.encode()


c = collateral
put("pckcrl", bytes.fromhex(c["pck_crl"]), "application/pkix-crl", "SGX-PCK-CRL-Issuer-Chain", c["pck_crl_issuer_chain"])
put("rootcacrl", bytes.fromhex(c["root_ca_crl"]), "application/pkix-crl")
put("tcb", signed("tcbInfo", c["tcb_info"], c["tcb_info_signature"]), "application/json",
    "TCB-Info-Issuer-Chain", c["tcb_info_issuer_chain"])
put("qe_identity", signed("enclaveIdentity", c["qe_identity"], c["qe_identity_signature"]), "application/json",
    "SGX-Enclave-Identity-Issuer-Chain", c["qe_identity_issuer_chain"])
