"""Lava processes with their `floating_pt` and `fixed_pt` models, and nothing else.

Each has a folder of its own: Lava looks for a process's models by executing every file of its
folder, once and again for each module there, so a folder shared by n processes would cost n
squared executions for every process of a network. No file here may do anything but define classes.
"""
