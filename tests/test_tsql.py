"""
Our statements in T-SQL: each is read by sqlglot's T-SQL reader, and means on a stand-in, which compares texts as T-SQL
does, what it means on DuckDB. `servers/tsql.py` says what that does not prove.
"""

from __future__ import annotations

import datetime as dt
import time
from typing import Any

import duckdb
import pyodbc
import pytest
import sqlglot

from syncer import sql
from syncer.errors import WarehouseError
from syncer.odbc import tsql
from syncer.odbc.exactly import COLLATION
from syncer.tables import Column, Table
from syncer.values import BIGINT, TEXT, TIMESTAMP
from syncer.warehouses import Warehouse
from tests.servers.meaning import to_duckdb
from tests.servers.things import NOON, TEXTS, THINGS, prepared, things
from tests.servers.tsql import MACROS, Cursor, StandIn

pytest_plugins = ["tests.servers.fixtures"]

N = "CAST([n] AS NVARCHAR(MAX)) COLLATE Latin1_General_100_BIN2"

# Rendering.


@pytest.mark.parametrize(
    ("text", "rendered"),
    [
        (
            'UPDATE load.t AS b SET "x" = s."x", d = ? FROM batch AS s WHERE b.id = s.id AND b.d < ?',
            "UPDATE [b] SET [x] = [s].[x], [d] = ? FROM [load].[t] AS [b] CROSS JOIN [#batch] AS [s] WHERE "
            "([b].[id] = [s].[id] AND DATALENGTH([b].[id]) = DATALENGTH([s].[id])) AND [b].[d] < ?",
        ),
        ("DELETE FROM load.t AS b WHERE b.n IS NULL", "DELETE [b] FROM [load].[t] AS [b] WHERE [b].[n] IS NULL"),
        (
            "SELECT a IS DISTINCT FROM b OR c IS DISTINCT FROM 1 AS x FROM load.t",
            "SELECT CAST(CASE WHEN EXISTS(SELECT [a], DATALENGTH([a]), [c] EXCEPT SELECT [b], DATALENGTH([b]), 1) "
            "THEN 1 ELSE 0 END AS BIT) AS [x] FROM [load].[t]",
        ),
        (
            "SELECT 1 FROM load.t WHERE a IS NOT DISTINCT FROM b",
            "SELECT 1 FROM [load].[t] WHERE NOT (EXISTS(SELECT [a], DATALENGTH([a]) EXCEPT SELECT [b], "
            "DATALENGTH([b])))",
        ),
        (
            "SELECT COUNT(*) FROM load.t WHERE TRUE AND NOT known AND (a < b) IS NOT TRUE",
            "SELECT COUNT_BIG(*) FROM [load].[t] WHERE 1 = 1 AND NOT [known] = 1 AND NOT CASE WHEN ([a] < [b]) THEN 1 "
            "ELSE 0 END = 1",
        ),
        (
            "SELECT k FROM load.t WHERE k IN (?, 'x')",
            "SELECT [k] FROM [load].[t] WHERE (([k] = ? AND ? IN (-1, DATALENGTH([k]))) OR ([k] = N'x' AND "
            "DATALENGTH([k]) = DATALENGTH(N'x')))",
        ),
        (
            "SELECT DISTINCT k FROM load.t AS t WHERE k > ? ORDER BY k LIMIT 5",
            "SELECT TOP 5 [k] FROM [load].[t] AS [t] WHERE (DATALENGTH([k]) <> 0 AND (? = 0 OR [k] > ? OR "
            "([k] = ? AND DATALENGTH([k]) > ? AND ? >= 0))) GROUP BY [k], DATALENGTH([k]) "
            "ORDER BY [k], DATALENGTH([k])",
        ),
        (
            "SELECT CAST(n AS TEXT) FROM load.t WHERE CAST(n AS TEXT) > ? ORDER BY CAST(n AS TEXT), 1 LIMIT 5",
            f"SELECT TOP 5 {N} FROM [load].[t] WHERE (DATALENGTH({N}) <> 0 AND (? = 0 OR {N} > ? OR ({N} = ? AND "
            f"DATALENGTH({N}) > ? AND ? >= 0))) ORDER BY {N}, DATALENGTH({N}), 1",
        ),
        (
            "SELECT a || '/' || CAST(n AS TEXT), NULL, 'x' FROM load.t WHERE r LIKE ? || '%'",
            "SELECT [a] + N'/' + CAST([n] AS NVARCHAR(MAX)) COLLATE Latin1_General_100_BIN2, "
            "CAST(NULL AS NVARCHAR(1)), "
            "N'x' COLLATE Latin1_General_100_BIN2 FROM [load].[t] WHERE [r] LIKE REPLACE(? + N'%', N'[', N'[[]')",
        ),
        (
            "SELECT v.* FROM (SELECT n FROM load.t ORDER BY n) AS v (m) JOIN load.u AS u ON u.n > v.m",
            "SELECT [v].* FROM (SELECT [n] FROM [load].[t]) AS [v]([m]) JOIN [load].[u] AS [u] ON [u].[n] > [v].[m]",
        ),
        (
            "SELECT 1 FROM load.t WHERE a NOT LIKE 'x%'",
            "SELECT 1 FROM [load].[t] WHERE NOT ([a] LIKE REPLACE(N'x%', N'[', N'[[]'))",
        ),
        ("SELECT TRIM(k), RTRIM(k) FROM load.t", "SELECT LTRIM(RTRIM([k])), RTRIM([k]) FROM [load].[t]"),
        (
            "SELECT q.* INTO d FROM (WITH c AS (SELECT n FROM load.t ORDER BY n) SELECT n FROM c ORDER BY n) AS q",
            "WITH [c] AS (SELECT [n] AS [n] FROM [load].[t]) SELECT [q].* INTO [#d] FROM (SELECT [n] AS [n] FROM [c]) "
            "AS [q]",
        ),
        (
            "INSERT INTO load.u SELECT q.* FROM (WITH c AS (SELECT n FROM load.t WHERE n > ?) SELECT n FROM c) AS q",
            "WITH [c] AS (SELECT [n] AS [n] FROM [load].[t] WHERE [n] > ?) INSERT INTO [load].[u] "
            "SELECT [q].* FROM (SELECT [n] AS [n] FROM [c]) AS [q]",
        ),
        (
            "SELECT u.* FROM (SELECT n FROM load.t UNION ALL SELECT n FROM load.u ORDER BY n) AS u",
            "SELECT [u].* FROM (SELECT [n] FROM [load].[t] UNION ALL SELECT [n] FROM [load].[u]) AS [u]",
        ),
        (
            "SELECT u.n FROM (SELECT n FROM load.t ORDER BY n LIMIT 5) AS u /* it's ? */ ORDER BY u.n -- what's ?",
            "SELECT [u].[n] FROM (SELECT TOP 5 [n] AS [n] FROM [load].[t] ORDER BY [n], DATALENGTH([n])) "
            "AS [u] ORDER BY [u].[n]",
        ),
        ('INSERT INTO load.t ("a]b") VALUES (TRUE)', "INSERT INTO [load].[t] ([a]]b]) VALUES (CAST(1 AS BIT))"),
    ],
)  # fmt: skip
def test_what_t_sql_says_otherwise(text: str, rendered: str) -> None:
    """Each form that only newer servers have, or none, is written in one that all have."""
    assert str(tsql.render(text)) == rendered
    sqlglot.parse_one(rendered, read="tsql", error_level=sqlglot.ErrorLevel.RAISE)


def test_keys_are_walked_from_the_empty_text_whatever_they_begin_with() -> None:
    """A tab stands before a blank, and the empty text has blanks behind it there; a key with a tab comes after it."""
    keys = ["\tx", "\n", "a", "a\t", "a ", "b"]
    database = duckdb.connect()
    database.execute(MACROS)
    database.execute("CREATE SCHEMA load; CREATE TABLE load.t (k VARCHAR)")
    database.executemany("INSERT INTO load.t VALUES (?)", [[key] for key in keys])
    rendered = tsql.render("SELECT t.k FROM load.t AS t WHERE t.k > ? ORDER BY t.k LIMIT 2")
    text = to_duckdb(str(rendered)).replace('ORDER BY "t"."k"', """ORDER BY rpad("t"."k", 50, ' ')""")
    met: list[str] = []
    after = ""
    while True:
        given = [len(after.encode("utf-16-le")) if slot.is_bytes else after for slot in rendered.slots]
        found = [row[0] for row in database.execute(text, given).fetchall()]
        if not found:
            break
        met += found
        after = found[-1]
        assert len(met) <= len(keys)
    assert sorted(met) == sorted(keys)


def test_a_hash_is_of_each_value_whole() -> None:
    """
    Its length, the bytes of a number, and those of a text of any length, NULL apart: a cast to varbinary(8000) cuts.
    """
    text = "CAST([s].[a] AS nvarchar(max))"
    assert str(tsql.render(f"SELECT {tsql.ROW_HASH}(s.a) AS h FROM batch AS s")) == (
        f"SELECT (CONVERT(nvarchar(16), SUBSTRING(HASHBYTES('SHA2_256', COALESCE(CAST(DATALENGTH({text}) AS "
        f"binary(8)) + CAST([s].[a] AS varbinary(8000)) + CAST({text} AS varbinary(max)), 0xFF)), 1, 8), 2) COLLATE "
        "Latin1_General_100_BIN2) AS [h] FROM [#batch] AS [s]"
    )


def test_a_mark_in_a_comment_is_no_parameter() -> None:
    """Nor does a quote in one begin a text: what a person wrote above must not move our parameters."""
    rendered = tsql.render("SELECT 1 FROM (SELECT n FROM load.t -- it's ?\n) AS q WHERE q.n = ? /* ? */ AND q.m = ?")
    assert [int(slot) for slot in rendered.slots] == [0, 0, 1, 1] and "it's" not in rendered


def test_several_letters_are_not_trimmed_at_once() -> None:
    """A server before 2022 cannot; an error is better than another text."""
    with pytest.raises(ValueError, match="trims one letter"):
        tsql.render("SELECT TRIM(a, 'xy') FROM load.t")


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("SELECT q.* INTO syncer.copy FROM (SELECT 1 AS a) AS q", "syncer.copy"),
        ("SELECT q.* INTO d FROM (SELECT 1 AS a) AS q", ""),
        ("INSERT INTO load.u SELECT q.* FROM (WITH c AS (SELECT 1 AS a) SELECT a FROM c) AS q", "load.u"),
    ],
)
def test_what_a_statement_writes_to_is_known(text: str, target: str) -> None:
    """Its lock is taken, and its commit has a number."""
    assert tsql.render(text).target == target


def test_not_in_of_a_query_is_refused() -> None:
    """It has no exact form where a NULL may be among the rows: a silent difference is worse than an error."""
    with pytest.raises(ValueError, match="write NOT EXISTS"):
        tsql.render("SELECT 1 FROM load.t WHERE a NOT IN (SELECT b FROM load.u)")


def update_and_hash_of(number_of_columns: int) -> tuple[str, str]:
    columns = [f"c{number}" for number in range(number_of_columns)]
    setting = ", ".join(f'"{column}" = s."{column}"' for column in columns)
    return (
        f"UPDATE load.t AS b SET {setting} FROM batch AS s WHERE b.id = s.id AND ({sql.differs('b', 's', columns)})",
        f"SELECT {tsql.ROW_HASH}({sql.names(columns, of='s')}) AS h FROM batch AS s",
    )


def cpu_of_rendering(text: str) -> float:
    """The least of three, in CPU of this process, since other processes are not its business."""

    def once() -> float:
        began = time.process_time()
        tsql.render.__wrapped__(text)
        return time.process_time() - began

    return min(once() for _ in range(3))


def test_rendering_grows_with_the_columns_not_with_their_square() -> None:
    """A thousand columns against a hundred: 10 times the work is the best there is, 100 would be the square."""
    for many, few in zip(update_and_hash_of(1_000), update_and_hash_of(100), strict=True):
        assert cpu_of_rendering(many) < 50 * cpu_of_rendering(few)


def test_a_missing_right_is_told_with_what_to_run(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    """LOAD is a reserved word of T-SQL: without brackets the advice would be refused."""
    execute = Cursor.execute

    def refused(self: Cursor, text: str, parameters: Any = ()) -> Cursor:
        if text.startswith("CREATE SCHEMA"):
            raise pyodbc.ProgrammingError("42000", "[42000] [FreeTDS][SQL Server]Denied. (262) (SQLExecDirectW)")
        return execute(self, text, parameters)

    monkeypatch.setattr(Cursor, "execute", refused)
    with pytest.raises(WarehouseError) as told, warehouse.transaction() as t:
        t.create(THINGS)
    assert "CREATE SCHEMA [load] AUTHORIZATION" in str(told.value.hint)


# Meaning: the same on DuckDB and on the stand-in, whose `=`, `<>`, `>`, EXCEPT and GROUP BY ignore blanks at the end.

QUERIES: list[tuple[str, list[Any]]] = [
    *[(f"SELECT b.id, s.id FROM load.things AS b JOIN s AS s ON {condition}", []) for condition in (
        "b.k = s.k", "b.k <> s.k", "b.k IS DISTINCT FROM s.v", "b.k IS NOT DISTINCT FROM s.v",
        "NOT (b.k = s.v)", "(b.k = s.k) IS NOT TRUE", "(b.moment < s.moment) IS NOT TRUE",
        "b.id = s.id AND (b.k IS DISTINCT FROM s.k OR b.v IS DISTINCT FROM s.v OR b.moment IS DISTINCT FROM s.moment)",
        "b.id = s.id AND NOT (b.v IS DISTINCT FROM s.v OR b.k <> s.k)", "b.k IN (s.k, 'A')",
        "STARTS_WITH(b.k, s.k || '/')", "b.k = s.v OR STARTS_WITH(b.k, s.v || '/')",
        "CAST(b.id AS TEXT) || '/' || REPLACE(b.k, '/', '~1') = CAST(s.id AS TEXT) || '/' || s.k",
    )],
    *[(f"SELECT id FROM load.things AS b WHERE {condition}", [text]) for text in TEXTS for condition in (
        "b.k = ?", "b.k <> ?", "b.k IS DISTINCT FROM ?", "NOT b.k = ?", "b.k IN (?)", "STARTS_WITH(b.k, ?)",
    )],
    ("SELECT id FROM load.things WHERE k = '' AND v <> ''", []),
    ("SELECT id FROM load.things WHERE moment >= ? AND id >= ?", [NOON, 3]),
    ("SELECT id FROM load.things WHERE k IN (SELECT x.v FROM s AS x WHERE x.id > 2 OR x.id = 1)", []),
    ("SELECT id FROM load.things AS b WHERE b.k IN (SELECT x.v FROM s AS x WHERE x.k = '😀 ')", []),
    ("SELECT DISTINCT k FROM load.things", []),
    ("SELECT k, COUNT(*), MAX(id) FROM (SELECT k, id FROM load.things) AS d GROUP BY k", []),
    ("SELECT id, EXISTS (SELECT 1 FROM s AS s WHERE s.k = b.v) AS x, b.id < 3 AS y, TRUE AS z "
     "FROM load.things AS b", []),
    ("SELECT id, ROW_NUMBER() OVER (PARTITION BY k ORDER BY id DESC) AS n FROM load.things", []),
    ("SELECT SPLIT_PART(k, '/', 1) AS a, SPLIT_PART(k, '/', 2) AS b, SPLIT_PART(k, '/', 3) AS c FROM load.things", []),
    ("SELECT SUM(CASE WHEN k = '' OR v = '' THEN 1 ELSE 0 END) AS n, COALESCE(MAX(v), '') AS m FROM load.things", []),
    ("SELECT id FROM load.things WHERE k LIKE ? || '%'", ["a"]),
    ("SELECT id FROM load.things WHERE k LIKE ? || '%'", ["a["]),
    ("SELECT id FROM load.things WHERE k NOT LIKE 'a%'", []),
    ("SELECT id, '<' || TRIM(k) || '>' AS a, '<' || LTRIM(k) || '>' AS b, '<' || RTRIM(k) || '>' AS c "
     "FROM load.things", []),
    ("SELECT id, '<' || RTRIM(RTRIM(k || ' 1.500', '0'), '5') || '>' AS a, '<' || TRIM(k || 'a', 'a') || '>' AS b, "
     "'<' || LTRIM(k, 'a') || '>' AS c, NULLIF(TRIM(k), '') AS d FROM load.things", []),
    ("SELECT id, k NOT LIKE 'A%' AS x FROM load.things WHERE k ILIKE 'A%' OR v NOT ILIKE 'a%'", []),
    ("WITH c AS (SELECT k, id FROM load.things ORDER BY id) SELECT r.k FROM (WITH d AS (SELECT k FROM c) "
     "SELECT k FROM d ORDER BY k) AS r ORDER BY r.k -- it's all", []),
    ("SELECT COUNT(*) FROM s AS s WHERE s.moment IS NULL AND s.j IS NOT NULL", []),
]  # fmt: skip


def test_a_query_finds_what_it_finds_on_duckdb(warehouse: Warehouse, embedded: Warehouse) -> None:
    """`a` is neither `A` nor `a `, NULL is unknown, an emoji a letter; a parameter may be any of them."""
    prepared(warehouse)
    prepared(embedded)
    with warehouse.transaction() as there, embedded.transaction() as here:
        for t in (there, here):
            t.stage("s", things(TEXTS, shift=2), THINGS.types())
        for text, parameters in QUERIES:
            found, wanted = (sorted(map(repr, t.rows(sql.statement(text), parameters))) for t in (there, here))
            assert found == wanted, (text, parameters)


@pytest.mark.parametrize(
    "key", ["w.k", sql.key_text("w", ["k"], THINGS.types()), sql.key_text("w", ["j", "k"], THINGS.types())]
)
def test_going_on_behind_a_key_meets_every_key(warehouse: Warehouse, key: str) -> None:
    """
    A census pages by key, and what treats loaded rows by the text of several: one that differs by a blank at its end
    comes on the next page, if not on this one.
    """
    prepared(warehouse)
    whole = sql.statement(f"SELECT DISTINCT {key} AS k FROM load.things AS w WHERE {key} <> ''")
    kind = "DISTINCT" if key == "w.k" else ""
    met: list[str] = []
    with warehouse.transaction() as t:
        while found := t.rows(
            sql.statement(f"SELECT {kind} {key} FROM load.things AS w WHERE {key} > ? ORDER BY {key} LIMIT 1"),
            [met[-1] if met else ""],
        ):
            met += [row[0] for row in found]
        assert sorted(met) == sorted(row[0] for row in t.rows(whole)) != []
    assert key != "w.k" or sorted(met) == sorted(text for text in TEXTS if text)


def test_an_upsert_writes_what_it_writes_on_duckdb(warehouse: Warehouse, embedded: Warehouse) -> None:
    """Rows that differ by a blank, by a capital, or by a microsecond, and no others."""
    update, insert = sql.upsert_from(THINGS, "s", list(THINGS.types()))
    counts = []
    for each in (warehouse, embedded):
        prepared(each)
        with each.transaction() as t:
            t.stage("s", things([*TEXTS, "new"], shift=1), THINGS.types())
            counts.append((t.run(update), t.run(insert), t.run(update)))
    assert counts[0] == counts[1]
    rows = sql.statement("SELECT id, k, v, moment, j FROM load.things ORDER BY id")
    with warehouse.transaction() as there, embedded.transaction() as here:
        assert there.rows(rows) == here.rows(rows)


def test_a_hash_and_a_cast_are_written_in_words_that_are_rendered(warehouse: Warehouse) -> None:
    """A blank at the end is another row; what is no number, and no moment, is NULL."""
    texts = ["17", "-3", "", "-", "x1", "2026-01-31T09:30:00Z", "2026-01-31T09:30:00.5+0200", "2026", None]
    with warehouse.transaction() as t:
        t.stage("s", things([*TEXTS, *texts]), THINGS.types())
        hashes = t.rows(sql.statement(f"SELECT {t.row_hash('s', ['k'])} AS h FROM s AS s"))
        assert len({each for (each,) in hashes}) == len({*TEXTS, *texts})
        query = f"SELECT {t.try_cast('s.k', BIGINT)} AS n FROM s AS s WHERE s.k IN ('17', '-3', '', '-', 'x1')"
        assert sorted(t.rows(sql.statement(query)), key=repr) == [(-3,), (17,), (None,), (None,), (None,), (None,)]
        query = f"SELECT {t.try_cast('s.k', TIMESTAMP)} AS m FROM s AS s WHERE s.k IN ('2026', '2026-01-31T09:30:00Z')"
        assert sorted(t.rows(sql.statement(query)), key=repr) == [
            (None,),
            (dt.datetime(2026, 1, 31, 9, 30, tzinfo=dt.UTC),),
        ]


# What is sent for a query that is saved, or whose columns are asked, and for a comment.


def test_a_saved_table_is_made_before_its_rows_are_put_in(warehouse: Warehouse, stand_in: StandIn) -> None:
    """Where there are parameters, whose types a driver would guess; under the lock of what is written."""
    prepared(warehouse)
    copy = Table(schema="syncer", name="copy_1", columns=())
    with warehouse.transaction() as t:
        query = sql.statement(
            "WITH w AS (SELECT b.id, b.k, ? AS x FROM load.things AS b ORDER BY b.id) SELECT * FROM w;"
        )
        began = len(stand_in.server.sent)
        assert t.save(copy, query, ["x"]) == len(TEXTS)
    sent = stand_in.server.sent[began:]
    wanted = (
        "write syncer'",
        "DROP TABLE IF EXISTS [syncer].[copy_1]",
        "SELECT [q].* INTO [syncer].[copy_1] FROM",
        "INSERT INTO [syncer].[copy_1] SELECT [q].* FROM",
        "SELECT COUNT(*) FROM",
    )
    places = [next(place for place, text in enumerate(sent) if part in text) for part in wanted]
    assert places == sorted(places)
    made, put = sent[places[2]], sent[places[3]]
    assert made.startswith("WITH [w] AS (") and made.endswith("CROSS JOIN (SELECT 1 AS [n]) AS [one] WHERE 1 = 0")
    assert f"CAST(NULL AS nvarchar(max)) COLLATE {COLLATION} AS [x]" in made and "?" not in made
    assert put.startswith("WITH [w] AS (") and put.count("?") == 1
    assert any("[syncer].[commits]" in text for text in sent[places[4] :])


def test_the_columns_of_a_query_are_asked_of_any_server(warehouse: Warehouse, stand_in: StandIn) -> None:
    """By a result without rows: what describes a query on a SQL Server is not there on others."""
    prepared(warehouse)
    with warehouse.transaction() as t:
        query = "WITH w AS (SELECT * FROM load.things ORDER BY id) SELECT * FROM w ORDER BY id; -- it's all"
        assert t.query_columns(sql.statement(query)) == {**THINGS.types(), "j": TEXT}
    assert stand_in.server.sent[-1] == (
        "WITH [w] AS (SELECT * FROM [load].[things]) SELECT * FROM (SELECT * FROM [w]) AS [asked] WHERE 1 = 0"
    )


def test_a_read_of_columns_leaves_no_number(warehouse: Warehouse, stand_in: StandIn) -> None:
    """It writes nothing; a table that is dropped is a write."""
    prepared(warehouse)
    before = stand_in.rows("SELECT number FROM syncer.commits")
    with warehouse.transaction() as t:
        t.query_columns(sql.statement("SELECT * FROM load.things AS b"))
    assert stand_in.rows("SELECT number FROM syncer.commits") == before
    with warehouse.transaction() as t:
        t.drop(Table(schema="load", name="kept", columns=()))
    assert any("sp_getapplock" in text and "write load.kept'" in text for text in stand_in.server.sent)
    assert stand_in.rows("SELECT number FROM syncer.commits") != before


@pytest.mark.parametrize(
    ("comment", "kept"),
    [
        ("x" * 3_750, "x" * 3_750),
        ("x" * 3_751, "x" * 3_749 + "…"),
        ("😀" * 1_875, "😀" * 1_875),
        ("😀" * 1_876, "😀" * 1_874 + "…"),
        ("x" + "😀" * 1_875, "x" + "😀" * 1_874 + "…"),
        ("x\0\ud83dy", "x\ufffd\ufffdy"),
    ],
)
def test_a_comment_is_cut_by_what_the_server_counts(warehouse: Warehouse, comment: str, kept: str) -> None:
    """7,500 bytes of UTF-16: an emoji has four, and half of one is no letter."""
    prepared(warehouse)
    with warehouse.transaction() as t:
        t.comment(THINGS, Column("v", TEXT, comment))
        assert t.comments(THINGS) == {"v": kept}
        assert len(kept.encode("utf-16-le")) <= 7_500
