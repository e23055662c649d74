"""Claims, put to the test by a study's performance measures.

To change or add a claim, or a threshold, edit `rmsweep.claims.post`: a claim there is data, and
nothing else needs to change. ``claim`` says what such data are, ``cases`` looks up the numbers of
each condition, ``rule`` turns numbers into verdicts, and ``table`` writes both into tables.
"""
