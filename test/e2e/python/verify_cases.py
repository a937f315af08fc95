"""One witness judges every case that `enclayer sim case --all` wrote, each with its own root and at its own time.

usage: verify_cases.py dcap|intel FOLDER      prints {"CASE": {"accepted": true, "words": "UpToDate"}, ...}
"""

import importlib
import json
import sys
from datetime import datetime
from pathlib import Path

if len(sys.argv) != 3 or sys.argv[1] not in ("dcap", "intel"):
    sys.exit(__doc__)
witness = importlib.import_module(sys.argv[1])
said = {}
for case in sorted(Path(sys.argv[2]).iterdir()):
    at = datetime.fromisoformat(json.loads((case / "expected.json").read_text())["at"])
    accepted, words = witness.judge(case / "quote.bin", case / "collateral.json", int(at.timestamp()), case / "root.pem")
    said[case.name] = {"accepted": accepted, "words": words}
print(json.dumps(said, indent=2))
