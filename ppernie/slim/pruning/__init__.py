"""Pruning: model folders with fewer tokens, layers, heads and neurons, or with zeros in their matrices.

``settings`` is the config's; ``vocabulary``, ``layers``, ``width`` and ``sparsity`` are the steps of a recipe. What
may be cut, and which weights go together, the family's plan says (``groups``).
"""
