"""Formulas as MathML, which browsers draw by themselves: no script, no network."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

from latex2mathml.converter import convert

INLINE = re.compile(r'<span class="arithmatex">\\\((.*?)\\\)</span>', re.DOTALL)
BLOCK = re.compile(r'<div class="arithmatex">\s*\\\[(.*?)\\\]\s*</div>', re.DOTALL)


def on_page_content(html: str, **_: Any) -> str:
    """Replaces what `pymdownx.arithmatex` marked."""
    html = BLOCK.sub(lambda found: convert(unescape(found[1]), display="block"), html)
    return INLINE.sub(lambda found: convert(unescape(found[1])), html)
