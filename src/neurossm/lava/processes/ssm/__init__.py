"""SSM: a population of spiking state-space neurons."""
