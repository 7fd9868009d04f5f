"""Segmenting a whole folder."""
