"""Judges a quote with the unmodified dcap-qvl package: exit 0 accepted, 2 refused.

usage: verify.py QUOTE COLLATERAL.json UNIX_TIME [ROOT.pem]      (without a root: Intel's, which dcap-qvl has built in)
"""

import sys

from dcap import judge

if len(sys.argv) not in (4, 5):
    sys.exit(__doc__)
accepted, words = judge(sys.argv[1], sys.argv[2], int(sys.argv[3]), *sys.argv[4:])
print(f"{'accepted' if accepted else 'refused'}: {words}")
sys.exit(0 if accepted else 2)
