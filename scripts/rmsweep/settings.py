"""Settings as files and command lines spell them, read as strict YAML 1.2.

In YAML 1.1, which most readers take for granted, ``0123`` is 83, ``10:30`` is 630, ``1e-3`` is a
text, and the last of two equal keys wins.
"""

from __future__ import annotations

import codecs
import math
import re
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.constructor import ConstructorError, SafeConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import Node, ScalarNode

from rmsweep.errors import ConfigError

UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
PLAIN = ("bool", "float", "int", "map", "null", "seq", "str")
LARGEST_FILE = 1_000_000
MOST_VALUES = 100_000
TAG = "tag:yaml.org,2002:"


class Constructor(SafeConstructor):
    """Makes plain values only, and of numbers only those that everybody reads as the same."""

    def number(self, node: ScalarNode) -> int | float:
        """The number that a node says.

        Raises
        ------
        ConstructorError
            If it has digit separators, too many digits, or is infinite or not a number.
        """
        kind = int if node.tag == f"{TAG}int" else float
        read = self.construct_yaml_int if kind is int else self.construct_yaml_float
        try:
            value: int | float = read(node)
            usable = "_" not in node.value and math.isfinite(value)
            # it may say more than a float can hold
            usable &= value != 0 or not re.match("[^eE]*[1-9]", node.value)
        except (ValueError, OverflowError):
            usable = False
        if not usable:
            problem = f"{shortened(node.value)} is no number that can be used here"
            raise ConstructorError(None, None, problem, node.start_mark)
        return value

    def unknown(self, node: Node) -> None:
        """Refuse a date, a set, or whatever else has a tag.

        Raises
        ------
        ConstructorError
            Always.
        """
        kind = str(node.tag).removeprefix(TAG)
        problem = f"a value of the kind {kind} is not allowed; if it is a text, quote it"
        raise ConstructorError(None, None, problem, node.start_mark)


for _kind in ("int", "float"):
    Constructor.add_constructor(f"{TAG}{_kind}", Constructor.number)
for _tag in [tag for tag in SafeConstructor.yaml_constructors if tag]:
    if _tag.removeprefix(TAG) not in PLAIN:
        Constructor.add_constructor(_tag, Constructor.unknown)
Constructor.add_constructor(None, Constructor.unknown)


def load(path: str | Path) -> dict[str, Any]:
    """Read a file of settings.

    Raises
    ------
    ConfigError
        If it can't be read, or is no list of settings; with the line, where there is one.
    """
    try:
        with Path(path).open("rb") as file:
            raw = file.read(LARGEST_FILE + 1)
        if len(raw) > LARGEST_FILE:
            raise ConfigError(f"{path}: larger than {LARGEST_FILE:,} bytes")
        text = raw.decode("utf-16" if raw.startswith(UTF_16) else "utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: no text file in UTF-8") from None
    try:
        found = parse(text)
    except ValueError as error:
        raise ConfigError(f"{path}{error}") from None
    if not isinstance(found, dict):
        raise ConfigError(f"{path}: not a list of `key: value` lines")
    if odd := [key for key in found if not isinstance(key, str)]:
        raise ConfigError(f"{path}: {odd[0]!r} is no key; keys are texts")
    return found


def parse(text: str) -> Any:
    """The value that a text says in YAML.

    Raises
    ------
    ValueError
        With a place and what is wrong there, ready to follow a file's name.
    """
    # the reader would follow a file that asks for an older version
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("%"):
            raise ValueError(f", line {number}: {shortened(line)} is not allowed; leave it out")
    yaml = YAML(typ="safe", pure=True)
    yaml.Constructor = Constructor
    try:
        found = yaml.load(text)
        check_plain(found)
        return found
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        words = " ".join(str(error.problem or error.context).split())
        words = words.partition(" with value ")[0]  # of equal keys; these are not the file's
        raise ValueError(f"{where}: {words}") from None
    except (YAMLError, ValueError) as error:
        raise ValueError(f": {' '.join(str(error).split())}") from None
    except RecursionError:
        raise ValueError(": nested too deeply") from None


def check_plain(found: Any) -> None:
    """Refuse what can't be written out: a value that holds itself, or grows out of all bounds.

    Raises
    ------
    ValueError
        If there is such a value, or a key that is none.
    """
    waiting = [found]
    for _ in range(MOST_VALUES):
        if not waiting:
            return
        value = waiting.pop()
        if isinstance(value, dict):
            if odd := [key for key in value if isinstance(key, tuple)]:
                raise ValueError(f"{list(odd[0])!r} is no key; keys are texts")
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
    raise ValueError(f"more than {MOST_VALUES:,} values, or one that holds itself")


def typed(setting: Any) -> Any:
    """A setting of Snakemake's ``--config``, whose parts may be texts, with the parts' values."""
    if isinstance(setting, dict):
        return {key: typed(value) for key, value in setting.items()}
    if isinstance(setting, list):
        return [typed(value) for value in setting]
    found = value(setting) if isinstance(setting, str) else setting
    return setting if isinstance(found, list | dict) else found


def value(text: str) -> Any:
    """The value that a command line spells; a text that is none comes back as it is."""
    try:
        return parse(text)
    except ValueError:
        return text


def shortened(value: object, length: int = 80) -> str:
    """A value as an error message quotes it."""
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= length else f"{text[: length - 20]} ... ({len(text)} characters)"
