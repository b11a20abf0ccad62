"""Compression: smaller networks that compute nearly the same."""
