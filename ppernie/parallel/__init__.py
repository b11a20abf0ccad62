"""A plain network on many ranks, by a plan, over fleet."""
