"""Affine: one product and one sum per channel."""
