"""Evaluation of networks that fill blanks: choices, texts and language modelling, by prompts and without training."""
