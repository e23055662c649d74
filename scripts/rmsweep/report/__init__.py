"""The page of a study: one file that shows its tables, and needs nothing else.

``data`` turns the tables into what the page shows, ``methods`` writes its texts, ``specs`` its
charts, and ``page`` puts all of it into one file with ``page.html.j2``, ``page.css``, ``page.js``
and the libraries in ``vendor``.
"""
