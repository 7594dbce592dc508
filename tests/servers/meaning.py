"""What a statement in T-SQL means, in DuckDB's words: texts are compared as T-SQL compares them."""

from __future__ import annotations

import functools
import itertools
import re

import sqlglot
from sqlglot import exp

_QUOTED = re.compile(r"N?'(?:[^']|'')*'|\[[^\]]*\]|\?")
_UNPACKED = re.compile(r"\(SELECT j\.\[value\] FROM OPENJSON\((.+?)\) AS j\)")


@functools.lru_cache(maxsize=4096)
def to_duckdb(text: str) -> str:
    """Write T-SQL as DuckDB takes it. Raises sqlglot's ParseError for what its T-SQL reader does not take."""
    numbers = itertools.count(1)
    numbered = _QUOTED.sub(lambda found: f"@P{next(numbers)}" if found[0] == "?" else found[0], text)
    numbered = numbered.replace("@@SPID", "'@@SPID'").replace("(SELECT COUNT(*) FROM OPENJSON(N'[1]'))", "1")
    numbered = numbered.replace("CASE WHEN N'a' = N'A' THEN 1 ELSE 0 END", "1")  # it takes one name for the other
    numbered = _UNPACKED.sub(r"JSON_VALUE(\1, N'$[0]')", numbered)
    tree = sqlglot.parse_one(numbered, read="tsql", error_level=sqlglot.ErrorLevel.RAISE)
    holder = exp.Paren(this=tree)
    for node in reversed(list(tree.walk(bfs=True))):
        made = _meaning(node)
        if made is not None:
            node.replace(made)
    written: str = holder.this.sql(dialect="duckdb", identify=True)
    return written.replace("'@@SPID'", "@@SPID")


def _meaning(node: exp.Expr) -> exp.Expr | None:
    """Write one node as DuckDB means it."""
    parent = node.parent
    if isinstance(node, exp.Parameter):
        return exp.Placeholder(this=node.name.removeprefix("P"))
    if isinstance(node, exp.National):
        return exp.Literal.string(node.name)
    if isinstance(node, exp.DataType) and node.is_type("nvarchar", "varchar", "text"):
        return exp.DataType.build("text")
    if isinstance(node, exp.DataType) and node.sql("tsql").upper().startswith("DATETIME2"):
        return exp.DataType.build("timestamp")
    if isinstance(node, exp.DataType) and node.sql("tsql").upper() in ("BIT", "FLOAT"):
        return exp.DataType.build("boolean" if node.sql("tsql").upper() == "BIT" else "double")
    if isinstance(node, exp.Collate):
        return node.this.copy()
    if isinstance(node, exp.Ordered):
        node.set("nulls_first", None)
    if isinstance(node, exp.Identifier) and node.args.get("temporary"):
        return exp.to_identifier(f"#{node.name}", quoted=True)
    if isinstance(node, exp.EQ) and not (isinstance(parent, exp.Update) and node.arg_key == "expressions"):
        return exp.Paren(this=_call("tsql_equal", node.this, node.expression))
    if isinstance(node, exp.NEQ):
        return exp.Not(this=exp.Paren(this=_call("tsql_equal", node.this, node.expression)))
    if isinstance(node, exp.GT):
        return _call("tsql_greater", node.this, node.expression)
    if isinstance(node, exp.Add) and _is_text(node):
        return exp.DPipe(this=node.this.copy(), expression=node.expression.copy())
    if isinstance(node, exp.Extract):  # of the second's fraction alone
        return exp.Paren(this=exp.Mod(this=node.copy(), expression=exp.Literal.number(1_000_000)))
    if isinstance(node, exp.Length):
        return _call("tsql_len", node.this)
    if isinstance(node, exp.Like):
        return _like(node)
    if isinstance(node, exp.Except):
        for side in (node.this, node.expression):
            side.set("expressions", [_call("padded", each) for each in side.expressions])
    if isinstance(node, exp.Select) and node.args.get("group"):
        _grouped(node)
    if isinstance(node, exp.Select) and node.args.get("into"):
        into = node.args["into"].this
        node.set("into", None)
        return exp.Create(this=into.copy(), kind="TABLE", expression=node.copy(),
                          properties=exp.Properties(expressions=[exp.TemporaryProperty()]))  # fmt: skip
    if isinstance(node, exp.Update) and node.args.get("from_"):
        _update(node)
    if isinstance(node, exp.Delete):
        node.set("tables", None)
    return _function(node)


def _function(node: exp.Expr) -> exp.Expr | None:
    name = node.name.upper() if isinstance(node, exp.Anonymous) else type(node).__name__.upper()
    if name == "SYSUTCDATETIME":
        return sqlglot.parse_one("(now() AT TIME ZONE 'UTC')", read="duckdb")
    if name == "SWITCHOFFSET":
        return _call("timezone", exp.Literal.string("UTC"), node.expressions[0])
    if isinstance(node, exp.Convert | exp.Cast) and any(
        isinstance(each, exp.Anonymous | exp.SHA2 | exp.Func) and each.sql("tsql").startswith("HASHBYTES")
        for each in node.find_all(exp.Func)
    ):
        columns = list(dict.fromkeys(each.sql("duckdb", identify=True) for each in node.find_all(exp.Column)))
        parts = ", ".join(f"COALESCE('+' || length({each}::VARCHAR) || {each}::VARCHAR, '-')" for each in columns)
        return sqlglot.parse_one(f"substr(sha256(concat({parts})), 1, 16)", read="duckdb")
    return None


def _like(node: exp.Like) -> exp.Expr:
    if not isinstance(node.expression, exp.Literal):
        return _call("tsql_like", node.this, node.expression)
    pattern = node.expression.name.replace(".", "\\.").replace("%", ".*")
    matches = _call("regexp_full_match", node.this, exp.Literal.string(pattern))
    return exp.Not(this=matches) if node.args.get("negate") else matches


def _grouped(node: exp.Select) -> None:
    """Group texts by what they are without the blanks at their end; each group shows one of them."""
    group = node.args["group"]
    keys = list(group.expressions)
    shown = [
        exp.alias_(exp.AnyValue(this=each.unalias().copy()), each.alias_or_name, quoted=True)
        if each.unalias() in keys
        else each
        for each in node.expressions
    ]
    node.set("expressions", shown)
    order = node.args.get("order")
    for each in order.expressions if order else ():
        if each.this in keys:
            each.set("this", exp.AnyValue(this=each.this.copy()))
    group.set("expressions", [_call("padded", key) for key in keys])


def _update(node: exp.Update) -> None:
    """`UPDATE b … FROM t AS b CROSS JOIN s`: DuckDB has the table first."""
    table = node.args["from_"].this
    source = (table.args.get("joins") or [None])[0]
    table.set("joins", None)
    node.set("this", table.copy())
    node.set("from_", exp.From(this=source.this.copy()) if source is not None else None)


def _is_text(node: exp.Expr) -> bool:
    if isinstance(node, exp.Literal):
        return bool(node.is_string)
    if isinstance(node, exp.Cast):
        return bool(node.to.is_type("nvarchar", "varchar", "text"))
    if isinstance(node, exp.Paren | exp.Replace | exp.Add):
        return any(_is_text(part) for part in node.iter_expressions())
    return isinstance(node, exp.DPipe | exp.Left | exp.Case)


def _call(name: str, *arguments: exp.Expr) -> exp.Expr:
    return exp.Anonymous(this=name, expressions=[each.copy() for each in arguments])
