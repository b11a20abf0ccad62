"""ERNIE 5.0 (Baidu 2026, arXiv:2602.04705): text, images, video and audio in one network; not here yet."""

architectures: dict[str, tuple[str, ...]] = {}
