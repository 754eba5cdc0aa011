"""Lava processes with their `floating_pt` and `fixed_pt` models, and nothing else.

Lava looks for models by executing every file of this folder, several times for every process: no
file here may do anything but define classes.
"""
