"""Text from a template: the only door to Jinja.

    render("c_module", functions=[...])

Templates hold no logic (tests/test_templates.py): they put finished lines into a fixed frame.
"""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

_ENVIRONMENT = Environment(
    loader=FileSystemLoader(Path(__file__).with_name("templates")),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
    autoescape=False,
)


def render(template: str, **parts: object) -> str:
    """The text of templates/`template`.j2 with its parts filled in."""
    return _ENVIRONMENT.get_template(f"{template}.j2").render(**parts)
