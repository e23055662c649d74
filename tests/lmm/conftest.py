"""Puts the reference datasets on the path of the mixed-model tests."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "reference"))
