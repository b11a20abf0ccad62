"""GLM's pretraining (arXiv:2210.02414, section 2.2): blanks in texts, and the targets of instructions, are filled."""

from model_zoo.glm.pretraining.task import BlankInfilling

__all__ = ["BlankInfilling"]
