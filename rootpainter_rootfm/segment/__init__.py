"""From a photograph to root probability and mask."""
