"""Experiments: conditions compared over seeds, each an ordinary chain of training runs."""
