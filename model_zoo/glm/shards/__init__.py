"""GLM-130B as it was published: one file of torch for each tensor-parallel rank.

``latest`` holds the number of the iteration, ``<iteration>/mp_rank_00_model_states.pt`` and so on hold a state dict
under ``module``. Source: THUDM/GLM-130B, README and tools/convert_tp.py; SwissArmyTransformer,
sat/training/model_io.py and sat/model/official/glm130B_model.py. Beside ``latest`` ppernie writes the description and
the tokenizer of a model folder, and reads them where they are.
"""

from model_zoo.glm.shards.layout import layout
from model_zoo.glm.shards.reading import Shards, open_shards
from model_zoo.glm.shards.writing import write_shards

__all__ = ["Shards", "layout", "open_shards", "write_shards"]
