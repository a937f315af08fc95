"""What the unmodified dcap-qvl package says of a quote."""

import ssl
from pathlib import Path

import dcap_qvl


def judge(quote, collateral, time, root=None):
    """(accepted, words): paths of the files, seconds since 1970; without a root: Intel's, which dcap-qvl has built in."""
    try:
        content = Path(quote).read_bytes()
        evidence = dcap_qvl.QuoteCollateralV3.from_json(Path(collateral).read_text())
        if root:
            report = dcap_qvl.verify_with_root_ca(content, evidence, ssl.PEM_cert_to_DER_cert(Path(root).read_text()), time)
        else:
            report = dcap_qvl.verify(content, evidence, time)
    except ValueError as why:
        return False, " ".join(str(why).split())
    return True, " ".join([report.status, *report.advisory_ids])
