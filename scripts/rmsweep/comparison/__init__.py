"""Two studies compared: what differs beyond Monte Carlo error, and which fits.

`studies` finds what two studies share, `differences` has the statistics, `fits` compares fit by
fit, and `table` makes the tables. The studies are called A and B.
"""
