"""INT8 by calibration: products of whole numbers, whose ranges were measured on real inputs.

``settings`` is the config's section; ``calibration`` gathers what enters each layer, ``observers`` chooses its range,
``layers`` compute in float what INT8 would, and ``folder`` puts that together, from model folder to model folder. The
folder's weights stay float beside the ranges; ``ppernie.export`` turns both into a graph of whole numbers.
"""
