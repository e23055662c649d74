"""Measures: the numbers that a study's tables give, before anybody draws them."""
