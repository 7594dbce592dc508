"""
Masking: what names a person inside free text is replaced by a token: `[e-mail]`, `[iban]`, `[ip]`, `[phone]`,
`[name]`.

E-mail addresses and IP addresses are patterns of our own, an IP address checked by `ipaddress`. An IBAN is a pattern
whose country's length, structure and check digits `python-stdnum` knows. Telephone numbers are found by `phonenumbers`
(Google's metadata of every country's numbers) and by a few patterns for what it leaves out; docs/personal-data.md says
what was measured. Names are those that somebody hands over: a name that nobody knows of is not found.

Not here: which fields are masked (`privacy.py`).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Iterator, Sequence

import attrs

E_MAIL, IBAN, IP, PHONE, NAME = "e-mail", "iban", "ip", "phone", "name"
KINDS = (E_MAIL, IBAN, IP, PHONE, NAME)
_OF_DIGITS = (IBAN, PHONE)  # an IPv6 address may have none
REGIONS = ("NL",)  # where a number without a country's code is dialled

Span = tuple[int, int]

# A letter, digit or _ of any script, as in addresses beyond ASCII (RFC 6531); `%40` is @ inside a URL.
_AT = re.compile(r"@|%40|\uff20")
_BEFORE_AT = re.compile(r"(?:\"[^\"\n@]{1,64}\"|[\w.!#$%&'*+/=?^`{|}~-]+) ?$")
_BEHIND_AT = re.compile(
    r" ?(?:(?:[\w-]+\.)+(?:xn--[a-z0-9-]+|[^\W\d_]{2,63})(?![^\W_]|-\w)|\[[0-9a-f:.]+\])", re.IGNORECASE
)
_LONGEST_LOCAL = 66  # characters before the @, RFC 5321, and room for quotes
_E_MAIL_SPELLED = re.compile(
    r"[\w.+-]{1,64} ?[(\[{] ?(?:at|apenstaartje) ?[)\]}] ?"
    r"[\w-]+(?: ?(?:\.|[(\[{] ?(?:dot|punt|punkt) ?[)\]}]) ?[\w-]+)+",
    re.IGNORECASE,
)
_SPELLED = re.compile(r"[(\[{] ?[Aa][TtPp]")
# What begins with a set of letters is searched fast, what begins with a look behind is not: that comes second.
_DIGIT = re.compile(r"[0-9]")
_IPV4 = re.compile(r"[0-9](?<![\w.][0-9])[0-9]{0,2}(?:\.[0-9]{1,3}){3}(?!\.?\w)")
_COLONS = re.compile(r":[0-9A-Fa-f]{0,4}:")
_IPV6 = re.compile(
    r"(?:(?<![0-9A-Za-z_:.])[0-9A-Fa-f]{1,4}|(?<!:)):(?:[0-9A-Fa-f]{0,4}:){1,8}[0-9A-Fa-f.]{0,16}(?![\w:])"
)
_GAP = r"[ \u00a0\u2009\u202f.\-]?"
_IBAN = re.compile(rf"[0-9]{{2}}(?:{_GAP}[A-Za-z0-9]){{11,30}}")  # behind the country's two letters
_COUNTRY = re.compile(rf"(?:(?<![A-Za-z0-9])[A-Za-z]{{2}}|(?<![A-Z0-9])[A-Z]{{2}}){_GAP}$")
_IBAN_SHAPE = re.compile(r"[A-Z]{2}\d{2}[A-Z]{4}\d{10,16}")  # so telling that wrong check digits are a slip of the pen
_IBAN_LENGTHS = range(34, 14, -1)
# The SWIFT registry's lengths of the countries met most; of another, every length is tried.
_LENGTH_OF = {
    country: length
    for length, countries in {
        15: "NO", 16: "BE", 18: "DK FI NL", 19: "MK SI", 20: "AT BA EE LT LU", 21: "CH HR LI LV",
        22: "BG DE GB GE IE ME RS", 23: "AE GI IL", 24: "AD CZ ES MD PK RO SA SE SK TN", 25: "PT", 26: "IS TR",
        27: "FR GR IT MC SM", 28: "AL AZ CY HU LB PL", 31: "MT",
    }.items()
    for country in countries.split()
}  # fmt: skip
# Seven digits or more with little between them; the slow search looks at nothing else.
_DIGITS = re.compile(
    r"[+\uff0b(\[0-9][+(\[0-9]{0,2}(?:[ \t\u00a0\u2009\u202f().\[\]/\-\u2010-\u2015+*]{0,4}[0-9]){6,}"
)
_AROUND = 12  # characters on both sides that the search may look at: they tell a price or a date from a number
_DIALLED = re.compile(
    r"(?<![\w.,/+-])(?:"
    r"(?:\+|00)[1-9](?:[ \u00a0().\-/\u2010-\u2015]{0,3}\d){7,13}"  # international, any country
    r"|\(?0[1-9]\d{0,3}\)?(?:[ \u00a0()/.\-\u2010-\u2015]{0,3}\d){5,9}"  # from 0, as in most of Europe
    r"|(?:1[ .-])?(?:\(\d{3}\) ?|\d{3}[.-])\d{3}[.-]\d{4}"  # North America
    r")(?!\w)(?!-\d)"
)
_FEWEST_LISTED = 8
# The slow search takes 10 µs a character of digits and little between them that are no number: of one text it looks at
# so many in vain, and at a run as long as that in pieces, which have the longest number in common.
_MOST_IN_VAIN, _PIECE, _LONGEST_LISTED = 40_000, 1_000, 48
_FEWEST_DIGITS, _MOST_DIGITS = 9, 15  # of what is dialled: E.164, and a number from 0
_DATE = re.compile(r"(?<!\d)(?:\d{4}([-./])\d\d?\1\d\d?|\d\d?([-./])\d\d?\2\d{4})(?!\d)")
_WORD = re.compile(r"[^\W\d_][^\W_]*(?:['\u2019][^\W\d_]+)*")
_SHORTEST_PART = 3
_FEW_WORDS = 30  # up to so many it is faster to look for each
# Parts of many names, and words of their own.
_PARTICLES = frozenset(
    [
        "van",
        "von",
        "der",
        "den",
        "del",
        "des",
        "dos",
        "het",
        "ten",
        "ter",
        "the",
        "and",
        "bin",
        "ibn",
        "abu",
        "san",
        "las",
        "los",
        "dit",
        "dat",
        "een",
        "met",
        "aan",
        "bij",
        "uit",
    ]
)
_FIRST_MARK = 0xE000  # private use: stands for a token until all kinds were looked for
_MARKED = re.compile("([\ue000-\ue004])\\1*")


@attrs.frozen
class Names:
    """
    Known names, found by their words: a whole name however it is written, and each part of it of three letters or more
    where it has a capital, so that "mark as done" is not taken for Mark.
    """

    # By the first word: of how many words the names are, longest first, and the names.
    whole: dict[str, tuple[tuple[int, ...], frozenset[tuple[str, ...]]]] = attrs.field(factory=dict)
    parts: frozenset[str] = frozenset()
    words: frozenset[str] = frozenset()  # all of them: a text without any of these has no name

    @classmethod
    def of(cls, names: Iterable[str]) -> Names:
        """Take names in."""
        whole: dict[str, set[tuple[str, ...]]] = {}
        parts: set[str] = set()
        known: set[str] = set()
        for name in names:
            words = tuple(word.casefold() for word in _WORD.findall(name))
            if not words or sum(map(len, words)) < _SHORTEST_PART:
                continue
            if len(words) > 1:
                whole.setdefault(words[0], set()).add(words)
            known.update(words)
            parts.update(word for word in words if len(word) >= _SHORTEST_PART and word not in _PARTICLES)
        ordered = {
            first: (tuple(sorted(set(map(len, found)), reverse=True)), frozenset(found))
            for first, found in whole.items()
        }
        return cls(ordered, frozenset(parts), frozenset(known))

    def __bool__(self) -> bool:
        return bool(self.words)

    def find(self, text: str) -> Iterator[Span]:
        """Yield where *text* has one of the names."""
        if not self._may_be_in(text.casefold()):
            return
        words = list(_WORD.finditer(text))
        folded = [word[0].casefold() for word in words]
        at = 0
        while at < len(words):
            length = self._length(text, words, folded, at)
            if length:
                yield words[at].start(), words[at + length - 1].end()
            at += length or 1

    def _may_be_in(self, folded: str) -> bool:
        if len(self.words) <= _FEW_WORDS:
            return any(word in folded for word in self.words)
        return not self.words.isdisjoint(_WORD.findall(folded))

    def _length(self, text: str, words: Sequence[re.Match[str]], folded: Sequence[str], at: int) -> int:
        """Return of how many words the name is that begins with the word *at*; 0: none does."""
        lengths, names = self.whole.get(folded[at], _NO_NAMES)
        for length in lengths:
            end = at + length
            name = tuple(folded[at:end])
            if name in names and all(
                _is_close(text[one.end() : two.start()])
                for one, two in zip(words[at : end - 1], words[at + 1 : end], strict=True)
            ):
                return len(name)
        return 1 if folded[at] in self.parts and text[words[at].start()].isupper() else 0


_NO_NAMES: tuple[tuple[int, ...], frozenset[tuple[str, ...]]] = ((), frozenset())


def _is_close(between: str) -> bool:
    return len(between) <= 2 and "\n" not in between


NOBODY = Names()


@attrs.frozen
class Mask:
    """Replaces what it finds. `regions`: two-letter codes of countries whose numbers are dialled without a code."""

    regions: tuple[str, ...] = REGIONS
    names: Names = NOBODY

    def __call__(self, text: str, also: Names = NOBODY) -> str:
        """Return *text* with tokens; *also* are names known for this text alone."""
        marked = self._marked(text, also)
        return text if marked is text else _MARKED.sub(lambda run: f"[{_kind_of(run)}]", marked)

    def spans(self, text: str, also: Names = NOBODY) -> list[tuple[str, int, int]]:
        """Return what would be replaced: kind, start and end."""
        return [(_kind_of(run), *run.span()) for run in _MARKED.finditer(self._marked(text, also))]

    def _marked(self, text: str, also: Names) -> str:
        """Put a mark for its kind in the place of each letter that was found; *text* itself where nothing was."""
        has_digits = _DIGIT.search(text) is not None
        for kind, find in self._finders(also):
            if kind in _OF_DIGITS and not has_digits:
                continue
            pieces, at = [], 0
            for start, end in find(text):
                pieces += [text[at:start], chr(_FIRST_MARK + KINDS.index(kind)) * (end - start)]
                at = end
            if pieces:
                text = "".join([*pieces, text[at:]])
        return text

    def _finders(self, also: Names) -> Iterator[tuple[str, Callable[[str], Iterable[Span]]]]:
        """Each kind and its search, in an order in which none takes a piece of another's."""
        yield E_MAIL, find_e_mails
        yield IBAN, find_ibans
        yield IP, find_ips
        yield PHONE, self.find_phones
        if self.names:
            yield NAME, self.names.find
        if also:
            yield NAME, also.find

    def find_phones(self, text: str) -> Iterator[Span]:
        """Yield where *text* has a telephone number."""
        return merged(self._phones(text))

    def _phones(self, text: str) -> Iterator[Span]:
        left = _MOST_IN_VAIN
        for run in _DIGITS.finditer(text):
            start = run.start()
            for dialled in (*find_dialled(text, *run.span()), None):
                end = dialled[0] if dialled else run.end()
                for piece in _pieces(start, end):
                    if left > 0 and _may_be_listed(text[slice(*piece)]):
                        found = list(self.find_listed(text, *piece))
                        left -= 0 if found else piece[1] - piece[0]
                        yield from found
                if dialled:
                    yield dialled
                    start = dialled[1]

    def find_listed(self, text: str, start: int, end: int) -> Iterator[Span]:
        """Yield the numbers between *start* and *end* that are valid in one of the regions, by `phonenumbers`."""
        import phonenumbers

        first = max(0, start - _AROUND)
        window = text[first : end + _AROUND]
        for region in self.regions:
            for found in phonenumbers.PhoneNumberMatcher(window, region):
                if start <= found.start + first and found.end + first <= end:
                    yield found.start + first, found.end + first


def _pieces(start: int, end: int) -> Iterator[Span]:
    """Cut a long run."""
    yield start, min(end, start + _PIECE)
    while start + _PIECE < end:
        start += _PIECE - _LONGEST_LISTED
        yield start, min(end, start + _PIECE)


def _may_be_listed(run: str) -> bool:
    """Tell whether a run has digits enough for a number, without those of dates."""
    return sum(map(str.isdigit, _DATE.sub("", run))) >= _FEWEST_LISTED


def _kind_of(run: re.Match[str]) -> str:
    return KINDS[ord(run[0][0]) - _FIRST_MARK]


def find_e_mails(text: str) -> Iterator[Span]:
    """Yield where *text* has an e-mail address."""
    found: list[Span] = []
    has_at = "@" in text or "%40" in text or "\uff20" in text
    for at in _AT.finditer(text) if has_at else ():
        before = _BEFORE_AT.search(text[max(0, at.start() - _LONGEST_LOCAL) : at.start()])
        behind = _BEHIND_AT.match(text, at.end())
        if before and behind:
            found.append((at.start() - len(before[0]), behind.end()))
    if _SPELLED.search(text):
        found += map(re.Match.span, _E_MAIL_SPELLED.finditer(text))
    return merged(found)


def find_ibans(text: str) -> Iterator[Span]:
    """Yield where *text* has an IBAN: a valid one, or what is shaped so much like one that a digit must be wrong."""
    at = 0
    while run := _IBAN.search(text, at):
        at = run.start() + 2
        country = _COUNTRY.search(text[max(0, run.start() - 4) : run.start()])
        if country:
            start = run.start() - len(country[0])
            end = _end_of_iban(text, start, run.end())
            if end:
                yield start, end
                at = end


def _end_of_iban(text: str, start: int, last: int) -> int:
    """Return where the IBAN ends that begins at *start*; 0: there is none."""
    places = [place for place in range(start, last) if text[place].isalnum()]
    known = _LENGTH_OF.get("".join(text[place] for place in places[:2]).upper())
    for length in (known,) if known else _IBAN_LENGTHS:
        if length <= len(places):
            bare = "".join(text[place] for place in places[:length]).upper()
            end = places[length - 1] + 1
            if is_valid_iban(bare) or (not text[end : end + 1].isalnum() and _IBAN_SHAPE.fullmatch(bare)):
                return end
    return 0


def is_valid_iban(bare: str) -> bool:
    """Tell whether letters and digits are an IBAN of a country that has them."""
    digits = "".join(str(int(letter, 36)) for letter in bare[4:] + bare[:4])
    if int(digits) % 97 != 1:  # cheap, and wrong for nearly everything
        return False
    import stdnum.iban

    return bool(stdnum.iban.is_valid(bare, check_country=False))


def find_ips(text: str) -> Iterator[Span]:
    """Yield where *text* has an IPv4 or IPv6 address; the version 1.2.3.4 is one, too: nothing tells them apart."""
    found: list[Span] = []
    if text.count(".") >= 3:
        runs = _IPV4.finditer(text)
        found += [run.span() for run in runs if all(int(part) < 256 for part in run[0].split("."))]
    if _COLONS.search(text):
        for run in _IPV6.finditer(text):
            start, end = run.span()
            if text[start] == ":" and text[start : start + 2] != "::":  # `IP:2001:…`
                start += 1
            elif text[start] == ":" and text[:start][-1:].isalnum():  # `std::dec`
                continue
            end = start + len(text[start:end].rstrip("."))
            if text[start:end].endswith(":") and not text[start:end].endswith("::"):
                end -= 1
            if _is_ipv6(text[start:end]):
                found.append((start, end))
    yield from merged(found)


def _is_ipv6(address: str) -> bool:
    try:
        ipaddress.IPv6Address(address)
    except ValueError:
        return False
    return address != "::"


def find_dialled(text: str, start: int = 0, end: int | None = None) -> Iterator[Span]:
    """Yield what is written as one dials it, whether or not such a number is given out."""
    last = len(text) if end is None else end
    for run in _DIALLED.finditer(text, start, min(len(text), last + 2)):
        digits = sum(map(str.isdigit, run[0]))
        if _FEWEST_DIGITS <= digits <= _MOST_DIGITS and not _DATE.search(run[0]):
            yield run.span()


def merged(spans: Iterable[Span]) -> Iterator[Span]:
    """Put spans that overlap together, in their order."""
    last: Span | None = None
    for start, end in sorted(spans):
        if last is not None and start < last[1]:
            last = last[0], max(end, last[1])
            continue
        if last is not None:
            yield last
        last = start, end
    if last is not None:
        yield last
