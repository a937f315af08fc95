"""Asks an attestation service with the unmodified client of Azure Attestation, which judges the token that it gets.

usage: azure_attestation.py URL CA.pem QUOTE [RUNTIME_DATA]      exit 0: a token, its claims as JSON; 2: refused, and why
"""

import json
import sys
import time
from pathlib import Path

from azure.core.credentials import AccessToken
from azure.core.exceptions import HttpResponseError
from azure.security.attestation import AttestationClient, AttestationTokenValidationException


class Anybody:
    """Azure's shared providers ask for no name either, but the client wants a credential."""

    def get_token(self, *scopes, **options):
        return AccessToken("nobody", int(time.time()) + 3600)


def main(url, authorities, quote, runtime_data=None):
    client = AttestationClient(url, Anybody(), connection_verify=authorities, retry_total=0)
    options = {"runtime_data": runtime_data.encode()} if runtime_data else {}
    try:
        result, token = client.attest_sgx_enclave(
            Path(quote).read_bytes(), validate_issuer=True, issuer=client.get_open_id_metadata()["issuer"], **options)
    except (HttpResponseError, AttestationTokenValidationException) as refused:
        print(refused)
        return 2
    print(json.dumps({
        "mr_enclave": result.mr_enclave, "mr_signer": result.mr_signer, "product_id": result.product_id, "svn": result.svn,
        "is_debuggable": result.is_debuggable, "issuer": result.issuer, "version": result.version,
        "enclave_held_data": result.enclave_held_data.decode() if result.enclave_held_data else None,
        "policy_hash": bool(result.policy_hash), "quotehash": result.sgx_collateral["quotehash"],
        "algorithm": token.algorithm, "certificates": len(client.get_signing_certificates()),
    }))
    return 0


if __name__ == "__main__":
    if len(sys.argv) not in (4, 5):
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
