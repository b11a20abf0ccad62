"""Tasks answered without training: every choice is put into a prompt, and the likeliest one is the answer."""
