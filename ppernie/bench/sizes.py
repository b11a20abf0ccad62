"""The sizes that benchmarks are asked for by name."""

from __future__ import annotations

from ppernie.errors import UserError

VARIANTS = {"4x312": "ernie-3.0-nano-zh", "12x768": "ernie-3.0-base-zh"}


def variant_of(size: str) -> str:
    """The released variant of a size. Raises UserError for an unknown one."""
    if size not in VARIANTS:
        raise UserError(f"unknown size '{size}': known: {', '.join(VARIANTS)}")
    return VARIANTS[size]
