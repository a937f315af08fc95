#!/usr/bin/env python3
"""verify.py LIBENCLAYER EVIDENCE COLLATERAL POLICY TIME [NONCE]: is it to be trusted, at that time (seconds since 1970), by
this policy, and does its report data begin with that nonce (hexadecimal digits)? EVIDENCE is a quote of SGX or TDX as bytes, hex,
base64, PEM or JSON, or the RA-TLS certificate of a TLS peer. Needs Python 3.9 and enclayer.py beside it, nothing else."""
import json
import sys
from pathlib import Path

from enclayer import Error, Library


def main(path, evidence, collateral, policy, at, nonce=None):
    library = Library(path)
    verdict = library.verifier(policy=Path(policy).read_text()).check(
        Path(evidence).read_bytes(), library.collateral(Path(collateral).read_text()), int(at),
        report_data=bytes.fromhex(nonce) if nonce else None,
    )
    print(json.dumps(verdict.as_json(), indent=2))
    print(verdict.enclave or verdict.td or verdict.detail)
    return 0 if verdict.trusted else 2


if __name__ == "__main__":
    if len(sys.argv) not in (6, 7):
        sys.exit(__doc__)
    try:
        sys.exit(main(*sys.argv[1:]))
    except (Error, OSError, ValueError) as why:
        sys.exit(str(why))
