"""
The words that generated Jira records are made of: names and sentences in several scripts, and what breaks parsers.

Own inventions; the texts have braces, percent signs, quotes, emoji outside the basic plane, right-to-left script and a
zero-width space on purpose.
"""

from __future__ import annotations

import random
from typing import Any

PEOPLE = (
    "Mia de Vries",
    "Łukasz Żółć",
    "Søren Ångström",
    "Zoë O'Neill",
    "陈小明",
    "佐藤 花子",
    "Ольга Иванова",
    "محمد علي",
    "דנה כהן",
    "Nguyễn Thị Hạnh",
    "José-María Núñez",
    "Μαρία Παπαδοπούλου",
    "किरण शर्मा",
    "김민준",
    "Ada {admin} Lovelace",
    "Robin “Bob” Smith 🚀",
    "İpek Yılmaz",
    "x",
    "Former user",
    "Anneliese von und zu Löwenstein-Wertheim-Rosenberg",
)

PROJECTS = (
    "Customer portal",
    "Vernieuwing telefonie",
    "数据平台",
    "Finance & control",
    "Мобильное приложение",
    "Support {tier 2}",
    "Ops 🛠️",
    "Website",
    "Interne IT",
    "Proof of concept (old)",
)

SUBJECTS = (
    "Login page",
    "Factuurrun",
    "导出功能",
    "VoIP gateway",
    "Отчёт по продажам",
    "The {customer_name} placeholder",
    "CSV import",
    "Nightly job 100%",
    "Zoekindex",
    "API: /v2/users?q=a&b=c",
    "“Quoted” label",
    "Emoji picker 🧑‍💻",
    "\u200bZero-width title",
    "تقرير شهري",
)

TROUBLES = (
    "gives a 500",
    "is traag sinds maandag",
    "fails for users with ' in their name",
    "の表示が崩れる",
    "должен поддерживать UTF-8",
    "needs a second look",
    "C:\\temp\\new is not found",
    "shows {0} instead of the name",
    "loses the last row",
    "👍 werkt nu",
    "takes > 30 s; should be < 2 s",
)

WORDS = (
    "After the release the page stays empty.",
    "Zie ook de eerdere melding; de oorzaak lijkt dezelfde.",
    "按照文档操作后仍然失败。",
    "Логи приложены.",
    "It happens only when {id} is missing, or 0.",
    'The answer was {"error": null}.',
    "Tab\tand newline\nin one text.",
    "Kunnen we dit vrijdag oppakken?",
    "😀😅🇳🇱 fixed on staging",
    "SELECT 'x' -- not an attack",
    "يرجى التحقق من السجل.",
)

CUSTOMERS = ("Bäckerei Müller", "株式会社サンプル", "{customer}", "ООО «Ромашка»")

LABELS = ("frontend", "backend", "bug-bash", "klant", "重要", "quick_win", "2026-Q1", "tech-debt", "needs:info")


def summary(rng: random.Random) -> str:
    """Return a summary."""
    return f"{rng.choice(SUBJECTS)} {rng.choice(TROUBLES)}"


def document(rng: random.Random, sentences: int) -> dict[str, Any]:
    """Return an ADF document of *sentences* sentences, now and then with a mention, an emoji, a list or a card."""
    content = [_paragraph(rng) for _ in range(sentences)]
    dice = rng.random()
    if dice < 0.1:
        items = [{"type": "listItem", "content": [_paragraph(rng)]} for _ in range(2)]
        content.append({"type": "bulletList", "content": items})
    elif dice < 0.16:
        code = {"type": "text", "text": "for x in {}:\n    print('%s' % x)"}
        content.append({"type": "codeBlock", "attrs": {"language": "python"}, "content": [code]})
    elif dice < 0.2:
        content.append({"type": "blockCard", "attrs": {"url": "https://wiki.sandbox.invalid/x?y=1"}})
    return {"type": "doc", "version": 1, "content": content}


def _paragraph(rng: random.Random) -> dict[str, Any]:
    content: list[dict[str, Any]] = [{"type": "text", "text": rng.choice(WORDS)}]
    dice = rng.random()
    if dice < 0.08:
        who = rng.choice(PEOPLE)
        content.append({"type": "mention", "attrs": {"id": "5b10a2844c20165700ede21g", "text": f"@{who}"}})
    elif dice < 0.14:
        content.append({"type": "emoji", "attrs": {"shortName": ":smile:", "id": "1f604", "text": "😄"}})
    elif dice < 0.18:
        content += [{"type": "hardBreak"}, {"type": "text", "text": "vet", "marks": [{"type": "strong"}]}]
    elif dice < 0.2:
        content.append({"type": "inlineCard", "attrs": {"url": "https://wiki.sandbox.invalid/pages/7"}})
    return {"type": "paragraph", "content": content}
