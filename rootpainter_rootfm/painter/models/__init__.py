"""The library, and which model makes the masks."""
