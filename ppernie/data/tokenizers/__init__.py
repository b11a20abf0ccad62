"""Tokenizers: text -> ids, without Paddle."""

from ppernie.data.tokenizers.base import Encoding, Tokenizer
from ppernie.data.tokenizers.ernie import ErnieTokenizer
from ppernie.data.tokenizers.ernie_tiny import ErnieTinyTokenizer
from ppernie.data.tokenizers.foreign import write_tokenizer
from ppernie.data.tokenizers.glm import GlmTokenizer
from ppernie.data.tokenizers.glm_bert import GlmBertTokenizer
from ppernie.data.tokenizers.glm_chinese import GlmChineseTokenizer
from ppernie.data.tokenizers.glm_gpt2 import GlmGPT2Tokenizer
from ppernie.data.tokenizers.icetk import IcetkTokenizer
from ppernie.data.tokenizers.kinds import open_tokenizer

__all__ = [
    "Encoding",
    "ErnieTinyTokenizer",
    "ErnieTokenizer",
    "GlmBertTokenizer",
    "GlmChineseTokenizer",
    "GlmGPT2Tokenizer",
    "GlmTokenizer",
    "IcetkTokenizer",
    "Tokenizer",
    "open_tokenizer",
    "write_tokenizer",
]
