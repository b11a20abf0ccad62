"""The config of a corpus: which texts, how they are cleaned and cut, and where it goes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from ppernie.config.sections import FewrelPercent, Percent, Section, TokenizerSection, percent_of
from ppernie.config.validation import load_as


class Cleaning(Section):
    """What a text loses; as in ERNIE 3.0."""

    collapse_characters: bool = Field(
        default=True, description="Leave one of repeated punctuation and spaces, and of 4 or more equal letters"
    )
    collapse_paragraphs: bool = Field(
        default=True, description="Leave one of equal runs of 1 to 99 sentences that follow each other"
    )
    min_words: int = Field(default=10, ge=0, description="Drop sentences with fewer words; 0 keeps all")
    deduplicate: bool = Field(
        default=True, description="Drop documents whose three longest sentences an earlier document has"
    )


class TextSource(Section):
    """Documents of one kind."""

    name: str = Field(min_length=1, description="Name of the source, for statistics")
    files: str | list[str] = Field(description="File, glob pattern, or list of them")
    format: Literal["text", "jsonl"] = Field(default="text", description="Plain text, or a JSON object a line")
    percent: Annotated[tuple[Percent, Percent], percent_of("jsonl")] | None = Field(
        default=None,
        description="Part of the objects of JSON lines by a hash of the line, such as [0, 95] to learn from where"
        " [95, 100] is kept to evaluate on; null takes all",
    )
    documents: Literal["blank_line", "file"] = Field(
        default="blank_line", description="What ends a document of plain text: a blank line, or its file's end"
    )
    wrapped: bool = Field(
        default=False, description="Lines of plain text were broken to fit a page: a paragraph ends at a blank line"
    )
    text: str | list[str] = Field(
        default="text", description="Fields of a JSON object that hold text, or lists of paragraphs"
    )
    title: str | None = Field(
        default=None, description="Field with what the document is about, which its facts must then name"
    )
    weight: float = Field(
        default=1.0,
        ge=0,
        description="How often its samples are drawn, against the other sources; facts found in it, too",
    )
    cleaning: Cleaning | None = Field(default=None, description="Cleaning of this source; null takes the corpus's")


class GraphSource(Section):
    """Triples of names, to be found in the sentences of the documents."""

    files: str | list[str] = Field(description="File, glob pattern, or list of them")
    format: Literal["tsv", "jsonl", "wordnet", "openke"] = Field(
        default="tsv",
        description="Head, relation, tail in columns, or fields of those names; tsv with names such as"
        " land_reform.n.01; or OpenKE's train2id.txt beside entity2id.txt and relation2id.txt",
    )
    names: str | None = Field(
        default=None, description="TSV of identifier and name, or JSON of identifier: {label}, to replace identifiers"
    )
    name_column: int = Field(default=2, ge=2, description="Column of that TSV that holds the name, from 1")


class PairSource(Section):
    """Sentences that come with the triples they state."""

    files: str | list[str] = Field(description="File, glob pattern, or list of them")
    format: Literal["jsonl", "spo", "fewrel"] = Field(
        default="jsonl",
        description="Objects with text, head, relation, tail; text with spo_list; or FewRel's instances by relation",
    )
    names: str | None = Field(default=None, description="Names of relations, as in graphs")
    weight: float = Field(
        default=1.0, ge=0, description="How often its facts are drawn, against those of other pairs and of the sources"
    )
    percent: FewrelPercent | None = Field(
        default=None, description="Part of FewRel's pairs of entities, as in the Data of a run; null takes all"
    )


class CorpusConfig(Section):
    """A checked config of ``ppernie preprocess``."""

    output: str = Field(min_length=1, description="Folder of the corpus")
    root: str | None = Field(default=None, description="Folder that relative file paths start from")
    pretrained_model: str | None = Field(default=None, description="Released name or folder whose tokenizer is used")
    tokenizer: TokenizerSection | None = Field(default=None, description="Tokenizer, in place of pretrained_model")
    segmenter: str = Field(default="jieba", description="jieba, or package.module:function from a sentence to words")
    lexicon: str | None = Field(default=None, description="Words that jieba shall know too, one a line")
    cleaning: Cleaning = Field(default=Cleaning(), description="What a text loses")
    sources: list[TextSource] = Field(min_length=1, max_length=256, description="The texts")
    graphs: list[GraphSource] = Field(default=[], description="Knowledge graphs, aligned by distant supervision")
    pairs: list[PairSource] = Field(default=[], description="Sentences with their triples")
    line_feeds: bool = Field(
        default=False,
        description="Put a line feed before each paragraph of a document but the first, for tokenizers that have one",
    )
    block_mb: float = Field(default=8.0, gt=0, description="Text that a process takes at a time")


def load_corpus_config(path: str | Path, overrides: Sequence[str] = ()) -> CorpusConfig:
    """Reads a config file with its bases and ``-o`` overrides. Raises UserError with every problem of it."""
    config, report = load_as(CorpusConfig, path, overrides)
    if config:
        names = [source.name for source in config.sources]
        if len(set(names)) < len(names):
            report.add(("sources",), "two sources have the same name; give each its own")
        section = config.tokenizer or TokenizerSection()
        if [section.vocab_file, section.folder, config.pretrained_model].count(None) != 2:
            report.add(("tokenizer",), "give one of tokenizer.vocab_file, tokenizer.folder and pretrained_model")
        cleanings = [config.cleaning, *(source.cleaning for source in config.sources if source.cleaning)]
        if config.line_feeds and any(cleaning.min_words for cleaning in cleanings):
            report.add(
                ("line_feeds",), "keeps text as it runs, so no sentence may be dropped; set cleaning.min_words to 0"
            )
    report.raise_problems()
    assert config
    return config
