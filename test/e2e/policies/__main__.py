"""The admission policies on a real API server:

    PYTHONPATH=test/e2e python3 -m policies --kubeconfig FILE --enclayer build/release/bin/enclayer

Needs Kubernetes 1.36 or newer, an administrator's kubeconfig and kubectl; no nodes, no scheduler, no controllers. Exit 0 only when every step passed."""

import argparse
import sys
from pathlib import Path

from runner.steps import Failure

from .suite import run

parser = argparse.ArgumentParser(prog="python3 -m policies", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--kubeconfig", required=True, type=Path)
parser.add_argument("--enclayer", required=True, type=Path, help="the CLI, which writes the policies")
parser.add_argument("--kubectl", default="kubectl")
parser.add_argument("--busy", action="store_true", help="other work runs on this machine: tell the policies' times, do not judge them")
options = parser.parse_args()
try:
    run(options.kubeconfig, options.enclayer.resolve(), options.kubectl, busy=options.busy)
except Failure as why:
    print(f"\nFAILED: {why}", file=sys.stderr)
    sys.exit(1)
