"""
The words of a generated GitLab: people, groups, titles, descriptions, branch names, commit messages.

They are meant to be awkward where real ones are: several scripts, emoji, braces, quotes, percent signs, a leading
slash, Windows line ends, a very long text, an empty one, none.
"""

from __future__ import annotations

import random
from datetime import timedelta

PEOPLE: tuple[tuple[str, str, float], ...] = (  # name, username, offset from UTC in hours
    ("Ada de Boer", "ada.deboer", 2),
    ("Zoë van 't Hoff", "zoe", 2),
    ("Łukasz Wiśniewski", "lwisniewski", 2),
    ("Nguyễn Thị Ánh", "anh.nguyen", 7),
    ("李小龍", "xiaolong", 8),
    ("Наталья Смирнова", "nsmirnova", 3),
    ("محمد الأحمد", "m_alahmad", 3),
    ("Søren Ångström", "soren", 1),
    ("Priya Raghunathan", "priya-r", 5.5),
    ("山田 太郎", "taro.yamada", 9),
    ("O'Brien, Siobhán", "siobhan", 0),
    ("Renovate 🤖 Bot", "renovate-bot", 0),
    ("José María Núñez", "jmnunez", -3),
    ("Ωmega Παπαδόπουλος", "omega", 2),
    ("Kapil {Dev}", "kapil", -7),
    ("Wiremu Te Kōpua", "wiremu", 12),
)
GROUPS: tuple[tuple[str, str, str | None], ...] = (  # name, path, path of the parent
    ("Platform", "platform", None),
    ("Data & Analytics", "data", None),
    ("Web Apps", "web", None),
    ("Mobile", "mobile", None),
    ("Infrastructure", "infra", "platform"),
    ("Billing 💶", "billing", "platform"),
    ("Warehouse", "warehouse", "data"),
    ("Kunden & Portale", "portals", "web"),
    ("Terraform", "terraform", "platform/infra"),
)
SUBJECTS = (
    "client", "portal", "billing-api", "ingest", "reports", "telemetry", "gateway", "design-system", "scheduler",
    "docs", "ansible", "android", "ios", "search", "mailer", "exports", "auth", "metrics", "importer", "website",
)  # fmt: skip
VERBS = ("Fix", "Add", "Remove", "Refactor", "Document", "Bump", "Speed up", "Deprecate", "Translate", "Retry")
THINGS = (
    "the time-out of nightly exports",
    "paging when rows change",
    "Ümlaute in file names",
    "日本語のエラーメッセージ",
    "rounding of € amounts (50%)",
    "the `{{ user.name }}` template",
    "{placeholder} left in mails",
    "the log-in redirect 🚪",
    '"quoted" column names',
    "O'Brien's address book",
    "поиск по кириллице",
    "خطأ في التقويم",
    "null milestones",
    "C:\\temp paths on Windows",
    "<b>markup</b> & entities",
    "a race between two workers",
)
LABELS = (
    "bug", "feature", "docs", "good first issue", "priority::1", "priority::2", "workflow::in dev", "workflow::done",
    "Déjà vu", "安全", "🔥 hot", "a,b", "customer",
)  # fmt: skip
BRANCH_STEMS = ("feature/", "fix/", "hotfix/", "renovate/", "release-", "", "spike/")
JOINED = "\U0001f469\u200d\U0001f4bb"  # two emoji that a joiner makes one
RELEASE_NOTES = ("", "## Changes\n\n- faster\n- fewer bugs 🐛", "Première version")


def offset_of(person: int) -> timedelta:
    """Return how far a person's clock is from UTC."""
    return timedelta(hours=PEOPLE[person % len(PEOPLE)][2])


def title(rng: random.Random) -> str:
    """Return the title of an issue or merge request."""
    return f"{rng.choice(VERBS)} {rng.choice(THINGS)}"


def description(rng: random.Random) -> tuple[str | None, tuple[int, int]]:
    """Return a description, and how many tasks it lists and how many of them are done."""
    dice = rng.random()
    if dice < 0.15:
        return (None, (0, 0)) if dice < 0.08 else ("", (0, 0))
    if dice < 0.30:
        done = rng.randrange(4)
        boxes = "\n".join(f"- [{'x' if n < done else ' '}] {rng.choice(THINGS)}" for n in range(4))
        return f"### Tasks\n\n{boxes}\n", (4, done)
    if dice < 0.33:
        return "\r\n".join([f"{title(rng)}."] * rng.randint(40, 80)), (0, 0)
    if dice < 0.36:
        return f"/close is not meant here {{{{ {title(rng)} }}}} %s %(name)s \\u0000 \t{JOINED}", (0, 0)
    return f"{title(rng)}.\n\nSeen in `{rng.choice(SUBJECTS)}`: {rng.choice(THINGS)}.", (0, 0)


def labels(rng: random.Random) -> list[str]:
    """Return some labels, sorted as the API sorts them."""
    return sorted(rng.sample(LABELS, rng.choice((0, 0, 1, 1, 2, 3))))


def branch_name(rng: random.Random, number: int) -> str:
    """Return a branch name that *number* makes unique."""
    words = rng.choice(SUBJECTS)
    return f"{rng.choice(BRANCH_STEMS)}{number}-{words}{rng.choice(('', '', '-é', '-修正', '+x', '#1', '%20'))}"


def message(rng: random.Random) -> str:
    """Return a commit message: a title, often a body, sometimes trailers."""
    dice = rng.random()
    text = title(rng)
    if dice < 0.6:
        return f"{text}\n"
    if dice < 0.9:
        return f"{text}\n\nBecause of {rng.choice(THINGS)}.\n"
    return f"{text}\n\nBecause of {rng.choice(THINGS)}.\n\nSigned-off-by: {PEOPLE[0][0]} <ada@example.com>\n"
