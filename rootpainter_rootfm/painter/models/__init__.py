"""Which models there are, and which one makes the masks."""
