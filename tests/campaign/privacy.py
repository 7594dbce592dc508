"""How much masking finds on the labelled set (`tests/privacy_texts.py`), each kind, and how long it takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence

import attrs

from syncer.masking import E_MAIL, IBAN, IP, KINDS, PHONE, Mask, Names, Span, find_dialled
from tests.privacy_texts import HELD_OUT, PEOPLE, TEXTS, labels, plain

WANTED = {E_MAIL: 0.95, PHONE: 0.95, IBAN: 0.95, IP: 0.95}
PAGE_TEXTS, TEXT_CHARACTERS = 500, 1_000  # 100 records with 5 texts each


@attrs.define
class Score:
    """What was found of one kind."""

    labelled: int = 0
    hit: int = 0
    findings: int = 0
    right: int = 0
    missed: list[str] = attrs.field(factory=list)
    wrong: list[str] = attrs.field(factory=list)

    @property
    def recall(self) -> float:
        """The share of what is labelled that was found whole: no letter or digit of it is left."""
        return self.hit / self.labelled if self.labelled else 1.0

    @property
    def precision(self) -> float:
        """The share of the findings that are labelled, under any kind."""
        return self.right / self.findings if self.findings else 1.0


def scores(
    found_in: Callable[[str], Sequence[tuple[str, int, int]]], texts: Sequence[str] = TEXTS
) -> dict[str, Score]:
    """Score what a function finds in each text."""
    table = {kind: Score() for kind in KINDS}
    for labelled in texts:
        text, wanted = plain(labelled), labels(labelled)
        found = found_in(text)
        covered = {place for _, start, end in found for place in range(start, end)}
        for kind, start, end in wanted:
            score = table[kind]
            score.labelled += 1
            if all(place in covered for place in range(start, end) if text[place].isalnum()):
                score.hit += 1
            else:
                score.missed.append(text[start:end])
        for kind, start, end in found:
            score = table[kind]
            score.findings += 1
            if any(start < last and first < end for _, first, last in wanted):
                score.right += 1
            else:
                score.wrong.append(text[start:end])
    return table


def measured(texts: Sequence[str] = TEXTS) -> dict[str, Score]:
    """Score the mask as it is used."""
    mask = Mask(names=Names.of(PEOPLE))
    return scores(mask.spans, texts)


def _phones_of(find: Callable[[str], Iterable[Span]]) -> Callable[[str], Sequence[tuple[str, int, int]]]:
    return lambda text: [(PHONE, *span) for span in find(text)]


def compared() -> dict[str, Score]:
    """Score the ways to find telephone numbers, each alone: the library, its laxer form, our patterns, together."""
    import phonenumbers

    def library(leniency: int) -> Callable[[str], Iterable[Span]]:
        return lambda text: [
            (found.start, found.end) for found in phonenumbers.PhoneNumberMatcher(text, "NL", leniency)
        ]

    ways: dict[str, Callable[[str], Iterable[Span]]] = {
        "phonenumbers, valid": library(phonenumbers.Leniency.VALID),
        "phonenumbers, possible": library(phonenumbers.Leniency.POSSIBLE),
        "own patterns": find_dialled,
        "both": Mask().find_phones,
    }
    return {way: scores(_phones_of(find))[PHONE] for way, find in ways.items()}


def page() -> list[str]:
    """A page of texts as long as notes are, from the labelled set."""
    whole = " ".join(map(plain, TEXTS))
    filler = "De klant vraagt wanneer de centrale weer werkt, en of de factuur van vorige maand is aangepast. "
    texts = []
    for place in range(PAGE_TEXTS):
        start = place * 37 % (len(whole) - 200)
        texts.append((whole[start : start + 150] + " " + filler * 10)[:TEXT_CHARACTERS])
    return texts


def seconds_of(mask: Mask, texts: Sequence[str], rounds: int = 3) -> float:
    """The best time of some rounds."""
    best = float("inf")
    for _ in range(rounds):
        began = time.process_time()
        for text in texts:
            mask(text)
        best = min(best, time.process_time() - began)
    return best


def _lines_of(table: dict[str, Score]) -> list[str]:
    return [
        f"{kind}: recall {score.recall:.3f} ({score.hit} of {score.labelled}), precision {score.precision:.3f} "
        f"({score.right} of {score.findings}); missed {score.missed}, wrong {score.wrong}"
        for kind, score in table.items()
    ]


def lines() -> list[str]:
    """The report."""
    told = []
    for name, sentences in (("labelled", TEXTS), ("held out", HELD_OUT)):
        told.append(f"{name}: {len(sentences)} texts")
        told += _lines_of(measured(sentences))
    told += [
        f"{way}: recall {score.recall:.3f}, precision {score.precision:.3f}; missed {score.missed}, "
        f"wrong {score.wrong}"
        for way, score in compared().items()
    ]
    texts = page()
    quiet = [text.translate({ord(digit): "x" for digit in "0123456789@:"}) for text in texts]
    for what, mask, some in (
        ("dense with findings", Mask(), texts),
        ("the same, with names", Mask(names=Names.of(PEOPLE)), texts),
        ("one text in ten of those, the others plain", Mask(), [*texts[::10], *quiet[: len(quiet) * 9 // 10]]),
        ("with nothing to find", Mask(), quiet),
    ):
        told.append(
            f"{PAGE_TEXTS} texts of {TEXT_CHARACTERS} characters, {what}: {seconds_of(mask, some) * 1e3:.1f} ms"
        )
    return told


def campaign(*, is_short: bool) -> int:
    """Print the report; 1 where a kind is found too seldom."""
    print("\n".join(lines()))
    found = measured()
    return int(any(found[kind].recall < share for kind, share in WANTED.items()))
