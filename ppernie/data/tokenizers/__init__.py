"""Tokenizers: text -> ids, without Paddle."""

from ppernie.data.tokenizers.base import Encoding, Tokenizer
from ppernie.data.tokenizers.ernie import ErnieTokenizer
from ppernie.data.tokenizers.ernie_tiny import ErnieTinyTokenizer
from ppernie.data.tokenizers.foreign import write_tokenizer
from ppernie.data.tokenizers.kinds import open_tokenizer

__all__ = ["Encoding", "ErnieTinyTokenizer", "ErnieTokenizer", "Tokenizer", "open_tokenizer", "write_tokenizer"]
