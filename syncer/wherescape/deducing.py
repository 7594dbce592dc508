"""
What a load table, or a stage table, is for: deduced from its name, by whole words.

    load_jira_issues, load_jira_issue        jira.issues
    load_hubspot_voys_companies              hubspot.companies of the environment voys
    stage_company_voys                       the same, where no other source has companies
    load_gitlab_merge_request_commit         gitlab.merge_request_commits: what is named by more words goes first

A name that fits two mappings, or none, is refused: the host script then says which. What it leaves out then, the
environment, is told by the words beside the mapping all the same (`environment_of`): else rows of one account would go
into another one's. Pure: which mappings and environments there are is given.

Not here: what the names of legacy streams are (`legacy.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

import attrs

from syncer.errors import UsageError
from syncer.mapping import EntityMapping
from syncer.settings import DEFAULT_ENVIRONMENT
from syncer.wherescape.legacy import STREAMS

PREFIXES = ("load", "stage")
PULL, PUSH = "pull", "push"  # the verbs of host scripts that a name is read for
_APART = re.compile(r"[^a-z0-9]+")
_EXACT, _FORM, _LEGACY = range(3)  # how well a name fits; the lower, the better
NAMED = 6  # mappings that an error names

Words = tuple[str, ...]


@attrs.frozen(kw_only=True)
class _Fit:
    """A mapping that a table's name fits, and the words that it leaves: an environment, or nothing."""

    mapping: EntityMapping
    length: int  # words of the name that name the entity
    rank: int
    left: Words
    environment: str | None = None  # None: it leaves words, and they name none


def deduce(
    table_name: str,
    mappings: Iterable[EntityMapping],
    environments: Iterable[str] = (),
    *,
    absent: Mapping[str, str] | None = None,
    verb: str = "",
) -> tuple[EntityMapping, str]:
    """
    Return the mapping that a table is of, and the environment.

    table_name: with or without its schema. environments: those that the site knows; the default one has no word.
    absent: parameters of RED that would have made an environment known, by its words (`spare_words`).
    verb: what the host script calls, for what an error says; empty: told by the table's prefix.

    Raises: UsageError: the name fits several mappings, or none; or it names an environment that nobody knows.
    """
    words = _words(table_name.rpartition(".")[2])
    known = {_words(name): name for name in environments}
    fits = [attrs.evolve(fit, environment=_environment(fit.left, known)) for fit in _fits(words, list(mappings))]
    whole = [fit for fit in fits if fit.environment is not None]
    best = min(((-fit.length, fit.rank) for fit in whole), default=None)
    found = {
        (fit.mapping.name, fit.environment): fit
        for fit in whole
        if best is not None and (-fit.length, fit.rank) == best
    }
    if len(found) == 1:
        only = next(iter(found.values()))
        return only.mapping, str(only.environment)
    longest = max((fit.length for fit in fits), default=0)
    candidates = list(found.values()) or [fit for fit in fits if fit.length == longest]
    named = [name for name in known.values() if name != DEFAULT_ENVIRONMENT]
    raise _refused(table_name, candidates, named, absent or {}, verb or _verb_of(table_name))


def environment_of(
    table_name: str,
    mapping: EntityMapping,
    mappings: Sequence[EntityMapping],
    environments: Iterable[str],
    *,
    absent: Mapping[str, str],
    verb: str,
) -> str:
    """
    Return the environment that a table's name tells of, where the host script said the mapping and nothing more.

    mappings: words of their entities tell of none (`stage_deal_contact` is of deals, says the script). A push wants to
    know what every other word is. A pull, whose table may be called anything, passes by words that can be no account:
    it refuses an environment among others, and words beside the entity that would be one if what is *absent* were set.

    Raises: UsageError: there are words of which nobody knows whether they are an account.
    """
    known = {_words(name): name for name in environments}
    lefts, is_of_it = _beside(table_name, mapping)
    plain = [_without_entities(left, mappings) for left in lefts]
    named = [name for name in known.values() if name != DEFAULT_ENVIRONMENT]
    inside = [name for name in named if any(_places(left, _words(name)) for left in lefts)]
    for left in (*lefts, *plain):
        found = _environment(left, known)
        if found is not None and (left in lefts or found in inside or not inside):
            return found
    if verb == PULL and not inside and not (is_of_it and any("_".join(left) in absent for left in plain)):
        return DEFAULT_ENVIRONMENT
    raise _no_environment(table_name, mapping.name, plain, named, absent, verb, offered=inside)


def spare_words(
    table_name: str, mappings: Iterable[EntityMapping], *, source: str, said: EntityMapping | None = None
) -> set[str]:
    """
    Return what a table's name may have as an environment of *source*: words beside an entity, with _ between.

    said: the mapping that the host script said; where the name has no word of it, each run of words may be one.
    """
    listed = list(mappings)
    if said is None:
        fits = _fits(_words(table_name.rpartition(".")[2]), listed)
        return {"_".join(fit.left) for fit in fits if fit.left and fit.mapping.source == source}
    if said.source != source:
        return set()
    lefts, is_of_it = _beside(table_name, said)
    if is_of_it:
        runs = [*lefts, *(_without_entities(left, listed) for left in lefts)]
    else:
        runs = [left[at:to] for left in lefts for at in range(len(left)) for to in range(at + 1, len(left) + 1)]
    return {"_".join(run) for run in runs if run}


def names_ours(table_name: str, mappings: Sequence[EntityMapping]) -> bool:
    """Tell whether a table's name has the words of a source or of an entity; else it is none of ours."""
    words = _words(table_name.rpartition(".")[2])
    sources = {_words(mapping.source) for mapping in mappings}
    return any(_places(words, source) for source in sources) or any(True for _ in _fits(words, mappings))


def _fits(words: Words, mappings: Sequence[EntityMapping]) -> Iterator[_Fit]:
    """Yield each way in which a name fits a mapping; where it names a source, only that source's."""
    words = _without_prefix(words)
    named = [
        (source, words[:at], words[at + len(_words(source)) :])
        for source in {mapping.source for mapping in mappings}
        for at in _places(words, _words(source))
    ]
    for mapping in mappings:
        rests = [(before, behind) for source, before, behind in named if source == mapping.source]
        for before, behind in rests if named else [((), words)]:
            for form, rank in _forms(mapping).items():
                for at in _places(behind, form):
                    left = (*before, *behind[:at], *behind[at + len(form) :])
                    yield _Fit(mapping=mapping, length=len(form), rank=rank, left=left)


def _beside(table_name: str, mapping: EntityMapping) -> tuple[list[Words], bool]:
    """
    Return what a name leaves beside a mapping, the best reading first, and whether it has the mapping's entity: else
    all of its words are left but those of the source.
    """
    words = _words(table_name.rpartition(".")[2])
    bare = _without(_without_prefix(words), [_words(mapping.source)])  # the source may stand anywhere: it is said
    for each in (words, bare):
        fits = sorted(_fits(each, [mapping]), key=lambda fit: (-fit.length, fit.rank))
        if fits:
            return list(dict.fromkeys(fit.left for fit in fits)), True
    return [bare], False


def _without_entities(words: Words, mappings: Iterable[EntityMapping]) -> Words:
    return _without(words, {form for mapping in mappings for form in _forms(mapping)})


def _without(words: Words, forms: Iterable[Words]) -> Words:
    """Return words without all places of some forms, the longest ones first."""
    for form in sorted(forms, key=lambda form: (-len(form), form)):
        while places := _places(words, form):
            words = (*words[: places[0]], *words[places[0] + len(form) :])
    return words


def _without_prefix(words: Words) -> Words:
    return words[1:] if words[:1] and words[0] in PREFIXES else words


def _forms(mapping: EntityMapping) -> dict[Words, int]:
    """Return the names of a mapping's entity, and how well each fits: its own, in one or many, its legacy stream's."""
    own = _words(mapping.entity)
    found: dict[Words, int] = {}
    for stream in STREAMS:
        if stream.mapping == mapping.name:
            found |= dict.fromkeys(_numbers(_words(stream.name)), _LEGACY)
    return {**found, **dict.fromkeys(_numbers(own), _FORM), own: _EXACT}


def _numbers(words: Words) -> list[Words]:
    """Return words whose last one is in the singular and in the plural; some that nobody says are among them."""
    *before, last = words
    forms = {last}
    if last.endswith("ies"):
        forms.add(f"{last[:-3]}y")
    if last.endswith("es"):
        forms.add(last[:-2])
    if last.endswith("s") and not last.endswith("ss"):
        forms.add(last[:-1])
    else:
        forms |= {f"{last}s", f"{last}es", *([f"{last[:-1]}ies"] if last.endswith("y") else [])}
    return [(*before, form) for form in sorted(forms) if form]


def _places(words: Words, wanted: Words) -> list[int]:
    """Return where *wanted* begins in *words*."""
    return [at for at in range(len(words) - len(wanted) + 1) if words[at : at + len(wanted)] == wanted]


def _environment(left: Words, known: dict[Words, str]) -> str | None:
    return known.get(left) if left else DEFAULT_ENVIRONMENT


def _words(name: str) -> Words:
    return tuple(word for word in _APART.split(name.lower()) if word)


def _verb_of(table_name: str) -> str:
    return PUSH if _words(table_name.rpartition(".")[2])[:1] == ("stage",) else PULL


def call(verb: str, name: str, environment: str = "") -> str:
    """Write the line of a host script that says a mapping, and its environment where that is not empty."""
    return f'wherescape.{verb}("{name}"' + (f', environment="{environment}")' if environment else ")")


def _refused(
    table_name: str, candidates: Sequence[_Fit], environments: Sequence[str], absent: Mapping[str, str], verb: str
) -> UsageError:
    """Say why a name tells nothing, and how to say it."""
    names = sorted({fit.mapping.name for fit in candidates})
    if not names:
        example = call(verb, "hubspot.companies" if verb == PUSH else "jira.issues")
        return UsageError(
            f"The name of the table {table_name} fits no mapping{' that goes out' if verb == PUSH else ''}.",
            hint=f"Say in the host script which one it is, such as {example}; `syncer list` "
            "has all names. A name that tells it by itself is load_SOURCE_ENTITY.",
        )
    if len(names) > 1:
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        told = {fit.mapping.name: fit.environment or "" for fit in candidates}
        calls = [call(verb, name, "" if told[name] == DEFAULT_ENVIRONMENT else told[name]) for name in names[:NAMED]]
        return UsageError(
            f"The name of the table {table_name} fits {', '.join(names[:NAMED])}{more}.",
            hint=f"Say in the host script which one it is: {' or '.join(calls)}.",
        )
    lefts = [fit.left for fit in candidates]
    return _no_environment(table_name, names[0], lefts, environments, absent, verb)


def _no_environment(
    table_name: str,
    name: str,
    lefts: Sequence[Words],
    environments: Sequence[str],
    absent: Mapping[str, str],
    verb: str,
    *,
    offered: Sequence[str] = (),
) -> UsageError:
    """Say which words of a name are no environment, which ones there are, and how to say it."""
    left = sorted({"_".join(left) for left in lefts}, key=len)
    known = ", ".join(sorted(environments)) or "none but the default one"
    lacking = sorted({absent[words] for words in left if words in absent})
    sought = f" RED has no parameter {' or '.join(lacking)}." if lacking else ""
    calls = " or ".join(call(verb, name, each) for each in (*offered, DEFAULT_ENVIRONMENT))
    return UsageError(
        f"The table {table_name} is of {name}, and {left[0]!r} in its name is no environment. Known: {known}.{sought}",
        hint=f"{'Set it, name' if lacking else 'Name'} the environment in syncer.toml, or say in the host script: "
        f"{calls}.",
    )
