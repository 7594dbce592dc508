"""
Which properties hold personal data, by name and object type. Data, and one question.

A company's phone and address are no person's; those of a contact are, and of anything else that has such names. What a
portal defined itself is known only by the names that it shares with these, and by its definition's sensitivity
(`definitions.py`): a site names the others.

Not here: what becomes of a personal value.
Source: HubSpot's default properties of contacts, companies, tickets and activities.
"""

from __future__ import annotations

import re

# A person, whatever it stands on.
PERSON = frozenset({
    "email", "work_email", "hs_additional_emails", "firstname", "lastname", "hs_full_name_or_email", "salutation",
    "mobilephone", "date_of_birth", "gender", "marital_status", "military_status", "relationship_status",
})  # fmt: skip
# A person where it does not stand on a company.
CONTACT = frozenset({
    "phone", "fax", "address", "city", "state", "zip", "photo", "message",
    "hs_whatsapp_phone_number", "hs_calculated_phone_number", "hs_calculated_mobile_number",
    "hs_searchable_calculated_phone_number", "hs_searchable_calculated_mobile_number",
    "jobtitle", "degree", "field_of_study", "graduation_date", "school",
    "twitterhandle", "twitterbio", "twitterprofilephoto", "linkedinbio", "hs_linkedin_url",
    "hs_twitterid", "hs_facebookid", "hs_googleplusid", "hs_linkedinid",
    "hs_facebook_click_id", "hs_google_click_id", "hs_avatar_filemanager_key",
})  # fmt: skip
# What somebody wrote or said, where, and from which number.
WORDS = frozenset({
    "content", "hs_body_preview", "hs_body_preview_html", "hs_note_body",
    "hs_call_title", "hs_call_body", "hs_call_summary", "hs_call_from_number", "hs_call_to_number",
    "hs_call_recording_url",
    "hs_email_subject", "hs_email_text", "hs_email_html", "hs_email_headers",
    "hs_meeting_title", "hs_meeting_body", "hs_internal_meeting_notes", "hs_meeting_location",
    "hs_meeting_external_url",
    "hs_task_subject", "hs_task_body", "hs_communication_body", "hs_communication_logged_from",
})  # fmt: skip

# An address of the network and where it is; who sent and got an e-mail; an owner's name or address.
_PATTERN = re.compile(r"(hs_)?ip_.+|hs_email_(from|to|cc|bcc|sender)_.+|(.+_)?owner_?(email|name)")


def is_personal(object_type: str, name: str) -> bool:
    """Tell whether a property of this name holds personal data."""
    if name in PERSON or name in WORDS or _PATTERN.fullmatch(name):
        return True
    return object_type not in ("companies", "0-2") and name in CONTACT
