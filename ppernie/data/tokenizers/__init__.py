"""Tokenizers: text -> ids, without Paddle."""

from ppernie.data.tokenizers.ernie import ErnieTokenizer

__all__ = ["ErnieTokenizer"]
