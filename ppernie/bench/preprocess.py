"""Making a corpus beside the ingredients of PaddleNLP's ``create_pretraining_data``, in one run.

PaddleNLP's script cuts every line into words with jieba, marks the characters inside of words with ``##``, and takes
the tokens' ids from its ``ErnieTokenizer``, in as many processes as it is given; here in one, over a part of each
source. Ours does that over all of them, and cleaning, entities, facts and the removal of copies too. The peaks are of
the processes of one build together, over the sources once and ten times; ten times, copies stay.
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

from ppernie.bench.preprocess_side import texts
from ppernie.bench.side import Side
from ppernie.cpu import cpu_count
from ppernie.data.corpus.settings import CorpusConfig
from ppernie.table import render

_INTERVAL = 0.02  # seconds between looks at the memory
_BASELINE = "PaddleNLP's ingredients, 1 process"
_BASELINE_BYTES = 2 * 2**20
_REPEATS = 10


def benchmark(config: CorpusConfig) -> str:
    """Measures and returns a table; ratios are of megabytes of text a second, to PaddleNLP.

    Args:
        config: of the corpus that is made, for an ERNIE vocabulary; what it calls its output is not written.

    Raises:
        UserError: a file is absent or empty.
    """
    size = sum(len(text.encode()) for source in config.sources for text in texts(config, source))
    rows = [{"side": _BASELINE, **_baseline(config)}]
    for workers, times in ((1, 1), (cpu_count(), 1), (cpu_count(), _REPEATS)):
        name = f"ppernie, {workers} process{'es' * (workers > 1)}" + f", the text {times} times" * (times > 1)
        rows.append({"side": name, **_ours(_repeated(config, times), workers, times * size)})
    base = rows[0]["MB/s"]
    for row in rows:
        row["ratio"] = f"{row['MB/s'] / base:.2f}" if isinstance(base, float) else ""
        row["MB/s"] = f"{row['MB/s']:.2f}" if isinstance(row["MB/s"], float) else row["MB/s"]
    return render(rows)


def _repeated(config: CorpusConfig, times: int) -> CorpusConfig:
    """The corpus with its texts several times over, without removing them as copies."""
    if times == 1:
        return config
    sources = []
    for number in range(times):
        for source in config.sources:
            cleaning = (source.cleaning or config.cleaning).model_copy(update={"deduplicate": False})
            sources.append(source.model_copy(update={"name": f"{source.name} {number}", "cleaning": cleaning}))
    return config.model_copy(update={"sources": sources})


def _baseline(config: CorpusConfig) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        arguments = [str(_written(config, Path(folder))), str(_BASELINE_BYTES)]
        side = Side("ppernie.bench.preprocess_side", arguments, threads=1)
        try:
            found = side.ask()
        finally:
            side.close()
    return {"MB/s": side.error or found["bytes"] / 1e6 / found["seconds"], "peak MB": f"{found.get('peak_mb', 0):.0f}"}


def _ours(config: CorpusConfig, workers: int, size: int) -> dict[str, Any]:
    """A build of ``size`` bytes as a process of its own, starting up and all."""
    with tempfile.TemporaryDirectory() as folder:
        path = _written(config, Path(folder))
        began = time.monotonic()
        command = [sys.executable, "-m", "ppernie.cli.main", "preprocess", "-c", str(path), "--workers", str(workers)]
        peak = peak_mb(command)
        return {"MB/s": size / 1e6 / (time.monotonic() - began), "peak MB": f"{peak:.0f}"}


def _written(config: CorpusConfig, folder: Path) -> Path:
    """A file of the config, whose corpus goes into the folder, too."""
    values = config.model_copy(update={"output": str(folder / "corpus")}).model_dump(mode="json")
    path = folder / "config.yaml"
    path.write_text(json.dumps(values), encoding="utf-8")  # JSON is YAML
    return path


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
