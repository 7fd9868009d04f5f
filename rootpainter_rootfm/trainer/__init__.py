"""RootPainter's server side: answers the instructions in a sync folder. Knows no Qt."""
