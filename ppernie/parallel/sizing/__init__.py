"""Sizing: the memory, communication and time of a network on many GPUs, worked out before any is asked for."""

from ppernie.parallel.sizing.degrees import Degrees
from ppernie.parallel.sizing.hardware import Hardware
from ppernie.parallel.sizing.network import Network
from ppernie.parallel.sizing.ranking import Estimate, Work, rank
from ppernie.parallel.sizing.transformers import describe, longest_input

__all__ = ["Degrees", "Estimate", "Hardware", "Network", "Work", "describe", "longest_input", "rank"]
