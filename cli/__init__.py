"""The command line, one file a command; which they are and how one is found is in dispatch.py."""

from .dispatch import COMMANDS, main

__all__ = ["COMMANDS", "main"]
