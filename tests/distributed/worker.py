"""One rank of a launched test: calls a function of a test module and leaves its result for the test."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import time
from pathlib import Path

from ppernie.errors import UserError


def main(module: str, function: str, arguments: str, folder: str) -> None:
    rank = os.environ["PADDLE_TRAINER_ID"]
    Path(folder, f"{rank}.pid").write_text(str(os.getpid()))
    if rank != "0":
        # Whoever finds the first rank not listening yet tries again after three seconds.
        time.sleep(0.5)
    spec = importlib.util.spec_from_file_location("launched", module)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    try:
        result = getattr(loaded, function)(*json.loads(arguments))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    Path(folder, f"{rank}.json").write_text(json.dumps(result))


if __name__ == "__main__":
    main(*sys.argv[1:])
