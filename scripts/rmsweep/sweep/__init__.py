"""The sweep: from cells to shards, from shards to tables, and what made them."""
