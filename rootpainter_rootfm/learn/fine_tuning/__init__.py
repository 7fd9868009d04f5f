"""How a model learns from the corrections of a RootPainter project."""
