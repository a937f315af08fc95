"""Judges a quote with the unmodified dcap-qvl package and the collateral that it fetches itself: exit 0 accepted, 2 refused.

usage: collateral_door.py URL QUOTE [ROOT.pem]      (without a root: Intel's, which dcap-qvl has built in)
"""

import asyncio
import os
import ssl
import sys
import time
from pathlib import Path

import dcap_qvl


async def judge(url, quote, root=None):
    content = Path(quote).read_bytes()
    try:
        collateral = await dcap_qvl.get_collateral(url, content)
        if root:
            report = dcap_qvl.verify_with_root_ca(content, collateral, ssl.PEM_cert_to_DER_cert(Path(root).read_text()), int(time.time()))
        else:
            report = dcap_qvl.verify(content, collateral, int(time.time()))
    except (ValueError, RuntimeError) as why:
        print("refused:", " ".join(str(why).split()))
        return 2
    print("accepted:", report.status, *report.advisory_ids)
    return 0


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    code = asyncio.run(judge(*sys.argv[1:]))
    sys.stdout.flush()
    os._exit(code)  # the package's own threads would crash while Python ends
