"""A message names what somebody must mend where they have to mend it: in RED, or in what the site itself set."""

from __future__ import annotations

from pathlib import Path

import pytest

from syncer.errors import SyncerError
from syncer.outward import PushFailed
from syncer.wherescape.connections import Connections
from syncer.wherescape.environment import read
from syncer.wherescape.hosting import Host
from syncer.wherescape.inred import InRed
from syncer.wherescape.sitting import Sitting

RED = {"WSL_META_DSN": "red_dev", "WSL_TGT_DSN": "a", "WSL_SRCCFG_url": "b"}


@pytest.fixture(autouse=True)
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No syncer.toml."""
    monkeypatch.chdir(tmp_path)


def field(name: str) -> str:
    return f"the field {name} (WSL_SRCCFG_{name}) of the source connection"


@pytest.mark.parametrize(
    ("source", "text", "wanted"),
    [
        ("jira", "SYNCER_JIRA_URL", field("url").replace("the", "The", 1)),
        ("jira", "set SYNCER_JIRA_USER.", f"set {field('user')}."),
        ("jira", "a. SYNCER_JIRA_TOKEN", f"a. {field('apikey').replace('the', 'The', 1)}"),
        ("jira", "the token in SYNCER_GITLAB_TOKEN", "the token in SYNCER_GITLAB_TOKEN"),
        ("jira", "SYNCER_JIRA_START, SYNCER_WAREHOUSE", "SYNCER_JIRA_START, WSL_TGT_DSN"),
        ("anythingllm", "in SYNCER_ANYTHINGLLM_EMBED", f"in {field('user')}"),
        ("hubspot", "in SYNCER_HUBSPOT_TOKEN", "in RED's parameter hubspot_access_token_dev"),
        ("", "SYNCER_WAREHOUSE_USER or SYNCER_WAREHOUSE_PASSWORD", "WSL_TGT_USER or WSL_TGT_PWD"),
    ],
)
def test_a_variable_has_red_s_name(source: str, text: str, wanted: str) -> None:
    """Where RED handed its value over, or would."""
    assert InRed.of(read(RED), [(source, "default")]).said(text) == wanted


def test_what_the_site_set_keeps_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless RED's value goes before it."""
    for name in ("JIRA_URL", "JIRA_TOKEN", "HUBSPOT__VOYS_TOKEN", "WAREHOUSE_USER"):
        monkeypatch.setenv(f"SYNCER_{name}", "c")
    words = InRed.of(read(RED), [("jira", "default"), ("hubspot", "voys")])
    for name in ("SYNCER_JIRA_TOKEN", "SYNCER_HUBSPOT__VOYS_TOKEN", "SYNCER_WAREHOUSE_USER"):
        assert words.said(name) == name
    assert words.said("in SYNCER_JIRA_URL") == f"in {field('url')}"
    words = InRed.of(read({**RED, "WSL_TGT_USER": "d", "WSL_SRCCFG_apikey": "e"}), [("hubspot", "voys")])
    assert words.said("in SYNCER_HUBSPOT__VOYS_TOKEN") == f"in {field('apikey')}"
    assert words.said("SYNCER_WAREHOUSE_USER") == "WSL_TGT_USER"


def test_an_error_is_retold_and_stays_what_it_is() -> None:
    """Its kind and exit code are those that a script may look for."""
    error: SyncerError = PushFailed("SYNCER_WAREHOUSE", runs=[], hint="Set SYNCER_WAREHOUSE.", exit_code=4)
    InRed.of(read(RED), []).retell(error)
    assert (str(error), error.exit_code, error.args) == ("WSL_TGT_DSN Set WSL_TGT_DSN.", 4, ("WSL_TGT_DSN",))


def test_a_refused_login_is_mended_in_red() -> None:
    """Words about connection strings help nobody there."""
    error = SyncerError("refused.", hint="Check SYNCER_WAREHOUSE_USER and SYNCER_WAREHOUSE_PASSWORD, or UID and PWD.")
    InRed.of(read(RED), []).retell(error)
    assert error.hint == "Check WSL_TGT_USER and WSL_TGT_PWD: user and password of RED's target connection."


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Wait for it (--wait), or", "Wait for it (wait_s=…), or"),
        ("its own (--environment NAME), or", 'its own (environment="NAME"), or'),
        ("the --full of 2026", "the pull(full=True) of 2026"),
        ("--full reads them.", "pull(full=True) reads them."),
        ("pull with --full, which", "pull with full=True, which"),
        ("look, then --census --force", "look, then pull(census=True, force=True)"),
        ("left; `syncer pull a.b --full --environment voys` does it anew", "left; `pull(full=True)` does it anew"),
        ("waits: --plan 0123456789ab.", 'waits: plan="0123456789ab".'),
        ("as it stands; --plan with", "as it stands; plan=… with"),
        ("--plan, --first, --require-clean goes", "plan=…, first=…, require_clean=True goes"),
        ("`--dry-run --plan` with", "`dry_run=True, plan=…` with"),
        ("force=True (--force) goes; give plan= (--plan)", "force=True goes; give plan="),
        ('plan="a", force=True (--plan a --force) applies', 'plan="a", force=True applies'),
        ("--require-clean: 2 rejected", "require_clean=True: 2 rejected"),
    ],
)
def test_an_option_is_a_verbs_argument(text: str, wanted: str) -> None:
    """A host script has no command line."""
    assert InRed().said(text) == wanted


@pytest.mark.parametrize(
    "text",
    [
        "`syncer status --rejects` names their records",
        "`syncer run hubspot.create_properties --dry-run` shows it",
        "`syncer pull NAME` makes it",
        "--output json has all, --fully, a--full, ----full, -- full",
        '["notify", "--quietly"]',
        "1 column of x",
    ],
)
def test_what_is_for_a_shell_stays(text: str) -> None:
    """So does what no verb has."""
    assert InRed().said(text) == text


def test_what_a_plan_shows_of_records_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """A text with an option in it is a record's, and would be sent as it is."""
    host, red = Host({}), read(RED)
    told: list[str] = []
    monkeypatch.setattr(Host, "note", lambda _, outcome: told.extend(outcome.details))
    Sitting(host, red, Connections(red)).ended(0, "", details=("--full",), plan=("subject: --full",))
    assert told == ["pull(full=True)", "subject: --full"]


def test_what_a_verb_came_to_is_told_in_red_s_words() -> None:
    """Also where nothing failed: a note on a token that ends in a week names where it stands."""
    host, red = Host({}), read(RED)
    here = Sitting(host, red, Connections(red))
    here.ended(3, "the token in SYNCER_WAREHOUSE_PASSWORD ends", details=("in SYNCER_WAREHOUSE",))
    assert host.result()[0].message == "the token in WSL_TGT_PWD ends"
