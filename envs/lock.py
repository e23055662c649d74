"""Write envs/requirements.lock: the versions that pip takes today for envs/requirements.txt.

python envs/lock.py
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

ENVS = Path(__file__).parent
HEAD = """\
# What pip took for requirements.txt on {date}, with Python {python}; made by `python envs/lock.py`.
# The same versions again: PIP_CONSTRAINT=envs/requirements.lock make setup
"""


def main() -> None:
    """Have pip solve the requirements, install nothing, and write what it found."""
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet"]
    command += ["--report", "-", "--requirement", str(ENVS / "requirements.txt")]
    solved = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    packages = [package["metadata"] for package in json.loads(solved)["install"]]
    lines = sorted(f"{one['name'].lower().replace('_', '-')}=={one['version']}" for one in packages)
    head = HEAD.format(date=datetime.now(UTC).date(), python=platform.python_version())
    (ENVS / "requirements.lock").write_text(head + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
