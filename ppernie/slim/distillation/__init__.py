"""Distillation: a network learns what others say of a text, in its layers and in its answers.

``settings`` is the config's section; ``links`` says which layers learn from which, ``taps`` reads them, ``losses``
compares them, and ``distillation`` puts that together for one run. ``stages`` chains runs.
"""
