"""Building blocks that every family shares: ordinary Paddle layers, single-device mathematics."""

from ppernie.nn.attention import SelfAttention
from ppernie.nn.embeddings import EncoderEmbeddings
from ppernie.nn.encoder import Encoder, EncoderLayer
from ppernie.nn.feed_forward import FeedForward
from ppernie.nn.layers import Dropout, LayerNorm, Linear, ResidualNorm
from ppernie.nn.masks import padding_mask
from ppernie.nn.relative_positions import RelativePositions
from ppernie.nn.text_encoder import EncoderNetwork, TextEncoder

__all__ = [
    "Dropout",
    "Encoder",
    "EncoderEmbeddings",
    "EncoderLayer",
    "EncoderNetwork",
    "FeedForward",
    "LayerNorm",
    "Linear",
    "RelativePositions",
    "ResidualNorm",
    "SelfAttention",
    "TextEncoder",
    "padding_mask",
]
