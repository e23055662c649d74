"""Python files of the user's own, as modules."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType


def load(path: Path, kind: str) -> ModuleType:
    """Run a file as a module whose name no other one has.

    Parameters
    ----------
    path : Path
    kind : str
        What the module's name begins with.

    Raises
    ------
    Exception, SystemExit
        Whatever the file's own code raises.
    """
    digest = hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:8]
    spec = importlib.util.spec_from_file_location(f"{kind}_{path.stem}_{digest}", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[module.__name__] = module  # where dataclasses look their types up
    spec.loader.exec_module(module)
    return module


def in_words(error: BaseException) -> str:
    """An error in one line, with its type."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}".removesuffix(": ")
