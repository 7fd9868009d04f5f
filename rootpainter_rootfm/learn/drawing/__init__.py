"""Roots and ground that are drawn, and real roots in other ground."""
