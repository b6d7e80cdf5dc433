"""API pages from the docstrings: one for each package and one for each part of it."""

from __future__ import annotations

import ast
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
PARTS = {
    "interp": (
        "analyses",
        "jobs",
        "plots",
        "report",
        "results",
        "scoring",
        "study",
        "tasks",
        "training",
        "zoo",
    ),
    "hooks": ("architectures", "checkpoints", "interventions", "activation_files"),
    "probes": ("references", "verdict", "anatomy", "controls", "uncertainty"),
}
"""Packages, and the subpackages that somebody who uses them reads about."""
FIRST = ("match", "load", "compare", "anatomy", "conditions", "separate", "train")
"""What the page of `interp` begins with; the other names of `import interp` follow."""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Puts the pages into the navigation, below "Reference"."""
    pages = [
        {package: [page_of(package), *(page_of(f"{package}.{part}") for part in parts)]}
        for package, parts in PARTS.items()
    ]
    for section in config.nav or []:
        section.get("Reference", []).extend(pages)
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Writes the pages."""
    for package, parts in PARTS.items():
        for name in (package, *(f"{package}.{part}" for part in parts)):
            files.append(File.generated(config, page_of(name), content=write_page(name)))
    return files


def page_of(package: str) -> str:
    """Where the page of a package is."""
    name, _, part = package.partition(".")
    return f"api/{name}/{part or 'index'}.md"


def write_page(package: str) -> str:
    """What a package is for, then its modules that hold public names."""
    folder = ROOT.joinpath(*package.split("."))
    title = f"---\ntitle: {package}\n---\n\n# `{package}`"
    summary = ast.get_docstring(ast.parse((folder / "__init__.py").read_text())) or ""
    if package == "interp":
        parts = _names_of_the_facade(folder / "__init__.py")
    else:
        modules = [file for file in sorted(folder.glob("*.py")) if _has_public_names(file)]
        parts = [f"{package}.{file.stem}" for file in modules]
    return "\n\n".join([title, summary, *map(_entry, parts)]) + "\n"


def _entry(name: str) -> str:
    """What stands on a page: the docstring, or for a class of the facade a link to its own page."""
    place, _, last = name.rpartition(".")
    is_elsewhere = last[0].isupper() and place != "hooks.checkpoints"
    return f"[`{last}`][{name}]" if is_elsewhere else f"::: {name}"


def _names_of_the_facade(file: Path) -> list[str]:
    """Where each function and class of `import interp` is, those of `FIRST` first."""
    tables = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Dict)]
    places: dict[str, str] = ast.literal_eval(max(tables, key=lambda table: len(table.keys)))
    found = {name: f"{place}.{name}" for name, place in places.items() if place != f"interp.{name}"}
    return [found.pop(name) for name in FIRST] + list(found.values())


def _has_public_names(file: Path) -> bool:
    return not file.name.startswith("_") and any(
        isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
        for node in ast.parse(file.read_text()).body
    )
