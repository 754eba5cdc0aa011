"""GLU: the gated linear unit behind a mixing Dense, and the residual connection around it."""
