"""GSU: the gated spiking unit behind its two Dense, and the residual connection around it."""
