"""From texts to a corpus: parts made by several processes, each once, then put together."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import groupby
from operator import itemgetter
from pathlib import Path

from ppernie import __version__
from ppernie.data.corpus.arrays import digest_arrays, file_of, token_type
from ppernie.data.corpus.corpus import INDEX, TOKENIZER, Index
from ppernie.data.corpus.encoding import SentenceEncoder
from ppernie.data.corpus.fingerprint import fingerprint
from ppernie.data.corpus.graph import Graph
from ppernie.data.corpus.merging import merge
from ppernie.data.corpus.parts import STATISTICS, Maker, PairPart, facts_of, names_of
from ppernie.data.corpus.processes import run_jobs
from ppernie.data.corpus.reading import Part, split_parts
from ppernie.data.corpus.segmentation import open_segmenter
from ppernie.data.corpus.settings import CorpusConfig, GraphSource
from ppernie.data.corpus.triples import read_graph
from ppernie.data.readers.files import resolve
from ppernie.data.tokenizers import Tokenizer
from ppernie.errors import UserError
from ppernie.files import new_folder, take_lock, write_file, writing

logger = logging.getLogger("ppernie")

_PLAN = "plan.json"
_TRIAL_BYTES = 16 * 2**20  # of each source's texts
_TOLD_EVERY = 10.0  # seconds between lines, where no bar is shown

# Set in the parent before the processes are forked, so that they share it.
_maker: Maker


def build_corpus(config: CorpusConfig, tokenizer: Tokenizer, workers: int) -> dict[str, float]:
    """Builds ``config.output`` and returns its statistics; one that was interrupted goes on.

    The corpus does not depend on the number of workers.

    Raises:
        UserError: a source is absent, broken or empty, nothing is left of the texts, a graph's names occur nowhere,
            another process builds the same corpus, ``output`` holds something, the disk is full, or the tokenizer has
            none of the ``line_feeds`` that are asked for.
    """
    global _maker
    if config.line_feeds and "\n" not in tokenizer.decode(tokenizer.encode("a\nb").ids):
        raise UserError("line_feeds: the tokenizer reads a line feed as a space; set line_feeds to false")
    output = Path(config.output)
    if output.exists():
        raise UserError(f"{output}: is there already; remove it, or set output to a new folder")
    began = time.monotonic()
    unfinished = output.with_name(f"{output.name}.unfinished")
    with writing(unfinished):
        unfinished.mkdir(parents=True, exist_ok=True)
    with closing(take_lock(unfinished / ".lock", "another process ({owner}) is building this corpus; wait for it")):
        made_by = fingerprint(tokenizer)
        parts = _plan(config, made_by, unfinished)
        encoder = SentenceEncoder(tokenizer)
        lexicon = Path(config.root or "", config.lexicon) if config.lexicon else None
        graphs = [(_title(source), read_graph(source, config.root)) for source in config.graphs]
        graph = Graph(graphs, encoder, tokenizer.unk_id) if config.graphs else None
        _maker = Maker(
            config, open_segmenter(config.segmenter, lexicon), encoder, graph, token_type(tokenizer.vocab_size)
        )
        size = _make_parts(parts, workers)
        statistics = _finish(config, tokenizer, made_by, parts, output)
        shutil.rmtree(unfinished)
    seconds = time.monotonic() - began
    return {**statistics, "seconds": seconds, "megabytes a second": size / 1e6 / seconds}


def _plan(config: CorpusConfig, tokenizer: str, unfinished: Path) -> list[tuple[Part | PairPart, Path]]:
    """The parts and their folders; those of another plan are removed."""
    # Pairs first: there are few, so that a broken file of theirs is found early.
    parts: list[Part | PairPart] = [
        PairPart(number, str(path))
        for number, source in enumerate(config.pairs)
        for path in resolve(source.files, config.root)
    ]
    parts += [
        part
        for number, source in enumerate(config.sources)
        for part in split_parts(number, source, config.root, int(config.block_mb * 2**20))
    ]
    used = {part.path for part in parts} | {str(path) for path in _other_files(config)}
    changed = [(path, Path(path).stat().st_size, Path(path).stat().st_mtime_ns) for path in sorted(used)]
    plan = json.dumps([__version__, config.model_dump(mode="json"), tokenizer, changed], sort_keys=True)
    digest = hashlib.sha256(plan.encode()).hexdigest()
    marker = unfinished / _PLAN
    if not marker.exists() or marker.read_text(encoding="utf-8") != digest:
        for folder in unfinished.glob("part_*"):
            shutil.rmtree(folder)
        write_file(marker, digest)
    return [(part, unfinished / f"part_{number:06d}") for number, part in enumerate(parts)]


def _other_files(config: CorpusConfig) -> Iterator[Path]:
    """What else decides the corpus: graphs, names and the lexicon."""
    files = [*(graph.files for graph in config.graphs), *(graph.names for graph in config.graphs)]
    for named in (*files, *(pair.names for pair in config.pairs), config.lexicon):
        if named:
            yield from resolve(named, config.root)


def _title(graph: GraphSource) -> str:
    return graph.files if isinstance(graph.files, str) else ", ".join(graph.files)


def _make_parts(parts: list[tuple[Part | PairPart, Path]], workers: int) -> int:
    """Makes those that are not there yet; returns the bytes of their texts."""
    todo = [job for job in parts if not _is_made(job)]
    if len(todo) < len(parts):
        logger.info("%d of %d parts are there already", len(parts) - len(todo), len(parts))
    trial = _trial(parts)
    from tqdm import tqdm

    bar = tqdm(
        total=len(parts), initial=len(parts) - len(todo), unit="part", disable=not sys.stderr.isatty(), leave=False
    )
    told, size, done = time.monotonic(), 0, len(parts) - len(todo)
    with bar:
        for jobs in (trial, parts):
            with closing(run_jobs(_make, [job for job in jobs if not _is_made(job)], workers)) as made:
                for counts in made:
                    size, done = size + counts["bytes"], done + 1
                    bar.update()
                    if bar.disable and time.monotonic() - told > _TOLD_EVERY:
                        told = time.monotonic()
                        logger.info("%d of %d parts", done, len(parts))
            if jobs is trial and _maker.graph:
                _check_names(_maker.graph.titles, [folder for part, folder in trial if isinstance(part, Part)])
    return size


def _is_made(job: tuple[Part | PairPart, Path]) -> bool:
    return (job[1] / STATISTICS).exists()


def _trial(parts: list[tuple[Part | PairPart, Path]]) -> list[tuple[Part | PairPart, Path]]:
    """The pairs, and the first parts of each source, on which graphs are tried before hours are spent."""
    sizes: Counter[int] = Counter()
    found: list[tuple[Part | PairPart, Path]] = []
    for part, folder in parts:
        if isinstance(part, PairPart):
            found.append((part, folder))
        elif sizes[part.source] < _TRIAL_BYTES:
            sizes[part.source] += part.stop - part.start
            found.append((part, folder))
    return found


def _check_names(titles: Sequence[str], folders: Sequence[Path]) -> None:
    """Raises UserError where the texts of these parts hold no name of a graph; without sentences they say nothing."""
    folders = [folder for folder in folders if _has_sentences(folder)]
    if not folders:
        return
    counts: Counter[str] = Counter()
    for folder in folders:
        counts.update(json.loads((folder / STATISTICS).read_text(encoding="utf-8")))
    for title in titles:
        if not counts[names_of(title)]:
            raise UserError(
                f"{title}: none of the graph's names occurs in {counts['bytes']:,} bytes of the texts, taken from all "
                "sources; choose a graph about these texts"
            )


def _has_sentences(folder: Path) -> bool:
    lengths = file_of(folder, "lengths")
    return lengths.exists() and lengths.stat().st_size > 0


def _make(job: tuple[Part | PairPart, Path]) -> Counter[str]:
    return _maker.make(*job)


def _finish(
    config: CorpusConfig, tokenizer: Tokenizer, made_by: str, parts: list[tuple[Part | PairPart, Path]], output: Path
) -> dict[str, float]:
    with new_folder(output) as temporary:
        sizes, facts, counts = merge(parts, temporary, tokenizer.vocab_size)
        if not counts["tokens"]:
            raise UserError(
                f"{output}: nothing is left of {counts['bytes']:,} bytes of text; {counts['sentences too short']:,} "
                f"sentences were shorter than cleaning.min_words = {config.cleaning.min_words}"
            )
        for title in map(_title, config.graphs):
            if not counts[facts_of(title)]:
                raise UserError(
                    f"{title}: no sentence names head and tail of a triple of the graph; choose one about these texts"
                )
        _tell_doubts(counts)
        index = Index(
            tokenizer=made_by,
            vocab_size=tokenizer.vocab_size,
            sources=[source.name for source in config.sources],
            weights=[source.weight for source in config.sources],
            facts=_facts_by_weight(config, parts, facts),
            sizes=sizes,
            statistics={name: float(count) for name, count in sorted(counts.items())},
            digest=digest_arrays(temporary, sizes),
        )
        tokenizer.save(temporary / TOKENIZER)
        write_file(temporary / INDEX, index.model_dump_json(indent=2) + "\n")
    return index.statistics


def _facts_by_weight(
    config: CorpusConfig, parts: list[tuple[Part | PairPart, Path]], facts: list[int]
) -> list[tuple[int, float]]:
    """Runs of facts whose sources are of one weight: how many, and the weight.

    Args:
        facts: of each part.
    """
    sources = [(config.sources if isinstance(part, Part) else config.pairs)[part.source] for part, _ in parts]
    found = [(count, source.weight) for count, source in zip(facts, sources, strict=True) if count]
    return [(sum(count for count, _ in run), weight) for weight, run in groupby(found, itemgetter(1))]


def _tell_doubts(counts: Counter[str]) -> None:
    if counts["sentences too short"] > counts["sentences"]:
        logger.warning(
            "%d sentences were too short (cleaning.min_words), more than the %d that stay",
            counts["sentences too short"],
            counts["sentences"],
        )
