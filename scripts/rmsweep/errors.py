"""The errors that are the user's to mend."""

from __future__ import annotations


class UserError(Exception):
    """Something that a user can mend: the scripts show it as one line and end with code 2."""


class UsageError(UserError):
    """A command line, or a file that it names, which can't be used."""


class ConfigError(UserError):
    """A configuration that can't be run: one line with the key, its value, what is allowed."""
