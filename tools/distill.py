"""``ppernie distill`` from a checkout."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from ppernie.cli.main import tool

if __name__ == "__main__":
    tool("distill")
