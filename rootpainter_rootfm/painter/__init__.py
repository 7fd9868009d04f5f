"""RootPainter's window side: the only part of the package that imports Qt."""
