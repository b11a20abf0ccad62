"""NumPy arrays as a pickle holds them: the calls that make one, taken as descriptions of where its elements lie."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ppernie.zoo.formats.pickles import Name, Stateful
from ppernie.zoo.formats.reading import unsupported
from ppernie.zoo.formats.tensors import FileTensor, Span

_DTYPES = {
    "f8": "float64",
    "f4": "float32",
    "f2": "float16",
    # Paddle gives the bits of bfloat16 as an array of uint16, and has no tensors of uint16.
    "u2": "bfloat16",
    "i8": "int64",
    "i4": "int32",
    "i2": "int16",
    "i1": "int8",
    "u1": "uint8",
    "b1": "bool",
}


@dataclass
class Dtype(Stateful):
    """``numpy.dtype``: a code such as ``f4``, and a byte order that comes as its state."""

    code: str
    order: str = "="

    def set_state(self, state: Any) -> None:
        self.order = state[1]


@dataclass
class Array(Stateful):
    """``numpy.ndarray``, empty until its state comes."""

    shape: tuple[int, ...] = ()
    dtype: Dtype | None = None
    fortran: bool = False
    content: Span | bytes = b""

    def set_state(self, state: Any) -> None:
        _, self.shape, self.dtype, self.fortran, content = state
        self.content = _as_bytes(content)

    def tensor(self, path: Path) -> FileTensor:
        """The array as a tensor of the file.

        Raises:
            UserError: elements of a kind that no weights have, or a shape that does not fit their number.
        """
        if not isinstance(self.dtype, Dtype) or self.dtype.code not in _DTYPES:
            raise unsupported(path, f"holds an array of {ascii(getattr(self.dtype, 'code', None))[:40]}")
        if self.dtype.order not in ("<", "=", "|"):
            raise unsupported(path, "holds an array of big-endian numbers")
        if not isinstance(self.shape, tuple):
            raise unsupported(path, "holds an array without a shape")
        # With one dimension or less the two orders are the same.
        transposed = bool(self.fortran) and len(self.shape) > 1
        return FileTensor(path, _DTYPES[self.dtype.code], self.shape, self.content, transposed)


def _as_bytes(content: Any) -> Span | bytes:
    if isinstance(content, str):
        return content.encode("latin-1")
    if not isinstance(content, Span | bytes):
        raise TypeError(f"an array whose elements are a {type(content).__name__}")
    return content


def _reconstruct(kind: Any, shape: Any, code: Any) -> Array:
    if kind != Name("numpy", "ndarray"):
        raise TypeError("an array of another kind than numpy.ndarray")
    return Array()


def _dtype(code: Any, align: Any = False, copy: Any = True) -> Dtype:
    if not isinstance(code, str):
        raise TypeError("a dtype that is no text")
    return Dtype(code)


def _encode(text: Any, encoding: Any) -> Span | bytes:
    if encoding != "latin1":
        raise ValueError("bytes as text in another encoding than latin1")
    return _as_bytes(text)


def _from_buffer(content: Any, dtype: Any, shape: Any, order: Any) -> Array:
    return Array(shape, dtype, order == "F", _as_bytes(content))


def _scalar(dtype: Any, content: Any) -> Array:
    return Array((), dtype, False, _as_bytes(content))


# NumPy 2 renamed ``core`` to ``_core``. Python 2 and protocols up to 2 say ``__builtin__``.
CALLS = {
    ("numpy", "dtype"): _dtype,
    ("_codecs", "encode"): _encode,
    # An empty string of bytes in protocols up to 2; with a number it would be as many zeros.
    ("__builtin__", "bytes"): lambda: b"",
    **{
        (f"numpy.{core}.{module}", name): call
        for core in ("core", "_core")
        for module, name, call in (
            ("multiarray", "_reconstruct", _reconstruct),
            ("multiarray", "scalar", _scalar),
            ("numeric", "_frombuffer", _from_buffer),
        )
    },
}
