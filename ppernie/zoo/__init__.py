"""Models as folders on disk."""
