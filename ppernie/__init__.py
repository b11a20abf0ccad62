"""ppernie: the PaddlePaddle-native zoo of ERNIE 3.0, ERNIE-Gram, ERNIE-Tiny, ERNIE 5.0 and GLM-130B."""

__version__ = "0.1.0"
