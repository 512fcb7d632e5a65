"""Notebooks that were written for the stack, run as they are: what they need, and a kernel with its names."""
