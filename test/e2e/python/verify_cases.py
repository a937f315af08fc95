"""Judges every case that `enclayer sim case --all` wrote, each with its own root and at its own time.

usage: verify_cases.py FOLDER      prints {"CASE": {"accepted": true, "words": "UpToDate"}, ...}
"""

import json
import sys
from datetime import datetime
from pathlib import Path

from judge import judge

if len(sys.argv) != 2:
    sys.exit(__doc__)
said = {}
for case in sorted(Path(sys.argv[1]).iterdir()):
    at = datetime.fromisoformat(json.loads((case / "expected.json").read_text())["at"])
    accepted, words = judge(case / "quote.bin", case / "collateral.json", int(at.timestamp()), case / "root.pem")
    said[case.name] = {"accepted": accepted, "words": words}
print(json.dumps(said, indent=2))
