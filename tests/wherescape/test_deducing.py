"""What a table is for, by its name: whole words, one or many, an environment's word; and what is refused."""

from __future__ import annotations

import re

import pytest

from syncer import mappings
from syncer.errors import UsageError
from syncer.mapping import EntityMapping, Field
from syncer.wherescape.deducing import PULL, PUSH, deduce, environment_of, spare_words
from syncer.wherescape.legacy import STREAMS
from syncer.wherescape.legacycolumns import LegacyStream

SHIPPED = tuple(mappings.known().values())
ENVIRONMENTS = ("default", "voys", "big-portal")


def own(name: str) -> EntityMapping:
    return EntityMapping(name=name, key=("id",), fields=(Field("id"),))


def deduced(table: str, *more: EntityMapping) -> tuple[str, str]:
    mapping, environment = deduce(table, (*SHIPPED, *more), ENVIRONMENTS)
    return mapping.name, environment


def singular(entity: str) -> str:
    for many, one in (("companies", "company"), ("activities", "activity"), ("branches", "branch")):
        if entity.endswith(many):
            return entity.removesuffix(many) + one
    return entity.removesuffix("s")


@pytest.mark.parametrize("mapping", SHIPPED, ids=lambda mapping: mapping.name)
def test_every_shipped_mapping_is_told_by_its_names(mapping: EntityMapping) -> None:
    """load_SOURCE_ENTITY, its singular, and the table that a pull fills outside RED, in each environment."""
    for entity in (mapping.entity, singular(mapping.entity)):
        for prefix in ("load", "stage"):
            assert deduced(f"{prefix}_{mapping.source}_{entity}") == (mapping.name, "default")
        assert deduced(f"load_{mapping.source}_voys_{entity}") == (mapping.name, "voys")
    for environment in ENVIRONMENTS:
        assert deduced(mapping.table(environment)) == (mapping.name, environment)


@pytest.mark.parametrize("stream", STREAMS, ids=lambda stream: stream.record_source)
def test_every_legacy_stream_is_told_by_its_name(stream: LegacyStream) -> None:
    """The tables that exist are called after the streams that they had."""
    for name in (stream.name, singular(stream.name)):
        assert deduced(f"load_{stream.mapping.partition('.')[0]}_{name}") == (stream.mapping, "default")


@pytest.mark.parametrize(
    ("table", "wanted"),
    [
        ("load_gitlab_merge_request_commit", ("gitlab.merge_request_commits", "default")),
        ("load_gitlab_merge_request", ("gitlab.merge_requests", "default")),
        ("load_gitlab_branch_commit", ("gitlab.branch_commits", "default")),
        ("load_gitlab_commit", ("gitlab.commits", "default")),
        ("LOAD_JIRA_ISSUES", ("jira.issues", "default")),
        ("load.load_jira_issue", ("jira.issues", "default")),
        ("load_friday_pulse_group_results", ("friday_pulse.group_results", "default")),
        ("load_friday_pulse_general_results", ("friday_pulse.company_results", "default")),
        ("load_anythingllm_chats", ("anythingllm.embed_chats", "default")),
        ("load_anythingllm_chats_voys", ("anythingllm.embed_chats", "voys")),
        ("load_anythingllm_workspace_chats", ("anythingllm.workspace_chats", "default")),
        ("load_hubspot_voys_companies", ("hubspot.companies", "voys")),
        ("load_hubspot_companies_big_portal", ("hubspot.companies", "big-portal")),
        ("stage_hubspot_company_voys", ("hubspot.companies", "voys")),
        ("stage_company_voys", ("hubspot.companies", "voys")),
        ("voys_stage_company", None),
    ],
)
def test_names_of_tables(table: str, wanted: tuple[str, str] | None) -> None:
    """Longer names of entities go before their parts; the environment's word stands anywhere around the entity."""
    if wanted is None:
        with pytest.raises(UsageError, match="is no environment"):
            deduced(table)
    else:
        assert deduced(table) == wanted


@pytest.mark.parametrize("table", ["stage_deal_contact", "stage_hubspot_deal_contact", "load_issues", "load_projects"])
def test_a_name_that_fits_two_is_refused(table: str) -> None:
    """To guess would load one entity into the other's table; the error names both, and how to say it."""
    with pytest.raises(UsageError, match=r"fits \w+\.\w+, \w+\.\w+") as told:
        deduced(table)
    verb = "push" if table.startswith("stage") else "pull"
    ways = rf'wherescape\.{verb}\("\w+\.\w+"\) or wherescape\.{verb}\("\w+\.\w+"\)'
    assert re.fullmatch(rf"Say in the host script which one it is: {ways}\.", told.value.hint), told.value.hint


@pytest.mark.parametrize(
    "table", ["load_sales", "load_gitlabissues", "load_gitlab_issuetracker", "load_hubspot", "load"]
)
def test_a_part_of_a_word_tells_nothing(table: str) -> None:
    """Only whole words count: the legacy library took every table with `stage` in its name for one of tags."""
    with pytest.raises(UsageError, match="fits no mapping"):
        deduced(table)


def test_an_unknown_environment_is_refused() -> None:
    """The base account instead would be the wrong portal; the error names those that there are."""
    with pytest.raises(UsageError, match=r"'acme' in its name is no environment. Known: big-portal, voys"):
        deduced("load_hubspot_acme_companies")
    with pytest.raises(UsageError, match="none but the default one") as told:
        deduce("load_hubspot_acme_companies", SHIPPED)
    assert 'wherescape.pull("hubspot.companies", environment="default")' in told.value.hint


def test_a_parameter_that_was_looked_for_in_vain_is_named() -> None:
    """An environment is known by its token in RED; on a test system that parameter has another name."""
    absent = {"voys": "hubspot_access_token_voys_dev"}
    with pytest.raises(UsageError, match="'voys' in its name is no environment") as told:
        deduce("stage_company_voys", SHIPPED, absent=absent)
    assert "RED has no parameter hubspot_access_token_voys_dev." in str(told.value)


@pytest.mark.parametrize(
    ("table", "wanted"),
    [
        ("load_hubspot_big_portal_companies", {"big_portal"}),
        ("stage_company_voys", {"voys"}),
        ("load_hubspot_companies", set()),
        ("load_jira_issues_voys", set()),
        ("load_issues_voys", set()),
        ("voys_stage_company", {"voys_stage"}),
    ],
)
def test_words_that_may_be_an_environment_of_a_source(table: str, wanted: set[str]) -> None:
    """Only a table that may be of HubSpot is looked up in RED's parameters, and only by these."""
    assert spare_words(table, SHIPPED, source="hubspot") == wanted


def test_own_mappings_count() -> None:
    """A company's own entity is told like ours, and makes a name ambiguous that was clear."""
    assert deduced("load_wiki_pages", own("wiki.pages")) == ("wiki.pages", "default")
    assert deduced("stage_company", own("hubspot.subscriptions")) == ("hubspot.companies", "default")
    with pytest.raises(UsageError, match=r"hubspot\.companies, wiki\.companies"):
        deduced("stage_company", own("wiki.companies"))


def test_an_entitys_own_name_goes_before_anothers_singular() -> None:
    """`company` and `companies` may be two entities of one source: each has the table of its name."""
    assert deduced("load_hubspot_company", own("hubspot.company")) == ("hubspot.company", "default")
    assert deduced("load_hubspot_companies", own("hubspot.company")) == ("hubspot.companies", "default")


def test_an_environment_that_is_called_like_an_entity() -> None:
    """The reading in which every word has a meaning wins."""
    found = deduce("load_hubspot_contacts_companies", SHIPPED, ["contacts"])
    assert (found[0].name, found[1]) == ("hubspot.companies", "contacts")


NONE = ""  # refused


@pytest.mark.parametrize(
    ("table", "said", "pulled", "pushed"),
    [
        ("stage_note_voys", "hubspot.notes", "voys", "voys"),
        ("stage_hubspot_voys", "hubspot.notes", "voys", "voys"),
        ("load_hubspot_companies_big_portal", "hubspot.companies", "big-portal", "big-portal"),
        ("load_hubspot_default_companies", "hubspot.companies", "default", "default"),
        ("load_projects", "jira.projects", "default", "default"),
        ("load_jira_issue", "jira.issues", "default", "default"),
        ("stage_deal_contact", "hubspot.deals", "default", "default"),
        ("stage_deal_contact_voys", "hubspot.deals", "voys", "voys"),
        ("load_gitlab_project_issue", "gitlab.projects", "default", "default"),
        ("load_bot", "anythingllm.embed_chats", "default", NONE),
        ("load_jira_issue_incremental", "jira.issues", "default", NONE),
        ("load_gitlab_projects", "jira.projects", "default", NONE),
        ("load_customers", "hubspot.companies", "default", NONE),
        ("load_acme_companies", "hubspot.companies", NONE, NONE),
        ("load_companies_hubspot_acme", "hubspot.companies", NONE, NONE),
        ("load_companies_hubspot_voys", "hubspot.companies", "voys", "voys"),
        ("stage_company_owner", "hubspot.companies", "default", "default"),
        ("stage_company_issue", "hubspot.companies", "default", "default"),
        ("load_voys_customers", "hubspot.companies", NONE, NONE),
        ("load_bot_voys", "anythingllm.embed_chats", NONE, NONE),
        ("load_jira_issue_of_voys", "jira.issues", NONE, NONE),
        ("stage_deal_contact_acme", "hubspot.deals", NONE, NONE),
    ],
)
def test_the_account_of_a_mapping_that_is_said(table: str, said: str, pulled: str, pushed: str) -> None:
    """A push wants to know what each word is; a pull into a table of any name, whether it may be an account."""
    mapping = mappings.known()[said]
    absent = dict.fromkeys(spare_words(table, SHIPPED, source="hubspot", said=mapping), "a_parameter")
    for verb, wanted in ((PULL, pulled), (PUSH, pushed)):
        try:
            found = environment_of(table, mapping, SHIPPED, ENVIRONMENTS, absent=absent, verb=verb)
        except UsageError as error:
            assert "is no environment. Known: big-portal, voys" in error.message
            assert f'wherescape.{verb}("{said}", environment="default")' in error.hint
            found = NONE
        assert found == wanted, verb


def test_an_account_that_is_called_like_an_entity_is_not_passed_by() -> None:
    """Words of another entity tell of no account, unless one is called so."""
    deals = mappings.known()["hubspot.deals"]
    environments = ["contacts"]
    assert environment_of("stage_deal_contacts", deals, SHIPPED, environments, absent={}, verb=PUSH) == "contacts"
    with pytest.raises(UsageError, match="Known: contacts") as told:
        environment_of("stage_deal_contacts_tickets", deals, SHIPPED, environments, absent={}, verb=PUSH)
    assert 'wherescape.push("hubspot.deals", environment="contacts")' in told.value.hint


def test_what_an_error_says_to_say_has_the_account() -> None:
    """Typed as it stands, the line of before sent the rows of voys to the base account."""
    with pytest.raises(UsageError, match="fits friday_pulse.notes, hubspot.notes") as told:
        deduced("stage_note_voys")
    assert 'wherescape.push("hubspot.notes", environment="voys")' in told.value.hint


def test_each_run_of_words_may_be_an_account_where_a_name_tells_nothing_else() -> None:
    """And only HubSpot's accounts are looked up in RED."""
    companies, issues = mappings.known()["hubspot.companies"], mappings.known()["jira.issues"]
    assert spare_words("load_big_portal", SHIPPED, source="hubspot", said=companies) == {"big", "portal", "big_portal"}
    assert spare_words("load_big_portal", SHIPPED, source="hubspot", said=issues) == set()
