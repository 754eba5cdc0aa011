"""Compiled kernels of the CPU engine: a file per kind of operation, and the loop over all."""
