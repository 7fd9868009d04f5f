"""The bundled model: weights and card, installed as package data."""
