"""
How Jira says no: the exception that a route raises, its JSON, and its messages in the account's language.

Messages are localised as the real ones are, so that no client gets away with matching their text. English ones that
the fact sheet quotes are word for word.
Source: Jira Cloud REST API v3, "Status codes"; RFC 7807 for problem+json.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from syncer.sandbox.messages import Response, json_response

_DUTCH = {
    "Unbounded JQL queries are not allowed here. Add a search restriction to the query.": (
        "Onbegrensde JQL-query's zijn hier niet toegestaan. Voeg een zoekbeperking toe aan de query."
    ),
    "The maxResults parameter must be between 1 and 5,000.": "De parameter maxResults moet tussen 1 en 5.000 liggen.",
    "The provided nextPageToken is invalid or has expired.": "De opgegeven nextPageToken is ongeldig of verlopen.",
    "Invalid request payload. Refer to the REST API documentation and try again.": (
        "Ongeldige aanvraag. Raadpleeg de documentatie van de REST-API en probeer het opnieuw."
    ),
    "Issue does not exist or you do not have permission to see it.": (
        "Issue bestaat niet of je hebt geen rechten om het te bekijken."
    ),
    "Client must be authenticated to access this resource.": "Client moet zijn aangemeld om deze bron te gebruiken.",
    "No project could be found with that id or key.": "Er is geen project gevonden met deze id of sleutel.",
    "Rate limit exceeded.": "Aanvraaglimiet overschreden.",
}


class JiraError(Exception):
    """A request that gets an error answer. `message` is English; the answer is in the account's language."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        fields: Mapping[str, str] | None = None,
        is_parse_error: bool = False,
        is_problem: bool = False,
    ) -> None:
        """Make one: *is_problem* answers problem+json, *is_parse_error* leaves `errors` out, as Jira does."""
        super().__init__(message)
        self.status = status
        self.message = message
        self.fields = dict(fields or {})
        self.is_parse_error = is_parse_error
        self.is_problem = is_problem

    def response(self, *, language: str, instance: str) -> Response:
        """Return the answer. *instance* is the path that was asked."""
        text = localised(self.message, language)
        if self.is_problem:
            return problem(self.status, text, instance=instance)
        body: dict[str, Any] = {"errorMessages": [text]}
        if not self.is_parse_error:
            body["errors"] = self.fields
        return json_response(body, status=self.status)


def localised(message: str, language: str) -> str:
    """Return *message* in *language*; one that has no translation is marked, so that it differs too."""
    if language == "en":
        return message
    return _DUTCH.get(message, f"Fout: {message}")


def problem(status: int, detail: str, *, instance: str) -> Response:
    """Return an RFC 7807 answer."""
    titles = {400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed", 415: "Unsupported Media Type"}
    body = {
        "type": "about:blank",
        "title": titles.get(status, "Error"),
        "status": status,
        "detail": detail,
        "instance": instance,
    }
    return json_response(body, status=status, headers={"Content-Type": "application/problem+json"})


def payload_error() -> JiraError:
    """A body that cannot be read, or has a key that nobody knows."""
    message = "Invalid request payload. Refer to the REST API documentation and try again."
    return JiraError(400, message, is_parse_error=True)


def not_found() -> JiraError:
    """An issue that is not there, or that the caller may not see: the answer does not tell which."""
    return JiraError(404, "Issue does not exist or you do not have permission to see it.")
