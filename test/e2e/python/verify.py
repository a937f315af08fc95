"""Judges a quote with the unmodified dcap-qvl package: exit 0 accepted, 2 refused.

usage: verify.py QUOTE COLLATERAL.json UNIX_TIME [ROOT.pem]      (without a root: Intel's, which dcap-qvl has built in)
"""

import ssl
import sys
from pathlib import Path

import dcap_qvl


def main():
    if len(sys.argv) not in (4, 5):
        sys.exit(__doc__)
    quote = Path(sys.argv[1]).read_bytes()
    collateral = dcap_qvl.QuoteCollateralV3.from_json(Path(sys.argv[2]).read_text())
    time = int(sys.argv[3])
    try:
        if len(sys.argv) == 5:
            root = ssl.PEM_cert_to_DER_cert(Path(sys.argv[4]).read_text())
            report = dcap_qvl.verify_with_root_ca(quote, collateral, root, time)
        else:
            report = dcap_qvl.verify(quote, collateral, time)
    except ValueError as why:
        print("refused:", " ".join(str(why).split()))
        sys.exit(2)
    print(f"accepted: {report.status} {' '.join(report.advisory_ids)}".rstrip())


main()
