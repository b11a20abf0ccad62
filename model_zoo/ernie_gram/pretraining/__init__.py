"""The pretraining of ERNIE-Gram, which was never released: n-grams hidden whole, a generator of noise, two losses."""

from model_zoo.ernie_gram.config import ErnieGramConfig

config_class = ErnieGramConfig
architectures: dict[str, tuple[str, ...]] = {"ErnieGramForPretraining": ("ernie_gram/ngram_masking",)}
tasks = {"ngram_masking": "task:NgramMasking"}
