"""A study's folder of results: which study it is of, and what it holds."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from rmsweep.config import one_line, read_study
from rmsweep.design import Study
from rmsweep.errors import ConfigError, UsageError
from rmsweep.sweep import tables

SETTINGS = "study.json"
"""The settings of the latest run, those of its command line included: a configuration file."""


def record(study: Study, folder: Path) -> None:
    """Write the settings of a run that begins into its folder of results."""
    with tables.atomic(folder / SETTINGS) as temporary:
        text = json.dumps(json.loads(one_line(study)), indent=2, ensure_ascii=False)
        temporary.write_text(f"{text}\n", encoding="utf-8")


def study_of(folder: Path) -> Study:
    """The study that a folder of results is of: by its latest run, else by its tables.

    Raises
    ------
    UsageError
        If the folder does not say.
    """
    settings, fits = folder / SETTINGS, folder / "fits.parquet"
    try:
        if settings.exists():
            return read_study(settings.read_text(encoding="utf-8"))
        if fits.exists():
            return read_study(tables.made_with(fits, "fits", ["fit_success"])["study"])
    except (ConfigError, UnicodeDecodeError) as error:
        raise UsageError(f"{folder}: its settings can't be read: {error}") from None
    files = (path for it in (settings, fits) for path in folder.parent.glob(f"*/{it.name}"))
    there = sorted({str(path.parent) for path in files})
    raise UsageError(
        f"{folder}: no results of a run; "
        f"allowed: {', '.join(there) or 'a folder that a run made, such as results/config'}"
    )


def in_words(paths: Iterable[str]) -> list[str]:
    """Where the tables, figures and page are among the paths that a run makes, a line each."""
    by_kind: dict[str, list[Path]] = {".parquet": [], ".svg": [], ".html": []}
    for path in map(Path, paths):
        if path.suffix in by_kind and not {"cells", "precision"}.intersection(path.parts):
            by_kind[path.suffix].append(path)
    of_rows, figures, pages = by_kind.values()
    lines = []
    if of_rows:
        names = ", ".join(sorted(path.stem for path in of_rows))
        lines.append(f"tables:  {of_rows[0].parent}/ ({names})")
    if figures:
        # those of the parts of a study are in folders of their own
        folder = next(parent for parent in figures[0].parents if parent.name == "figures")
        lines.append(f"figures: {folder}/ ({len(figures):,}, as PNG and SVG)")
    return [*lines, *(f"page:    {path}" for path in pages)]
