"""Readout: the sum over time of a sample, decoded at its last step."""
