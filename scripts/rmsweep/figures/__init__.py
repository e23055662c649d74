"""The figures of a study, drawn from its merged table.

``style`` is the one place for colours, fonts, the page's layout and saving; ``facets`` reads
the table and lays out its grid of panels; each other module draws one kind of figure.
"""
