"""GLM: GLM-130B (Zeng et al. 2022, arXiv:2210.02414), its smaller ancestors and ChatGLM-6B."""

from model_zoo.glm.config import GlmConfig

config_class = GlmConfig
architectures: dict[str, tuple[str, ...]] = {"GlmForBlankInfilling": ("glm/blank_infilling", "glm/text_generation")}
tasks = {"blank_infilling": "pretraining:BlankInfilling", "text_generation": "generation:TextGeneration"}
