"""Texts written by a GLM: what follows a prompt, or what fills its blanks."""

from model_zoo.glm.generation.task import TextGeneration

__all__ = ["TextGeneration"]
