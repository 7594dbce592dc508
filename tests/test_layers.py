"""Imports point one way, down the layers; and what may not be imported at start is not."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import syncer

PACKAGE = Path(syncer.__file__).parent

# Each row imports only rows below it. A name stands for the module or for everything in the folder.
LAYERS = (
    ("__main__",),
    ("cli",),
    ("verbs",),
    ("wherescape",),
    ("outward",),
    ("api",),
    ("handles",),
    ("reports", "sandbox"),
    ("status",),
    ("overdue",),
    ("operating",),
    ("reporting", "reverting", "verifying"),
    ("pushing",),
    ("executing",),
    ("engine",),
    ("notifying",),
    ("telling",),
    ("treating",),
    ("undoing",),
    ("undoing_edges",),
    ("undoing_own",),
    ("undoing_survivors",),
    ("undoing_merges",),
    ("undone",),
    ("reverted_beside",),
    ("cleaning",),
    ("unconfigured",),
    ("stale",),
    ("reverted",),
    ("aging", "census", "forgetting"),
    ("forgetting_pushed",),
    ("forgetting_groups",),
    ("inbound", "outbound", "apply", "judging", "forgetting_edges"),
    ("declined",),
    ("evidence", "linking", "outstanding"),
    ("operations",),
    ("kept", "lacking", "toldonce"),
    ("conflicts", "colliding", "edgedeciding", "emptied", "wanting"),
    ("choosing", "deciding", "settling", "relation", "runs"),
    ("following", "settling_edges", "settling_merges"),
    ("readings",),
    ("tally",),
    ("moving",),
    ("snapshots",),
    ("forgotten",),
    ("plan_journal",),
    ("plans", "findings", "counting"),
    ("landing",),
    ("landings", "misfits"),
    ("drift", "mirror", "offers", "shape"),
    ("loading", "reading"),
    ("marks",),
    ("journal",),
    ("demomark",),
    ("sources", "mappings", "warehouses"),
    ("odbc",),
    ("rewriting",),
    (
        "duckdbcatalogue",
        "duckdberrors",
        "duckdbfiles",
        "duckdbhash",
        "duckdbinstances",
        "duckdblimits",
        "duckdbtypes",
        "leases",
        "queried",
        "spool",
    ),
    ("edgecolumns",),
    ("merging", "restoring", "standins"),
    ("asking", "grounds"),
    ("loadtypes", "target"),
    ("plan", "sql", "transport"),
    ("ahead", "budget", "grouping", "joining", "rows"),
    ("cache", "declared"),
    ("settings",),
    ("configfile",),
    ("privacy", "words"),
    ("mapping", "masking", "tables"),
    ("catalog", "clock", "compare", "limits", "values"),
    ("blanks", "errors"),
)
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}
PORTS = ("sources", "mappings", "warehouses", "operations")


def modules() -> list[str]:
    """All modules, as dotted names below syncer."""
    found = []
    for file in sorted(PACKAGE.rglob("*.py")):
        parts = file.relative_to(PACKAGE).with_suffix("").parts
        found.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return [name for name in found if name]


def imported(module: str) -> set[str]:
    """
    What a module imports of syncer; imports for type checking only are left out, since they are none at run time.
    """
    path = PACKAGE.joinpath(*module.split("."))
    tree = ast.parse((path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    below = {name.removeprefix("syncer.") for name in found if name.startswith("syncer.")}
    return below - {module}


def top(name: str) -> str:
    return name.partition(".")[0]


def violations(module: str, names: set[str]) -> list[str]:
    """The imports of a module that point up, or from one file of a folder to another one's."""
    mine = top(module)
    wrong = []
    for name in names:
        theirs = top(name)
        is_own_port = theirs == mine and mine in PORTS and not is_sibling(module, name)
        if theirs == mine and (mine not in PORTS or is_own_port):
            continue
        if theirs == mine or RANK[theirs] <= RANK[mine]:
            wrong.append(f"{module} imports {name}")
    return wrong


def is_sibling(module: str, name: str) -> bool:
    """
    Tell whether a file of a port's folder imports another file there that is not part of the same source or backend.
    """
    parts, others = module.split("."), name.split(".")
    folder = PACKAGE / parts[0]
    other = others[1] if len(others) > 1 else ""
    is_module = (folder / f"{other}.py").exists() or (folder / other / "__init__.py").exists() if other else False
    return is_module and (len(parts) < 2 or parts[1] != other)


@pytest.mark.parametrize("module", modules())
def test_imports_point_down(module: str) -> None:
    """A new colleague may know a module by what is below it."""
    assert top(module) in RANK, f"{module} has no layer: give it one in LAYERS"
    assert violations(module, imported(module)) == []


def test_the_test_of_the_layers_can_fail() -> None:
    """A rule that never failed is not trusted."""
    assert violations("errors", {"values.Type"})
    assert violations("sources.jira", {"sources.gitlab.connect"})
    assert violations("sources.jira", {"warehouses.find"})
    assert violations("marks", {"engine.pull"})
    assert not violations("sources.jira", {"sources.Page", "transport.Transport"})
    assert not violations("engine", {"inbound.Inbound", "errors.SyncerError"})


def test_only_one_file_imports_duckdb() -> None:
    """The embedded warehouse is one backend among others."""
    users = [
        module
        for module in modules()
        if "duckdb" in ast.unparse(ast.parse(file_of(module).read_text(encoding="utf-8")))
        and any(
            line.strip().startswith(("import duckdb", "from duckdb"))
            for line in file_of(module).read_text().splitlines()
        )
    ]
    assert users == ["warehouses.duckdb"]


def file_of(module: str) -> Path:
    path = PACKAGE.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def test_all_is_honest() -> None:
    """Every public name is there, and nothing else is promised; at most 20."""
    assert sorted(syncer.__all__) == sorted(set(syncer.__all__)) and len(syncer.__all__) <= 20
    for name in syncer.__all__:
        assert getattr(syncer, name) is not None
    assert set(dir(syncer)) == set(syncer.__all__)


def test_files_and_functions_stay_small() -> None:
    """A file is at most 500 lines, a function at most 60."""
    for module in modules():
        text = file_of(module).read_text(encoding="utf-8")
        assert text.count("\n") <= 500, module
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                assert (node.end_lineno or 0) - node.lineno < 60, f"{module}.{node.name}"


def test_broad_excepts_stand_at_the_outermost_doors_only() -> None:
    """Elsewhere the narrowest type is caught."""
    broad = []
    for module in modules():
        for node in ast.walk(ast.parse(file_of(module).read_text(encoding="utf-8"))):
            if isinstance(node, ast.ExceptHandler) and (
                node.type is None or ast.unparse(node.type) in ("Exception", "BaseException")
            ):
                broad += [module]
    doors = {"reading", "engine", "warehouses.duckdb", "odbc.warehouse", "verbs", "ahead", "catalog"}
    doors |= {"wherescape.sitting"}  # a host script's verb: what ends it is counted, and goes on
    doors |= {"notifying", "telling"}  # whoever cannot be told does not change what came of a run
    assert sorted(set(broad) - doors) == []
