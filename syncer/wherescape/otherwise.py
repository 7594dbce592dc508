"""
What is otherwise in the data than it was with the library of before, by mapping. Data only.

Each text says what a reader of the datastore table will see: rows that never came and now do, rows that came twice,
times that were off. What stays as it was stands in `legacy.py`.

Not here: which load table a mapping serves (`checking.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

COMMON = (  # of every load table of before
    "Rows of a run that failed half-way come again until they are confirmed; a run that starts twice doubles none.",
    "dss_load_date is UTC, where it was the server's own wall time.",
)
_GITLAB_MARK = (
    "Changes of an hour or two were lost in each run (the mark was local time, read as UTC): they come now.",
    "A load that fails holds back no mark but its own: each stream has one, and a pull starts a little before it.",
)
_GITLAB_SCOPE = (
    "gitlab.com is refused unless syncer.toml names `groups` of [gitlab]: all its public projects came; elsewhere all "
    "that the token sees come, as before.",
)
_GITLAB_HIDDEN = ("A project that answers 403 or 404 is told as a warning; it was silently without rows.",)
_JIRA_PRIVATE = ("Private projects and their issues come; they were left out.",)
_PULSE_DATES = (
    "The date of the mark itself is read again (it was left out), so that late answers of that date come.",
    "Without a mark every date comes; an unknown parameter brought the latest date alone.",
    "A group that fails is a reject, and the others are loaded; one of them ended the whole load.",
)
_PULSE_COLUMNS = (
    "A key that the first record lacked is a column of the table, or told as one that RED does not know.",
)

TEXTS: Mapping[str, Sequence[str]] = {
    "jira.issues": (
        *_JIRA_PRIVATE,
        "Issues that changed between two runs while projects were loaded come: that load moved the mark of issues.",
        "Issues whose change was indexed late, or in the minute of the mark, come: a pull starts before its mark.",
        "Fields are filled: without being asked for, the API gave ids only.",
        "resolution has the resolution's name; it was NULL in every row.",
        "Whole numbers and missing dates are numbers and NULL; they could be written as fractions and NaN.",
    ),
    "jira.projects": (
        *_JIRA_PRIVATE,
        "All projects come, not only the first page of 50.",
    ),
    "gitlab.projects": (*_GITLAB_SCOPE,),
    "gitlab.tags": (*_GITLAB_SCOPE, *_GITLAB_HIDDEN),
    "gitlab.issues": (*_GITLAB_MARK, *_GITLAB_SCOPE, *_GITLAB_HIDDEN),
    "gitlab.pipelines": (*_GITLAB_MARK, *_GITLAB_SCOPE, "Times have whole seconds."),
    "gitlab.merge_requests": (
        *_GITLAB_MARK,
        *_GITLAB_SCOPE,
        "Merge requests that moved between two pages while they were read come; they were paged by title.",
    ),
    "gitlab.merge_request_commits": (*_GITLAB_MARK, *_GITLAB_SCOPE),
    "gitlab.commits": (
        *_GITLAB_MARK,
        *_GITLAB_SCOPE,
        "Commits that the default branch does not reach come, too.",
        "Commits that were pushed later than they were written come: they are older than the mark.",
    ),
    "gitlab.branch_commits": (*_GITLAB_MARK, *_GITLAB_SCOPE),
    "gitlab.branches": (
        *_GITLAB_SCOPE,
        *_GITLAB_HIDDEN,
        "The load works with a column `default`, which is filled: unquoted, that name failed but in numbered tables.",
    ),
    "friday_pulse.company_results": (*_PULSE_DATES, *_PULSE_COLUMNS),
    "friday_pulse.group_results": (*_PULSE_DATES, *_PULSE_COLUMNS),
    "friday_pulse.notes": (*_PULSE_DATES, "Texts of notes are masked unless syncer.toml says otherwise."),
    "friday_pulse.group_notes": (*_PULSE_DATES, "Texts of notes are masked unless syncer.toml says otherwise."),
    "friday_pulse.risks": (*_PULSE_DATES, *_PULSE_COLUMNS),
    "friday_pulse.group_risks": (*_PULSE_DATES, *_PULSE_COLUMNS),
    "friday_pulse.topics": _PULSE_COLUMNS,
    "friday_pulse.group_types": _PULSE_COLUMNS,
    "friday_pulse.groups": _PULSE_COLUMNS,
    "anythingllm.embed_chats": (
        "A failure of the API fails the load; it looked like an embed without chats.",
        "A chat whose answer is JSON and no object is loaded; it made the load fail.",
    ),
}


def texts(mapping: str) -> tuple[str, ...]:
    """Return what is otherwise in the data of a mapping alone; nothing where there was no library before it."""
    return tuple(TEXTS.get(mapping, ()))
