"""
The words that a generated portal is made of: names in several scripts, and what breaks parsers.

Own inventions; they hold braces, semicolons, quotes, percent signs, emoji, right-to-left script on purpose.
"""

from __future__ import annotations

COMPANIES = (
    "Bakkerij De Zon",
    "Noorderlicht Telecom",
    "Van der Meer & Zn.",
    "Société Générale du Café",
    "Müller Kältetechnik GmbH",
    "Żółw Software",
    "Ångström Optik AB",
    "北京晨星科技",
    "株式会社さくら",
    "ООО «Северный ветер»",
    "شركة النور",
    "חברת אורן",
    "Ελληνικά Πλοία",
    "한빛 물산",
    'O\'Neill "Fresh" Foods',
    "100% Groen {beheer}",
    "Pixel 🚀 Studio",
    "A;B Consultancy",
    "Zuid-Holland Logistiek",
    "Test company (do not use)",
)
CITIES = (
    ("Groningen", "NL", "9711"),
    ("Rotterdam", "NL", "3011"),
    ("'s-Hertogenbosch", "NL", "5211"),
    ("München", "DE", "80331"),
    ("Łódź", "PL", "90-001"),
    ("Malmö", "SE", "211 20"),
    ("東京", "JP", "100-0001"),
    ("São Paulo", "BR", "01000-000"),
    ("Αθήνα", "GR", "105 52"),
)
PEOPLE = (
    ("Mia", "de Vries"),
    ("Łukasz", "Żak"),
    ("Søren", "Ångström"),
    ("Zoë", "O'Brien"),
    ("小明", "陈"),
    ("花子", "佐藤"),
    ("Ольга", "Иванова"),
    ("محمد", "علي"),
    ("דנה", "כהן"),
    ("José-María", "Núñez"),
    ("Μαρία", "Παππά"),
    ("민준", "김"),
    ("Robin “Bob”", "Smith 🚀"),
    ("İpek", "Yılmaz"),
    ("x", ""),
    ("Anneliese", "von und zu Hohenfels-Wartenberg"),
)
SUBJECTS = (
    "Uitbreiding VoIP",
    "Renewal {year}",
    "Factuur klopt niet",
    "導入のご相談",
    "Не работает телефон",
    "Portering 050-number",
    "Line drops after 100%\u00a0load",
    'RE: RE: FW: "Offerte"',
    "Toestellen; 12 stuks",
    "New office 🏢",
)
BODIES = (
    "<p>Called about the invoice.<br>Will call back.</p>",
    "<div>Klant wil <b>per direct</b> opzeggen &amp; terugbellen</div>",
    "<p>価格を送りました。</p>",
    "No answer",
    "<p>Встреча перенесена на пятницу</p>",
    "<ul><li>quote sent</li><li>waits for {customer}</li></ul>",
    "",
)
STREETS = ("Dorpsstraat", "Hauptstraße", "Stationsplein", "Kungsgatan", "Rue de l'Église", "中央通り")
OWNERS = (
    ("Iris", "Bakker"),
    ("Jan-Willem", "Óskarsson"),
    ("Fatima", "El Amrani"),
    ("Bram", "van 't Hof"),
    ("久美子", "田中"),
    ("Gone", "Colleague"),
    ("", ""),
)
