"""Text as one long row of tokens on the disk, with its words, names, sentences, documents and facts."""

from ppernie.data.corpus.corpus import Corpus, Fact, Facts, open_corpus

__all__ = ["Corpus", "Fact", "Facts", "open_corpus"]
