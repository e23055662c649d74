"""Simulate, fit and compare analysis strategies for repeated-measures data.

The library knows nothing of Snakemake: the scripts beside it are its command line, and
the rules in ``workflow/`` call those.
"""
