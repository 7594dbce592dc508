"""
Our statements as T-SQL: parsed once in the words that all are written in, rewritten, and written for SQL Server.

What T-SQL says otherwise is here: `UPDATE … FROM`, temporary tables, truth values, functions. What it compares
otherwise is in `exactly.py`. Only what SQL Server 2016 has is used, and nothing that other T-SQL servers lack: no
MERGE, no OUTPUT, no hint.

Not here: types, catalogue and locks (`tsqltypes.py`, `tsqltransaction.py`). Source: the Transact-SQL reference.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from sqlglot import exp, parse_one
from sqlglot.dialects.tsql import TSQL
from sqlglot.generators.tsql import TSQLGenerator

from syncer.odbc.exactly import (
    BYTES,
    COLLATION,
    among,
    any_differs,
    as_text,
    bytes_of,
    call,
    cast,
    collated,
    distinct,
    equal,
    is_number,
    letters,
    not_distinct,
    ordered_after,
    starts_with,
    unequal,
)
from syncer.sql import WRITTEN_IN

TEXT_TYPE: Final = f"nvarchar(max) COLLATE {COLLATION}"
ROW_HASH, TRY_BIGINT, TRY_DECIMAL, TRY_TIMESTAMP = map("DSS_{}".format, ("HASH", "INT", "DECIMAL", "TIMESTAMP"))
COLUMNS_A_HASH = 32  # an expression nested deeper than a few hundred is refused by the server
_DIGIT = "[0-9]"
_BLANK = "\ue000"  # for private use: no text has it
_PLACE, _MARK = "DSS_PARAMETER", "\x01"
_PARAMETER = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|--[^\n]*|/\*.*?\*/|\?", re.DOTALL)
_MARKED = re.compile(f"{_MARK}([0-9]+)({BYTES})?{_MARK}")
_TYPES = {
    exp.DataType.Type.TEXT: "nvarchar(max)",
    exp.DataType.Type.VARCHAR: "nvarchar(max)",
    exp.DataType.Type.BOOLEAN: "bit",
    exp.DataType.Type.DOUBLE: "float",
    exp.DataType.Type.TIMESTAMP: "datetime2(6)",
    exp.DataType.Type.TIMESTAMPTZ: "datetime2(6)",
}
_CONDITIONS = (exp.Where, exp.Having, exp.And, exp.Or, exp.Not)
_HOLDS_TARGET = (exp.Insert, exp.Schema, exp.Drop, exp.Create, exp.Into)
_COMPARED = (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.NullSafeEQ, exp.NullSafeNEQ)
_PREDICATES = (*_COMPARED, exp.In, exp.StartsWith, exp.Like, exp.Is, exp.Exists, exp.Not, exp.And, exp.Or)


class Slot(int):
    """
    A place of a parameter, by its number. `is_bytes`: not its value stands there but its number of bytes, or -1 where
    it is no text.
    """

    is_bytes: bool

    def __new__(cls, number: int, *, is_bytes: bool = False) -> Slot:
        """Make a slot."""
        made = super().__new__(cls, number)
        made.is_bytes = is_bytes
        return made


class Rendered(str):
    """A statement in T-SQL with `?` for each slot; `pieces` are what stands around the slots."""

    pieces: tuple[str, ...]
    slots: tuple[Slot, ...]
    target: str  # schema and name of the table that it writes to; empty: none, or a temporary one

    def __new__(cls, pieces: Sequence[str], slots: Sequence[Slot] = (), target: str = "") -> Rendered:
        """Put a statement together."""
        made = super().__new__(cls, "?".join(pieces))
        made.pieces, made.slots, made.target = tuple(pieces), tuple(slots), target
        return made

    def around(self, before: str, behind: str) -> Rendered:
        """Return it with more text before and behind it."""
        pieces = [before + self.pieces[0], *self.pieces[1:]]
        pieces[-1] += behind
        return Rendered(pieces, self.slots, self.target)

    def filled(self, written: Iterable[str]) -> str:
        """Write it with a text of each slot's own."""
        return "".join(part for pair in zip(self.pieces, [*written, ""], strict=True) for part in pair)


@functools.lru_cache(maxsize=2048)
def render(text: str) -> Rendered:
    """
    Render one statement.

    Raises: sqlglot's ParseError; ValueError: it says what no T-SQL can be made of (`NOT IN` of a query).
    """
    # Numbered, since clauses change places, and a parameter may be needed twice.
    numbers = iter(range(text.count("?")))
    numbered = _PARAMETER.sub(lambda found: f"{_PLACE}({next(numbers)})" if found[0] == "?" else found[0], text)
    tree = _rewritten(parse_one(numbered, read=WRITTEN_IN))
    target = _target(tree)
    written = tree.sql(dialect=_Server, identify=True, copy=False, comments=False)
    parts = _MARKED.split(written)
    slots = [Slot(int(number), is_bytes=bool(kind)) for number, kind in zip(parts[1::3], parts[2::3], strict=True)]
    return Rendered(parts[0::3], slots, target)


def name(text: str) -> str:
    """Quote a name."""
    return "[" + text.replace("]", "]]") + "]"


def literal(text: str) -> str:
    """Write a text."""
    return "N'" + text.replace("'", "''") + "'"


class _Writer(TSQLGenerator):
    """Writes national texts, and numbered places of parameters."""

    ENSURE_BOOLS = False  # there is nothing left of that kind

    def placeholder_sql(self, expression: exp.Placeholder) -> str:
        """Mark the place of a parameter."""
        return f"{_MARK}{expression.name}{_MARK}"

    def literal_sql(self, expression: exp.Literal) -> str:
        """Write texts as national ones: others have the letters of the database's code page only."""
        written = super().literal_sql(expression)
        return f"N{written}" if expression.is_string else written


class _Server(TSQL):
    """T-SQL as we write it."""

    Generator = _Writer


def _rewritten(tree: exp.Expr) -> exp.Expr:
    """Rewrite a tree, the leaves first; what is put in its place is not looked at again."""
    holder = exp.Paren(this=tree)  # so that the root has a parent, too
    for place in list(tree.find_all(exp.Anonymous)):
        if place.name == _PLACE:
            place.replace(exp.Placeholder(this=place.expressions[0].name))
    tables = {each.alias_or_name for each in tree.find_all(exp.CTE)}
    for node in reversed(list(tree.walk(bfs=True))):
        if isinstance(node, exp.Table) and not node.db and node.name not in tables:
            _temporary(node)
        rule = _RULES.get(type(node))
        if rule is not None:
            made = rule(node)
            if made is not None and made is not node:
                node.replace(made)
                node = made
        _in_its_place(node)
    found: exp.Expr = holder.this
    return found.pop()


def _in_its_place(node: exp.Expr) -> None:
    """Make a truth value of a condition where a value stands, and a condition of a value where a condition stands."""
    if _is_part(node):
        return
    inner = node.unnest() if isinstance(node, exp.Paren) else node
    is_predicate = isinstance(inner, _PREDICATES)
    if _is_condition(node):
        if not is_predicate and isinstance(node, exp.Column | exp.Placeholder | exp.Cast | exp.Boolean):
            value = node.copy()
            made = (
                exp.EQ(this=exp.Literal.number(1), expression=exp.Literal.number(int(bool(value.this))))
                if isinstance(node, exp.Boolean)
                else None
            )
            node.replace(made or exp.EQ(this=value, expression=exp.Literal.number(1)))
    elif is_predicate and not isinstance(node.parent, exp.Paren):
        node.replace(_truth(node.copy(), has_unknown=not isinstance(inner, exp.Exists)))
    elif isinstance(node, exp.Boolean):
        node.replace(cast(exp.Literal.number(int(bool(node.this))), "bit"))


def _is_condition(node: exp.Expr) -> bool:
    """Tell whether a condition is to stand in the place of a node."""
    parent, key = node.parent, node.arg_key
    while isinstance(parent, exp.Paren):
        key, parent = parent.arg_key, parent.parent
    if isinstance(parent, exp.Is):
        return key == "this" and isinstance(parent.expression, exp.Boolean)
    if isinstance(parent, exp.Join):
        return key == "on"
    if isinstance(parent, exp.If):
        case = parent.parent
        return key == "this" and not (isinstance(case, exp.Case) and case.this is not None)
    return isinstance(parent, _CONDITIONS)


def _is_part(node: exp.Expr) -> bool:
    """Tell whether a node is neither value nor condition: an assignment, or the word behind IS."""
    parent, key = node.parent, node.arg_key
    return (
        parent is None
        or (isinstance(parent, exp.Is) and key == "expression")
        or (isinstance(parent, exp.Update) and key == "expressions")
    )


# Values.


def _is(node: exp.Is) -> exp.Expr | None:
    """`IS TRUE` and `IS FALSE`; `IS NULL` is T-SQL's own."""
    wanted = node.expression
    if not isinstance(wanted, exp.Boolean):
        return None
    given = node.this.copy()
    when = given if wanted.this else exp.Not(this=exp.Paren(this=given))
    case = exp.Case().when(when, exp.Literal.number(1)).else_(exp.Literal.number(0))
    return exp.EQ(this=case, expression=exp.Literal.number(1))


def _like(node: exp.Like | exp.ILike) -> exp.Expr:
    """A bracket means something in a pattern of T-SQL; `ILIKE` compares small letters."""
    text, pattern = node.this.copy(), node.expression.copy()
    if isinstance(node, exp.ILike):
        text, pattern = exp.Lower(this=text), exp.Lower(this=pattern)
    escaped = call("REPLACE", pattern, exp.Literal.string("["), exp.Literal.string("[[]"))
    made = exp.Like(this=text, expression=escaped)
    return exp.Not(this=exp.Paren(this=made)) if node.args.get("negate") else made


def _truth(condition: exp.Expr, *, has_unknown: bool) -> exp.Expr:
    """Make a value of a condition: 1, 0, or NULL where it is unknown."""
    case = exp.Case().when(condition, exp.Literal.number(1))
    if has_unknown:
        case = case.when(exp.Not(this=exp.Paren(this=condition.copy())), exp.Literal.number(0))
    else:
        case = case.else_(exp.Literal.number(0))
    return cast(case, "bit")


def _cast_rule(node: exp.Cast) -> exp.Expr | None:
    """What becomes a text is compared letter by letter from then on."""
    return collated(node.copy()) if node.to.is_type("nvarchar") else None


def _type(node: exp.DataType) -> exp.Expr | None:
    to = _TYPES.get(node.this)
    return exp.DataType.build(to, dialect="tsql") if to else None


def _column_def(node: exp.ColumnDef) -> None:
    if node.kind is not None and node.kind.is_type("nvarchar"):
        kind = exp.CollateColumnConstraint(this=exp.Var(this=COLLATION))
        node.append("constraints", exp.ColumnConstraint(kind=kind))


def _joined(node: exp.DPipe) -> exp.Expr:
    """`+`, which yields NULL for NULL."""
    made = exp.Add(this=node.this.copy(), expression=node.expression.copy())
    made.meta["is_text"] = True
    return made


def _length(node: exp.Length) -> exp.Expr:
    return exp.Paren(this=letters(as_text(node.this)))


def _trim(node: exp.Trim) -> exp.Expr:
    """Trim as before 2022, blanks only, which another letter stands in for. Raises ValueError: several letters."""
    sides = {"LEADING": ("LTRIM",), "TRAILING": ("RTRIM",)}.get(str(node.args.get("position")), ("RTRIM", "LTRIM"))
    text, given = node.this.copy(), node.expression
    letter = given.name if isinstance(given, exp.Literal) else "" if given else " "
    if len(letter) != 1:
        raise ValueError("T-SQL trims one letter that stands in the statement: write TRIM(x, 'y').")
    turns = [] if letter == " " else [(" ", _BLANK), (letter, " ")]
    for one, other in turns:
        text = call("REPLACE", text, exp.Literal.string(one), exp.Literal.string(other))
    for side in sides:
        text = call(side, text)
    for one, other in reversed(turns):
        text = call("REPLACE", text, exp.Literal.string(other), exp.Literal.string(one))
    return collated(exp.Paren(this=text)) if turns else text


def _split_part(node: exp.Expr) -> exp.Expr:
    """The text as a list in JSON, and one part of it; a part that is not there is an empty text."""
    text, by, place = node.this, node.args["delimiter"], int(node.args["part_index"].name)
    escaped = by.name.replace("/", "\\/")
    listed = call("REPLACE", call("STRING_ESCAPE", text.copy(), exp.Literal.string("json")),
                   exp.Literal.string(escaped), exp.Literal.string('","'))  # fmt: skip
    whole = exp.Add(
        this=exp.Add(this=exp.Literal.string('["'), expression=listed), expression=exp.Literal.string('"]')
    )
    found = call("JSON_VALUE", whole, exp.Literal.string(f"$[{place - 1}]"))
    some = exp.Coalesce(this=found, expressions=[exp.Literal.string("")])
    return collated(
        exp.Paren(this=exp.Case().when(exp.Is(this=text.copy(), expression=exp.Null()), exp.Null()).else_(some))
    )


def _our_own(node: exp.Anonymous) -> exp.Expr | None:
    found = _OWN.get(node.name.upper())
    return found(node.expressions) if found else None


def _row_hash(columns: Sequence[exp.Expr]) -> exp.Expr:
    """Hash columns as bytes; a text stands there whole, a double exactly, and NULL is not an empty text."""
    hashes = []
    for start in range(0, len(columns), COLUMNS_A_HASH):
        parts = []
        for column in columns[start : start + COLUMNS_A_HASH]:
            given = column.sql(dialect=_Server, identify=True)
            text = f"CAST({given} AS nvarchar(max))"
            parts.append(
                f"COALESCE(CAST(DATALENGTH({text}) AS binary(8)) + CAST({given} AS varbinary(8000)) "
                f"+ CAST({text} AS varbinary(max)), 0xFF)"
            )
        hashes.append(f"HASHBYTES('SHA2_256', {' + '.join(parts)})")
    whole = hashes[0] if len(hashes) == 1 else f"HASHBYTES('SHA2_256', {' + '.join(hashes)})"
    return exp.Var(this=f"(CONVERT(nvarchar(16), SUBSTRING({whole}, 1, 8), 2) COLLATE {COLLATION})")


def _try_number(kind: str, arguments: Sequence[exp.Expr]) -> exp.Expr:
    """A cast to a number takes an empty text, and a sign alone, for 0."""
    text = f"CAST({arguments[0].sql(dialect=_Server, identify=True)} AS nvarchar(max))"
    return exp.Var(this=f"(CASE WHEN {text} LIKE N'%[0-9]%' THEN TRY_CAST({text} AS {kind}) END)")


def _try_timestamp(arguments: Sequence[exp.Expr]) -> exp.Expr:
    """
    A moment as ISO 8601 has it; without an offset it is UTC, and an offset may lack its colon, as Jira's does.

    The server's own cast wants seconds behind a `T`, and refuses the eighth decimal; what is behind the sixth is cut.
    """
    text = f"CAST({arguments[0].sql(dialect=_Server, identify=True)} AS nvarchar(max))"
    behind = f"(SUBSTRING({text}, 17, 100) + N'Z')"  # the minutes
    place = f"CHARINDEX(N'Z', REPLACE(REPLACE({behind}, N'+', N'Z'), N'-', N'Z'))"  # where the offset begins
    seconds, given = f"SUBSTRING({behind}, 1, {place} - 1)", f"SUBSTRING({text}, 16 + {place}, 100)"
    offset = f"CASE LEN({given}) WHEN 3 THEN {given} + N':00' WHEN 5 THEN STUFF({given}, 4, 0, N':') ELSE {given} END"
    cut = f"CASE WHEN {seconds} = N'' THEN N':00' ELSE SUBSTRING({seconds}, 1, 10) END"
    whole = f"SUBSTRING({text}, 1, 10) + N'T' + SUBSTRING({text}, 12, 5) + {cut} + {offset}"
    is_date = f"{text} LIKE N'{_DIGIT * 4}-{_DIGIT * 2}-{_DIGIT * 2}'"
    is_moment = f"{text} LIKE N'{_DIGIT * 4}-{_DIGIT * 2}-{_DIGIT * 2}[T ]{_DIGIT * 2}:{_DIGIT * 2}%'"
    is_number = f"NOT (SUBSTRING({seconds}, 5, 100) LIKE N'%[^0-9]%')"
    moment = (
        f"CASE WHEN {is_date} THEN TRY_CAST({text} AS datetimeoffset(6)) WHEN {is_moment} AND {is_number} "
        f"THEN TRY_CAST({whole} AS datetimeoffset(6)) END"
    )
    return exp.Var(this=f"CAST(SWITCHOFFSET({moment}, N'+00:00') AS datetime2(6))")


_OWN: dict[str, Callable[[Sequence[exp.Expr]], exp.Expr]] = {
    ROW_HASH: _row_hash,
    TRY_BIGINT: functools.partial(_try_number, "bigint"),
    TRY_DECIMAL: functools.partial(_try_number, "decimal(38, 9)"),
    TRY_TIMESTAMP: _try_timestamp,
}


# Statements.


def _temporary(node: exp.Table) -> None:
    """What has no schema is a temporary table; it keeps its name as an alias."""
    known, is_target = node.name, isinstance(node.parent, _HOLDS_TARGET)
    node.set("this", exp.to_identifier(f"#{known}", quoted=True))
    if not node.alias and not is_target:
        node.set("alias", exp.TableAlias(this=exp.to_identifier(known, quoted=True)))


def _update(node: exp.Update) -> None:
    table, source = node.this, node.args.get("from_")
    if not table.alias:
        return
    whole = exp.From(this=table.copy())
    if source is not None:
        joins = [exp.Join(this=source.this.copy(), kind="CROSS"), *(source.this.args.get("joins") or ())]
        whole.this.set("joins", joins)
    node.set("this", exp.Table(this=exp.to_identifier(table.alias, quoted=True)))
    node.set("from_", whole)


def _delete(node: exp.Delete) -> None:
    if node.this.alias:
        node.set("tables", [exp.Table(this=exp.to_identifier(node.this.alias, quoted=True))])


def _select(node: exp.Select) -> None:
    node.set("expressions", [_selected(each) for each in node.expressions])
    limit, order = node.args.get("limit"), node.args.get("order")
    if node.args.get("distinct") is not None and not node.find(exp.Star, exp.AggFunc, exp.Window):
        given = [each.unalias() for each in node.expressions]
        node.set("distinct", None)
        node.set("group", exp.Group(expressions=_with_lengths([each for each in given if not _is_constant(each)])))
    elif (group := node.args.get("group")) is not None:
        group.set("expressions", _with_lengths(group.expressions))
    if order is not None and limit is not None:
        node.set("order", exp.Order(expressions=[more for each in order.expressions for more in _exact_order(each)]))
    _without_order(node)


def _without_order(node: exp.Select | exp.SetOperation) -> None:
    """A query inside another has no order of its own, unless it has a limit: the server refuses it (1033)."""
    if node.args.get("limit") is None and isinstance(node.parent, exp.Subquery | exp.Exists | exp.In | exp.CTE):
        node.set("order", None)


def _exact_order(node: exp.Ordered) -> list[exp.Expr]:
    if isinstance(node.this, exp.Literal) or (not isinstance(node.this, exp.Column) and is_number(node.this)):
        return [node.copy()]
    longer = exp.Ordered(this=bytes_of(node.this), desc=node.args.get("desc"), nulls_first=not node.args.get("desc"))
    return [node.copy(), longer]


def _selected(node: exp.Expr) -> exp.Expr:
    """What is selected as a constant has a type, and a collation of ours, when it becomes a column."""
    value = node.unalias()
    if isinstance(value, exp.Literal) and value.is_string:
        made = collated(value.copy())
    elif isinstance(value, exp.Null):
        made = cast(exp.Null(), "nvarchar(1)")  # which each of our types takes
    else:
        return node
    return exp.alias_(made, node.alias, quoted=True) if isinstance(node, exp.Alias) else made


def _is_constant(node: exp.Expr) -> bool:
    return node.find(exp.Column) is None


def _with_lengths(given: Sequence[exp.Expr]) -> list[exp.Expr]:
    lengths = [bytes_of(each) for each in given if isinstance(each, exp.Column) or not is_number(each)]
    return [*(each.copy() for each in given), *lengths]


def _window(node: exp.Window) -> None:
    given = node.args.get("partition_by")
    if given:
        node.set("partition_by", _with_lengths(given))


def _ordered(node: exp.Ordered) -> None:
    node.set("nulls_first", not node.args.get("desc"))  # as the server has it: nothing of ours depends on it


def _target(tree: exp.Expr) -> str:
    if isinstance(tree, exp.Select) and (into := tree.args.get("into")) is not None:
        return f"{into.this.db}.{into.this.name}" if into.this.db else ""
    if not isinstance(tree, exp.Insert | exp.Update | exp.Delete | exp.Alter):
        return ""
    table = tree.this.this if isinstance(tree.this, exp.Schema) else tree.this
    source = tree.args.get("from_")
    if isinstance(tree, exp.Update) and source is not None and not table.db:
        table = source.this
    return f"{table.db}.{table.name}" if table.db else ""


_RULES: dict[type[exp.Expr], Callable[[Any], exp.Expr | None]] = {
    exp.EQ: equal,
    exp.NEQ: unequal,
    exp.GT: ordered_after,
    exp.NullSafeNEQ: distinct,
    exp.NullSafeEQ: not_distinct,
    exp.Or: any_differs,
    exp.In: among,
    exp.Is: _is,
    exp.StartsWith: starts_with,
    exp.Like: _like,
    exp.ILike: _like,
    exp.DPipe: _joined,
    exp.Length: _length,
    exp.SplitPart: _split_part,
    exp.Trim: _trim,
    exp.Cast: _cast_rule,
    exp.TryCast: _cast_rule,
    exp.DataType: _type,
    exp.ColumnDef: _column_def,
    exp.Anonymous: _our_own,
    exp.Update: _update,
    exp.Delete: _delete,
    exp.Select: _select,
    exp.Union: _without_order,
    exp.Except: _without_order,
    exp.Intersect: _without_order,
    exp.Window: _window,
    exp.Ordered: _ordered,
}
