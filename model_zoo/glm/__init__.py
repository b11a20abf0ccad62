"""GLM: GLM-130B (Zeng et al. 2022, arXiv:2210.02414), its smaller ancestors and ChatGLM-6B.

Sizes and switches are here; the network is not yet, so the family has no architectures.
"""

from model_zoo.glm.config import GlmConfig

config_class = GlmConfig
architectures: dict[str, tuple[str, ...]] = {}
