"""Data: a dataset as strategies see it, and the scenario that simulates it."""
