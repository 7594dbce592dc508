"""
Plans as one HTML file: a head that can be printed, and all changes, which the page itself searches and filters.

The file needs nothing from anywhere and runs nothing but its own script, which its Content-Security-Policy names by
digest: what the two sides hold stands in it as JSON and is shown as text. It is written as the plans are read, into a
file beside, which takes its place when it is whole. The script and the style are `plan.js` and `plan.css`.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import html
from collections.abc import Iterable, Iterator
from importlib import resources
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from syncer import plan
from syncer.errors import UsageError
from syncer.plan import Change
from syncer.reports import plan_shown, terminal
from syncer.reports.documents import as_json
from syncer.reports.plan_shown import SETTLED, Shown, Trouble

AT_ONCE = 1_000  # entries of one block of data
FIRST = 100  # rejects and conflicts in the head; all of them stand in the list
NEVER = 0  # in the place of the agreed value, where the two sides never agreed
_HEADS = (
    (plan.CONFLICT, "In conflict", "left alone, for a person to decide"),
    (plan.REJECTED, "Rejected", "not written"),
    (SETTLED, "Settled by a setting", "both sides moved, or never agreed"),
)
_FILTERS = (("action", "Action"), ("outcome", "Outcome"), ("property", "Property"), ("mapping", "Mapping"))


def check(path: Path) -> None:
    """Raise UsageError where a report cannot be written there; before anything else was done."""
    if path.suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"--report is {terminal.clean(path)}; a report is HTML (plan.html) or Markdown (plan.md).")
    if not path.parent.is_dir() or path.is_dir():
        what = "is a folder" if path.is_dir() else f"would stand in {terminal.clean(path.parent)}, which is no folder"
        raise UsageError(f"--report {terminal.clean(path)} {what}.")


class Report:
    """
    The file of one or more plans; a context manager. Nothing is written where no plan was added, and what stood there
    before stays where something failed.

    Raises: UsageError: the file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._part = path.with_name(f".{path.name}.part")
        self._file: TextIO | None = None
        self._plans = 0

    def __enter__(self) -> Report:
        """Begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the file, and put it in its place; leave nothing where something failed."""
        if self._file is None:
            return
        try:
            if kind is None:
                self._write(_tail())
        finally:
            self._file.close()
            if kind is not None:
                self._part.unlink(missing_ok=True)
        if kind is None:
            with _told(self._path):
                self._part.replace(self._path)

    def add(self, shown: Shown) -> None:
        """Add a plan."""
        if self._file is None:
            with _told(self._path):
                self._file = self._part.open("w", encoding="utf-8", newline="\n")
            self._write(_beginning(f"Plan {shown.header.plan} of {shown.header.mapping}"))
        for part in (*_head(shown, self._plans), *_data(_entries(shown, self._plans))):
            self._write(part)
        self._plans += 1

    def _write(self, text: str) -> None:
        assert self._file is not None
        with _told(self._path):
            self._file.write(text)


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UsageError(f"The report {path} cannot be written: {error.strerror}.") from error


def _asset(name: str) -> str:
    return resources.files("syncer.reports").joinpath(name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"


def _beginning(title: str) -> str:
    style, script = _asset("plan.css"), _asset("plan.js")
    policy = (
        f"default-src 'none'; script-src {_digest(script)}; style-src {_digest(style)}; base-uri 'none'; "
        "form-action 'none'"
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<meta name="referrer" content="no-referrer">\n'
        f"<title>{_text(title)}</title>\n<style>{style}</style>\n</head>\n<body>\n"
        '<a class="skip" href="#changes">To the changes</a>\n<main>\n'
    )


def _tail() -> str:
    filters = "".join(
        f'<label hidden>{label}<select id="{name}"><option value="">all</option></select></label>\n'
        for name, label in _FILTERS
    )
    turn = (
        '<button type="button" data-turn="-1">Previous page</button>\n'
        '<button type="button" data-turn="1">Next page</button>\n'
    )
    return (
        '<section id="changes" aria-labelledby="changes-head">\n'
        '<h2 id="changes-head" tabindex="-1">Changes, rejects and conflicts</h2>\n'
        '<noscript><p class="notice">This list is drawn by JavaScript, which is off here.</p></noscript>\n'
        '<div class="bar" role="search">\n<label class="find">Search key, id, property and values'
        '<input id="search" type="search" autocomplete="off" spellcheck="false"></label>\n'
        f'{filters}<button type="button" id="clear" disabled>Clear</button>\n</div>\n'
        f'<div class="turn"><span id="where" role="status"></span>\n{turn}</div>\n'
        '<ol id="list"></ol>\n<p id="none" class="empty" hidden>Nothing fits. Clear the search or a filter.</p>\n'
        f'<div class="turn"><span id="where-below" class="where"></span>\n{turn}</div>\n'
        f"</section>\n</main>\n<script>{_asset('plan.js')}</script>\n</body>\n</html>\n"
    )


def _head(shown: Shown, number: int) -> Iterator[str]:
    """Yield what stands above the list: it is plain HTML, and prints."""
    header, pushed = shown.header, shown.pushed
    where = plan_shown.outcome(shown)
    kind = "bad" if pushed.trips or pushed.error else "" if pushed.is_rehearsal else "applied"
    yield f'<section class="plan" data-mapping="{_text(header.mapping)}" aria-labelledby="plan-{number}">\n'
    yield f'<h1 id="plan-{number}">{_text(header.mapping)}<span class="badge {kind}">{_text(where)}</span></h1>\n'
    facts = [
        ("", plan_shown.way(header)),
        ("plan", header.plan),
        ("checksum", header.checksum),
        ("made", terminal.moment(header.made_at)),
        *([("run", pushed.run)] if pushed.run else []),
        *([("puts back run", header.reverts)] if header.reverts else []),
    ]
    yield '<dl class="facts">' + "".join(_fact(name, value) for name, value in facts) + "</dl>\n"
    counts = [(name, count, words) for name, count, words in pushed.outcomes() if count]
    tiles = [("read", pushed.counts.read, "rows read"), *counts, *pushed.beside(), *pushed.edges()]
    yield '<ul class="counts">'
    yield "".join(f'<li class="{name}"><b>{count:,}</b> {_text(words)}</li>' for name, count, words in tiles)
    yield "</ul>\n"
    yield from _notices(shown)
    yield from _troubles(shown)
    yield from _left(shown)
    yield "</section>\n"


def _fact(name: str, value: str) -> str:
    mono = ' class="mono"' if name in ("plan", "checksum", "run", "puts back run") else ""
    label = f"<dt>{_text(name)}</dt>" if name else '<dt class="unseen">way</dt>'
    return f"<div>{label}<dd{mono}>{_text(value)}</dd></div>"


def _notices(shown: Shown) -> Iterator[str]:
    pushed = shown.pushed
    if pushed.error:
        yield f'<div class="notice" role="note"><h2 class="part">Failed</h2><p>{_text(pushed.error)}</p></div>\n'
    if pushed.trips:
        trips = "".join(f"<li>{_text(trip)}</li>" for trip in pushed.trips)
        refused = plan_shown.refused_by(pushed)
        look, force = plan_shown.ways_on(shown.header, program="syncer")
        way = "Look at it here; if it is right:" if pushed.is_too_large else "Look at it here, or again:"
        yield (
            f'<div class="notice" role="note"><h2 class="part">{refused[0].upper()}{refused[1:]}; nothing is written'
            f"</h2><ul>{trips}</ul>"
            f"<p>{way} <code>{_text(force if pushed.is_too_large else look)}</code></p></div>\n"
        )
    for note in dict.fromkeys([*shown.header.notes, *pushed.notes]):
        yield f'<p class="dim">{_text(note)}</p>\n'
    if shown.personal and not shown.shows_personal:
        yield (
            f'<p class="dim">Personal values are shown as {plan_shown.HIDDEN}; <code>--show-personal</code> shows '
            "them.</p>\n"
        )
    if shown.header.standing_rejects:
        yield (
            f'<p class="dim">{shown.header.standing_rejects:,} rows were rejected before, and are as they were: they '
            "stand in syncer.rejects.</p>\n"
        )


def _troubles(shown: Shown) -> Iterator[str]:
    found = shown.first_troubles(FIRST)
    for kind, head, what in _HEADS:
        first, total = found[kind]
        if not total:
            continue
        columns = ["record", "field", "why", *plan_shown.sides(shown.header)]
        columns = columns[:4] if kind == plan.REJECTED else columns
        yield f'<h2 class="part">{head}: {total:,} <span class="dim">{what}</span></h2>\n'
        yield f'<div class="scroll" tabindex="0" role="region" aria-label="{head}"><table><thead><tr>'
        yield "".join(f'<th scope="col">{name}</th>' for name in columns) + "</tr></thead><tbody>\n"
        yield from (_trouble(each) for each in first)
        yield "</tbody></table></div>\n"
        if total > len(first):
            yield f'<p class="dim">… and {total - len(first):,} more: choose them by outcome in the list below.</p>\n'


def _trouble(trouble: Trouble) -> str:
    problem = trouble.problem
    id = f' <span class="dim mono">{_text(trouble.id)}</span>' if trouble.id and trouble.id != trouble.key else ""
    key = f'<span class="value">{_text(trouble.key)}</span>' if trouble.key else '<span class="none">no key</span>'
    setting = f'<div class="dim">{_text(problem.setting)}</div>' if problem.setting else ""
    cells = [f"{key}{id}", _text(problem.field), _text(problem.reason) + setting]
    if problem.kind == plan.REJECTED:
        cells.append(_value(problem.ours) if problem.ours is not None else "")
    elif problem.field:
        never = '<span class="none">never</span>'
        cells += [
            _value(problem.ours),
            _value(problem.theirs),
            _value(problem.agreed) if problem.has_agreed else never,
        ]
    else:
        cells += ["", "", ""]
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>\n"


def _left(shown: Shown) -> Iterator[str]:
    left = sorted(shown.header.left_columns.items())
    if not left:
        return
    yield f'<details class="left"><summary>{terminal.counted(len(left), "column")} not pushed, and why</summary>\n'
    yield '<div class="scroll"><table><thead><tr><th scope="col">column</th><th scope="col">why</th></tr></thead>'
    yield "<tbody>"
    yield "".join(f'<tr><td class="mono">{_text(name)}</td><td>{_text(why)}</td></tr>' for name, why in left)
    yield "</tbody></table></div></details>\n"


def _value(value: str | None) -> str:
    if value is None:
        return '<span class="none">blank</span>'
    [short] = plan_shown.excerpt([value], 300)
    return f'<span class="value" dir="auto">{_text(short)}</span>'


def _text(value: object) -> str:
    """Write a text into HTML; what nobody can see, or what would turn the letters around, as its code."""
    lines = str(value).replace("\r\n", "\n").split("\n")
    return html.escape("\n".join(terminal.clean(line) for line in lines))


def _entries(shown: Shown, number: int) -> Iterator[dict[str, Any]]:
    """Yield what the list shows, under short names: `plan.js` reads them."""
    for change in shown.changes():
        yield {"m": number, **_change(change)}
    for trouble in shown.troubles():
        problem = trouble.problem
        agreed = problem.agreed if problem.has_agreed else NEVER
        sides: list[Any] = [problem.field, problem.ours, problem.theirs, agreed, problem.setting]
        sides += [plan_shown.sides(shown.header)] if shown.header.reverts is not None else []
        yield {"m": number, "o": problem.kind, "k": trouble.key, "i": trouble.id, "q": sides, "r": problem.reason}


def _change(change: Change) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "n": change.number,
        "a": change.action,
        "o": change.state,
        "k": f"{change.key} {change.title}" if change.title else change.key,
        "i": change.id,
        "f": [[name, edit.before, edit.after, edit.setting] for name, edit in plan.shown_fields(change).items()],
    }
    if change.edge is not None:
        entry |= {"e": plan_shown.end_of(change.edge), "t": plan_shown.type_of(change.edge)}
    if change.into is not None:
        entry["x"] = change.into
    if change.after:
        entry["p"] = list(change.after)
    if change.reason:
        entry["r"] = change.reason
    return entry


def _data(entries: Iterable[dict[str, Any]]) -> Iterator[str]:
    """Yield blocks of data. JSON in ASCII without `<`, `>` and `&`: nothing in it ends the block or begins a tag."""
    block: list[str] = []
    for entry in entries:
        block.append(as_json(entry).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))
        if len(block) == AT_ONCE:
            yield _block(block)
            block = []
    if block:
        yield _block(block)


def _block(items: Iterable[str]) -> str:
    return '<script type="application/json">[' + ",\n".join(items) + "]</script>\n"
