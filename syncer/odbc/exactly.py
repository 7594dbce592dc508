"""
Comparing texts exactly in T-SQL: beside each text that is compared stands its number of bytes.

T-SQL takes a text for equal to the same text with blanks behind it, in `=`, `IN`, `EXCEPT` and `GROUP BY`, whatever
the collation. `DATALENGTH` counts them, and is the same for equal values of one type; so both sides of a comparison
must be of one type, which all our statements keep to. A parameter that is no text has no number of bytes: `-1` stands
there. Not exact: `UNION`, which our statements use for ids of runs only.

These are rules for trees of sqlglot; `tsql.py` applies them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from sqlglot import exp

COLLATION: Final = "Latin1_General_100_BIN2"  # of all texts: letter by letter
BYTES: Final = "bytes"  # behind the number of a parameter: its number of bytes is meant
_NUMBERS = (exp.AggFunc, exp.Add, exp.Sub, exp.Mul, exp.Neg, exp.Abs, exp.Length, exp.Null, exp.RowNumber)


def call(function: str, *arguments: exp.Expr) -> exp.Anonymous:
    """Call a function of the server by its name."""
    return exp.Anonymous(this=function, expressions=list(arguments))


def cast(value: exp.Expr, to: str) -> exp.Cast:
    """Cast a value to a type of the server."""
    return exp.Cast(this=value, to=exp.DataType.build(to, dialect="tsql"))


def collated(value: exp.Expr) -> exp.Expr:
    """Give a text our collation."""
    return exp.Collate(this=value, expression=exp.Var(this=COLLATION))


def as_text(value: exp.Expr) -> exp.Expr:
    """Make a text of a value."""
    return collated(cast(value.copy(), "nvarchar(max)"))


def letters(text: exp.Expr) -> exp.Expr:
    """Count letters (an emoji is two), the blanks at the end, too."""
    with_end = exp.Add(this=text.copy(), expression=exp.Literal.string("."))
    return exp.Sub(this=call("LEN", with_end), expression=exp.Literal.number(1))


def equal(node: exp.EQ) -> exp.Expr | None:
    """`=`, but for an assignment."""
    if isinstance(node.parent, exp.Update) and node.arg_key == "expressions":
        return None  # an assignment
    made = same(node.this, node.expression)
    return made if isinstance(made, exp.EQ) else exp.Paren(this=made)


def unequal(node: exp.NEQ) -> exp.Expr:
    """`<>`."""
    left, right = node.this, node.expression
    if _is_plain(left, right):
        return node
    return exp.Paren(this=exp.Or(this=node.copy(), expression=_lengths(left, right, is_equal=False)))


def same(left: exp.Expr, right: exp.Expr) -> exp.Expr:
    """Say that two values are equal."""
    equal = exp.EQ(this=left.copy(), expression=right.copy())
    return equal if _is_plain(left, right) else exp.And(this=equal, expression=_lengths(left, right, is_equal=True))


def _is_plain(*sides: exp.Expr) -> bool:
    """Tell whether one side is no text for certain, or both are parameters."""
    if all(isinstance(side, exp.Placeholder) for side in sides):
        return True
    return any(is_number(side) for side in sides)


def is_number(side: exp.Expr) -> bool:
    """Tell whether a value is no text for certain."""
    while isinstance(side, exp.Paren):
        side = side.this
    if isinstance(side, exp.Literal):
        return not side.is_string
    if isinstance(side, exp.Cast):
        return not (side.to.is_type("nvarchar", "varchar", "text"))
    is_sum = isinstance(side, exp.Add) and any(isinstance(part, exp.Collate) for part in side.find_all(exp.Collate))
    return isinstance(side, (*_NUMBERS, exp.Boolean, exp.Case)) and not is_sum and not side.meta.get("is_text")


def _lengths(left: exp.Expr, right: exp.Expr, *, is_equal: bool) -> exp.Expr:
    """Say that two texts have the same number of bytes, or another one."""
    if isinstance(left, exp.Placeholder):
        left, right = right, left
    if isinstance(right, exp.Placeholder):
        found = exp.In(this=_bytes_slot(right), expressions=[exp.Literal.number("-1"), bytes_of(left)])
        return found if is_equal else exp.Not(this=found)
    kind = exp.EQ if is_equal else exp.NEQ
    return kind(this=bytes_of(left), expression=bytes_of(right))


def bytes_of(side: exp.Expr) -> exp.Expr:
    """Count the bytes of a value."""
    return call("DATALENGTH", side.copy())


def _bytes_slot(side: exp.Placeholder) -> exp.Placeholder:
    return exp.Placeholder(this=f"{side.name}{BYTES}")


def ordered_after(node: exp.Expr) -> exp.Expr | None:
    """`k.key > ?` beside `ORDER BY k.key LIMIT n`: going on from the last one must not miss one with blanks behind."""
    select = node.find_ancestor(exp.Select)
    column, after = node.this, node.expression
    if select is None or not isinstance(after, exp.Placeholder) or not select.args.get("limit"):
        return None
    order = select.args.get("order")
    if order is None or column not in [each.this for each in order.expressions]:
        return None
    longer = exp.And(
        this=exp.GT(this=bytes_of(column), expression=_bytes_slot(after)),
        expression=exp.GTE(this=_bytes_slot(after), expression=exp.Literal.number(0)),
    )
    equal = exp.EQ(this=column.copy(), expression=after.copy())
    both = exp.Paren(this=exp.And(this=equal, expression=longer))
    # A text that begins with a control letter stands before the empty one, which has blanks behind it there.
    first = exp.EQ(this=_bytes_slot(after), expression=exp.Literal.number(0))
    behind = exp.Paren(this=exp.Or(this=exp.Or(this=first, expression=node.copy()), expression=both))
    is_some = exp.NEQ(this=bytes_of(column), expression=exp.Literal.number(0))
    return exp.Paren(this=exp.And(this=is_some, expression=behind))


def distinct(node: exp.Expr) -> exp.Expr | None:
    """One `IS DISTINCT FROM`; those joined by OR are taken together when their OR is met."""
    return None if isinstance(node.parent, exp.Or) else _differing([(node.this, node.expression)])


def not_distinct(node: exp.Expr) -> exp.Expr:
    return exp.Not(this=exp.Paren(this=_differing([(node.this, node.expression)])))


def _differing(pairs: Sequence[tuple[exp.Expr, exp.Expr]]) -> exp.Expr:
    """Say that one of some pairs differs, NULL being a value: what one row has, and the other one has not."""
    left: list[exp.Expr] = []
    right: list[exp.Expr] = []
    lengths: list[exp.Expr] = []
    for ours, theirs in pairs:
        left.append(ours.copy())
        right.append(theirs.copy())
        if isinstance(ours, exp.Placeholder) or isinstance(theirs, exp.Placeholder):
            if not _is_plain(ours, theirs):
                lengths.append(_lengths(ours, theirs, is_equal=False))
        elif not _is_plain(ours, theirs):
            left.append(bytes_of(ours))
            right.append(bytes_of(theirs))
    except_ = exp.Except(this=exp.Select(expressions=left), expression=exp.Select(expressions=right), distinct=True)
    return _any_of([exp.Exists(this=except_), *lengths])


def any_differs(node: exp.Expr) -> exp.Expr | None:
    """Take the pairs of a chain of `IS DISTINCT FROM` together. A chain of a thousand is too deep for recursion."""
    if isinstance(node.parent, exp.Or):
        return None
    pairs, others = [], []
    for part in _parts(node, exp.Or):
        if isinstance(part, exp.NullSafeNEQ):
            pairs.append((part.this, part.expression))
        else:
            others.append(part)
    return _any_of([_differing(pairs), *(part.copy() for part in others)]) if pairs else None


def _parts(node: exp.Expr, kind: type[exp.Expr]) -> Iterator[exp.Expr]:
    waiting = [node]
    while waiting:
        found = waiting.pop()
        if isinstance(found, kind):
            waiting += [found.expression, found.this]
        else:
            yield found


def _any_of(parts: Sequence[exp.Expr]) -> exp.Expr:
    made = parts[0]
    for part in parts[1:]:
        made = exp.Or(this=made, expression=part)
    return made if len(parts) == 1 else exp.Paren(this=made)


def among(node: exp.In) -> exp.Expr | None:
    """`IN`, of some values or of a query. Raises ValueError where the query has no exact form."""
    query = node.args.get("query")
    if query is None:
        found = [same(node.this, each) for each in node.expressions]
        if all(isinstance(each, exp.EQ) for each in found):
            return None
        return _any_of([exp.Paren(this=each) if isinstance(each, exp.And) else each for each in found])
    above = node.parent
    while isinstance(above, exp.Paren):
        above = above.parent
    inner = query.unnest()
    if isinstance(above, exp.Not):
        raise ValueError("NOT IN of a query has no exact form in T-SQL: write NOT EXISTS")
    if not isinstance(inner, exp.Select) or any(inner.args.get(part) for part in ("group", "limit", "having")):
        raise ValueError("IN takes a plain query: write EXISTS")
    met = same(inner.expressions[0].unalias(), _of_outside(node))
    select = exp.select("1").from_(inner.args["from_"].this.copy())
    select.set("joins", [join.copy() for join in inner.args.get("joins") or ()])
    where = inner.args.get("where")
    whole = exp.And(this=exp.Paren(this=where.this.copy()), expression=met) if where is not None else met
    select.set("where", exp.Where(this=whole))
    return exp.Exists(this=select)


def _of_outside(node: exp.In) -> exp.Expr:
    """Write what is looked for with the name of its table: inside, the same name may be another column."""
    given: exp.Expr = node.this.copy()
    bare = [column for column in given.find_all(exp.Column) if not column.table]
    if not bare:
        return given
    outer = node.find_ancestor(exp.Select, exp.Update, exp.Delete)
    source = outer.args.get("from_") if isinstance(outer, exp.Select) else outer
    if source is None or (outer is not None and outer.args.get("joins")):
        raise ValueError(f"{given.sql()} IN a query: say of which table it is")
    for column in bare:
        column.set("table", exp.to_identifier(source.this.alias_or_name))
    return given


def starts_with(node: exp.StartsWith) -> exp.Expr:
    """Whether a text begins with another one."""
    beginning = as_text(node.expression)
    cut = call("LEFT", node.this.copy(), letters(beginning))
    return exp.Paren(this=same(cut, beginning))
