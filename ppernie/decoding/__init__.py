"""Text from a network that says, token by token, how likely each next one is."""
