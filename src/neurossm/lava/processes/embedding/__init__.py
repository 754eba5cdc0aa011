"""Embedding: one spike per token selects a row of weights."""
