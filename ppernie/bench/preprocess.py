"""Making a corpus beside the ingredients of PaddleNLP's ``create_pretraining_data``, in one run.

PaddleNLP's script cuts every line into words with jieba, marks the characters inside of words with ``##``, and takes
the tokens' ids from its ``ErnieTokenizer``, in as many processes as it is given; here in one. Ours does that, and
cleaning, entities and the removal of copies too. The peaks are of the processes of one build together, over the text
once and ten times.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ppernie.bench.side import Side
from ppernie.cpu import cpu_count
from ppernie.data.readers.files import resolve
from ppernie.table import render

_INTERVAL = 0.02  # seconds between looks at the memory
_BASELINE = "PaddleNLP's ingredients, 1 process"
_BASELINE_BYTES = 2 * 2**20
_REPEATS = 10


def benchmark(text: Sequence[str], vocab: str) -> str:
    """Measures and returns a table; ratios are of megabytes of text a second, to PaddleNLP.

    Args:
        text: files or patterns of plain text.
        vocab: vocabulary file.

    Raises:
        UserError: a file is absent or empty.
    """
    files = [str(path) for path in resolve(text, None)]
    resolve(vocab, None)
    rows = [{"side": _BASELINE, **_baseline(files, vocab)}]
    with tempfile.TemporaryDirectory() as folder:
        for workers, times in ((1, 1), (cpu_count(), 1), (cpu_count(), _REPEATS)):
            name = f"ppernie, {workers} process{'es' * (workers > 1)}" + f", the text {times} times" * (times > 1)
            rows.append({"side": name, **_ours(files, vocab, workers, times, Path(folder, f"{workers} {times}"))})
    base = rows[0]["MB/s"]
    for row in rows:
        row["ratio"] = f"{row['MB/s'] / base:.2f}" if isinstance(base, float) else ""
        row["MB/s"] = f"{row['MB/s']:.2f}" if isinstance(row["MB/s"], float) else row["MB/s"]
    return render(rows)


def _baseline(files: list[str], vocab: str) -> dict[str, Any]:
    side = Side("ppernie.bench.preprocess_side", [vocab, str(_BASELINE_BYTES), *files], threads=1)
    try:
        found = side.ask()
    finally:
        side.close()
    return {"MB/s": side.error or found["bytes"] / 1e6 / found["seconds"], "peak MB": f"{found.get('peak_mb', 0):.0f}"}


def _ours(files: list[str], vocab: str, workers: int, times: int, folder: Path) -> dict[str, Any]:
    """A build as a process of its own, starting up and all."""
    folder.mkdir()
    sources = [
        {"name": str(number), "files": files, "documents": "file", "cleaning": {"deduplicate": False}}
        for number in range(times)
    ]
    values = {"output": str(folder / "corpus"), "tokenizer": {"vocab_file": vocab}, "sources": sources}
    config = folder / "config.yaml"
    config.write_text(json.dumps(values), encoding="utf-8")  # JSON is YAML
    began = time.monotonic()
    command = [sys.executable, "-m", "ppernie.cli.main", "preprocess", "-c", str(config), "--workers", str(workers)]
    peak = peak_mb(command)
    seconds = time.monotonic() - began
    size = times * sum(Path(file).stat().st_size for file in files)
    return {"MB/s": size / 1e6 / seconds, "peak MB": f"{peak:.0f}"}


def peak_mb(command: Sequence[str]) -> float:
    """Runs a command to its end; the most memory that it and its children had together, shared pages counted once."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)
    peak = 0.0
    while process.poll() is None:
        peak = max(peak, sum(map(_memory_mb, _group(process.pid))))
        time.sleep(_INTERVAL)
    if process.returncode:
        assert process.stderr
        raise RuntimeError(process.stderr.read().decode())
    return peak


def _group(leader: int) -> list[int]:
    """Processes of a session."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if os.getsid(int(path.name)) == leader:
                found.append(int(path.name))
        except ProcessLookupError:
            continue
    return found


def _memory_mb(process: int) -> float:
    """Its proportional share of the pages that it has."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024
