"""A SentencePiece model: its pieces, and texts cut into them."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from functools import cached_property

from ppernie.data.tokenizers.glm import Cut
from ppernie.errors import UserError

MAX_MODEL_BYTES = 64 * 2**20
NEW_LINE = "<n>"


class PieceType(IntEnum):
    """Kinds of pieces, as SentencePiece numbers them."""

    CONTROL = 3
    USER_DEFINED = 4
    BYTE = 6


class SentencePieceModel:
    """A model as a serialized `ModelProto`, and what is asked of it.

    Args:
        model: the content of a file.
        added: pieces that come behind those of the file, with their kinds.

    Attributes:
        pieces: all pieces in the order of ids.

    Raises:
        UserError: it is no such model.
    """

    def __init__(self, model: bytes, added: Sequence[tuple[str, PieceType]] = ()) -> None:
        from sentencepiece import SentencePieceProcessor

        self._processor = SentencePieceProcessor()
        try:
            self._processor.LoadFromSerializedProto(_extended(model, added) if added else model)
        except RuntimeError as error:
            raise UserError(f"the SentencePiece model is broken ({error}); fetch it again") from error
        self.pieces = [self._processor.IdToPiece(index) for index in range(self._processor.GetPieceSize())]

    @cached_property
    def _new_line(self) -> int:
        return self._processor.PieceToId(NEW_LINE)

    def cut(self, texts: Sequence[str]) -> list[Cut]:
        """Ids and offsets, in characters, of each text."""
        found = self._processor.Encode(list(texts), return_type="offset_mapping", num_threads=1)
        return [(cut["ids"], cut["offsets"]) for cut in found]

    def cut_unspaced(self, texts: Sequence[str]) -> list[Cut]:
        """The same without the space that SentencePiece puts before a text; the model must have a piece `<n>`."""
        cuts = []
        for ids, offsets in self.cut([NEW_LINE + text for text in texts]):
            start = ids.index(self._new_line) + 1
            cuts.append((ids[start:], [(a - len(NEW_LINE), b - len(NEW_LINE)) for a, b in offsets[start:]]))
        return cuts

    def join(self, pieces: list[str]) -> str:
        """The text of pieces."""
        return self._processor.DecodePieces(pieces)


def _extended(model: bytes, added: Sequence[tuple[str, PieceType]]) -> bytes:
    from google.protobuf.message import DecodeError
    from sentencepiece.sentencepiece_model_pb2 import ModelProto  # type: ignore[attr-defined]

    proto = ModelProto()
    try:
        proto.ParseFromString(model)
    except DecodeError as error:
        raise UserError(f"the SentencePiece model is broken ({error}); fetch it again") from error
    for name, kind in added:
        proto.pieces.add(piece=name, score=0.0, type=kind)
    if any(kind is PieceType.BYTE for _, kind in added):
        proto.trainer_spec.byte_fallback = True
    return proto.SerializeToString()
