"""One package a model family; ``ppernie`` reaches them by name."""
