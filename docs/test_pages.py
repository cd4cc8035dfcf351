"""Whether the pages and pictures are complete, and whether their indexes are."""

import re
import tomllib
from pathlib import Path

import pytest

from docs import pictures
from helpers.contract_cases import public_transformations

DOCS = Path(__file__).parent


def test_every_transformation_has_a_page_and_a_picture() -> None:
    pages = {path.stem for path in DOCS.glob("transformations/*.md")} - {"index"}
    assert pages == public_transformations()
    assert set(pictures.pictures()) == public_transformations()
    assert {path.stem for path in pictures.IMAGES.glob("*.png")} == pages


@pytest.mark.parametrize("folder", ["how_to", "in_your_loop", "transformations"])
def test_every_page_is_in_the_index_of_its_folder(folder: str) -> None:
    index = (DOCS / folder / "index.md").read_text()
    table, _, hidden = index.partition("```{toctree}")
    for page in {path.stem for path in (DOCS / folder).glob("*.md")} - {"index"}:
        assert f"({page}.md)" in table, page
        assert re.search(rf"^{page}$", hidden, re.M), page


def test_every_figure_is_in_the_gallery() -> None:
    gallery = (DOCS / "explanation" / "gallery.md").read_text()
    for picture in DOCS.glob("images/*.png"):
        assert f"(../images/{picture.name})" in gallery, picture.name


def test_the_gallery_has_the_verdicts_of_lazy_rich() -> None:
    gallery = (DOCS / "explanation" / "gallery.md").read_text()
    row = re.compile(r"^\| \[(`\w+/\w+`)\]\(#.*\| (\d+ of \d+) \|$", re.M)
    verdicts = row.findall((DOCS / "lazy_rich.md").read_text())
    assert verdicts
    for name, count in verdicts:
        assert f"| {name} | {count}: " in gallery, name


def test_the_page_on_citing_agrees_with_the_file() -> None:
    page = " ".join((DOCS / "explanation" / "citing.md").read_text().split())
    page = page.replace("\\_", "_").replace('{\\"o}', "ö")
    file = (DOCS.parent / "CITATION.cff").read_text()
    for title in re.findall(r'title: "(.*)"', file):
        assert title in page
    for name in re.findall(r"family-names: (\w+)", file):
        assert name in page
    assert f"{{{re.search(r'^version: (.*)$', file, re.M)[1]}}}" in page  # type: ignore


def test_the_newest_release_in_the_changelog_is_this_version() -> None:
    root = DOCS.parent
    version = tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"]
    changelog = (root / "CHANGELOG.md").read_text()
    released = re.search(r"^## \[(\d[^]]*)\] - (\S+)$", changelog, re.M)
    assert released
    assert released[1] == version
    citation = (root / "CITATION.cff").read_text()
    assert f"\nversion: {version}\ndate-released: {released[2]}\n" in citation
