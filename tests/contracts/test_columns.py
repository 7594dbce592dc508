"""
What a source's page says of its columns is what its mappings declare: each column, its type, and no other.

A page has a list for each mapping: `**issues**`, then a line a type, `- bigint: `id`, `project_id` (of the target)`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import cast

import pytest

from syncer import journal, mappings, shape, warehouses
from syncer.clock import SystemClock
from syncer.duckdbtypes import TYPE_NAMES
from syncer.mapping import EntityMapping
from syncer.settings import Settings
from syncer.sources.jira import definitions
from syncer.sources.jira.calls import Calls
from syncer.values import Type
from tests.conftest import query_file

DOCS = Path(__file__).parents[2] / "docs"
MAPPINGS = mappings.known()
COLUMN = "customfield_10016"
TEXTAREA = "com.atlassian.jira.plugin.system.customfieldtypes:textarea"
# What the first column of Jira's table of custom fields stands for, as Jira's definitions have it.
CUSTOM: dict[str, tuple[dict[str, str], ...]] = {
    "text": (
        {"type": "string"},
        {"type": "any", "custom": "com.pyxis.greenhopper.jira:gh-lexo-rank"},
        {"type": "any", "custom": "com.pyxis.greenhopper.jira:gh-epic-link"},
    ),
    "number": ({"type": "number"},),
    "date": ({"type": "date"},),
    "date-time": ({"type": "datetime"},),
    "yes or no": ({"type": "boolean"},),
    "rich text": ({"type": "string", "custom": TEXTAREA},),
    "one option": ({"type": "option"},),
    "option and sub-option": ({"type": "option-with-child"},),
    "one user": ({"type": "user"},),
    "one project": ({"type": "project"},),
    "one version": ({"type": "version"}, {"type": "priority"}, {"type": "component"}, {"type": "resolution"}),
    "lists": ({"type": "array", "items": "option"}, {"type": "array", "items": "string"}, {"type": "any"}),
}  # fmt: skip


def page(source: str) -> str:
    return (DOCS / f"{source}.md").read_text(encoding="utf-8")


def described(text: str, entity: str) -> list[tuple[str, str]]:
    """
    Each column that a page tells of a mapping, with its type; what stands in brackets are no columns. A heading may be
    that of several mappings.
    """
    headings = [each for each in re.finditer(r"\n\*\*([\w, ]+)\*\*", text) if entity in each[1].split(", ")]
    listed = text[headings[0].end() :].partition("\n\n")[0] if headings else ""
    found = []
    for line in re.split(r"\n- ", listed)[1:]:
        kind, _, columns = re.sub(r"\([^()]*\)", "", line).partition(":")
        found += [(column, kind) for column in re.findall(r"`(\w+)`", columns)]
    return sorted(found)


@pytest.mark.parametrize("mapping", MAPPINGS.values(), ids=MAPPINGS)
def test_each_column_is_described_with_its_type(mapping: EntityMapping) -> None:
    """Once each, and none that there is not."""
    declared = sorted((field.column, field.type.value) for field in mapping.fields)
    assert described(page(mapping.source), mapping.entity) == declared


def test_a_wrong_type_is_noticed() -> None:
    """A test that never failed is not trusted."""
    right = "\n**issues**, of late\n- bigint: `id`, `weight` (in `kg`)\n- text: `title`\n\nand `more`"
    assert described(right, "issues") == [("id", "bigint"), ("title", "text"), ("weight", "bigint")]
    assert described(right.replace("bigint", "json"), "issues") != described(right, "issues")


@pytest.mark.parametrize("kind", CUSTOM)
def test_each_type_of_custom_field_is_described(kind: str) -> None:
    """Columns that nobody declared have a type too."""
    rows = [line.split(" | ") for line in page("jira").splitlines() if f"`{COLUMN}" in line]
    told = [row[1] for row in rows if re.match(rf"\| {kind}\b(?!-)", row[0])]
    assert len(told) == 1 and len(rows) == len(CUSTOM)
    for schema in CUSTOM[kind]:
        assert re.findall(r"`(\w+)` (\w+)", told[0]) == discovered(schema), schema


def discovered(schema: dict[str, str]) -> list[tuple[str, str]]:
    """The columns that a custom field gets."""

    class Answers:
        data = [{"id": COLUMN, "name": "A field", "schema": schema}]

        def get(self, path: str) -> Answers:
            return self

    found = definitions.read(cast(Calls, Answers()))
    return [(field.column, field.type.value) for field in found.columns]


@pytest.mark.parametrize("source", sorted({mapping.source for mapping in MAPPINGS.values()}))
def test_types_that_duckdb_calls_otherwise_are_named(source: str) -> None:
    """What a person sees in a shell must be found in the page."""
    used = {field.type for mapping in MAPPINGS.values() if mapping.source == source for field in mapping.fields}
    others = {kind: TYPE_NAMES[kind] for kind in used if TYPE_NAMES[kind].lower() != kind.value}
    assert {Type.TEXT} <= set(others) <= {Type.TEXT, Type.TIMESTAMP, Type.DECIMAL}
    text = " ".join(page(source).split())
    assert all(
        f"{kind.value} is `{name}`" in text or f"{kind.value} `{name}`" in text for kind, name in others.items()
    )


@pytest.mark.parametrize("source", sorted({mapping.source for mapping in MAPPINGS.values()}))
def test_the_query_for_rejects_runs(source: str, tmp_path: Path) -> None:
    """A column of it is a word of SQL."""
    warehouse = warehouses.find(Settings(base=tmp_path), clock=SystemClock())
    with warehouse.transaction() as t:
        shape.ensure_state(t)
    warehouse.close()
    query = next(line for line in page(source).splitlines() if "FROM syncer.rejects" in line)
    assert query_file(tmp_path / "warehouse.duckdb", query) == []
    assert set(re.findall(r"\w+", query.partition("FROM")[0])) - {"SELECT"} <= set(journal.REJECTS.types())
