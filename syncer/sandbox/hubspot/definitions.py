"""
The properties that a generated portal has: many of HubSpot's own by kind, with their types, and some of its users'.

A line of a table is "name type [flags] [=option,option]": the type with its fieldType behind a slash, where that is
not the usual one. Flags: r read only, c calculated, u unique, h hidden, x made by a user, o refers to owners.
Source of names and types: HubSpot's knowledge base, "default properties" of each object.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from syncer.sandbox.hubspot.model import Definition, Kind
from syncer.sandbox.hubspot.store import Store

FIELD_TYPES = {
    "string": "text",
    "number": "number",
    "bool": "booleancheckbox",
    "enumeration": "select",
    "date": "date",
    "datetime": "date",
    "phone_number": "phonenumber",
    "json": "text",
}
STANDARD = """
hs_object_id number r
hs_merged_object_ids string r
hs_object_source string r
hs_object_source_label string r
hs_object_source_id string r
hs_object_source_user_id number r
hs_created_by_user_id number r
hs_updated_by_user_id number r
hs_unique_creation_key string rh
hs_read_only bool rh
hs_was_imported bool r
hs_pinned_engagement_id number
hs_all_owner_ids enumeration/checkbox rco
hs_all_team_ids enumeration/checkbox rc
hs_user_ids_of_all_owners enumeration/checkbox rc
hubspot_owner_id enumeration o
hubspot_owner_assigneddate datetime r
hubspot_team_id enumeration rc
"""
COUNTS = """
num_associated_contacts number rc
num_associated_deals number rc
num_contacted_notes number rc
num_notes number rc
notes_last_contacted datetime rc
notes_last_updated datetime rc
notes_next_activity_date datetime rc
hs_last_sales_activity_timestamp datetime rc
hs_num_open_deals number rc
"""
SOURCES = "=ORGANIC_SEARCH,PAID_SEARCH,EMAIL_MARKETING,SOCIAL_MEDIA,REFERRALS,OFFLINE,DIRECT_TRAFFIC"
STAGES = "=subscriber,lead,marketingqualifiedlead,salesqualifiedlead,opportunity,customer,evangelist,other"
TABLES: dict[str, str] = {
    "companies": f"""
name string
domain string
website string
description string/textarea
about_us string/textarea
phone phone_number
address string
address2 string
city string
zip string
state string
country string
hs_country_code string
timezone string
industry enumeration =ACCOUNTING,BANKING,COMPUTER_SOFTWARE,CONSTRUCTION,RETAIL,TELECOMMUNICATIONS,UTILITIES
type enumeration =PROSPECT,PARTNER,RESELLER,VENDOR,OTHER
numberofemployees number
annualrevenue number
total_money_raised string
total_revenue number rc
recent_deal_amount number rc
recent_deal_close_date datetime rc
first_deal_created_date datetime rc
closedate datetime
days_to_close number rc
founded_year string
is_public bool
lifecyclestage enumeration {STAGES}
hs_lead_status enumeration/radio =NEW,OPEN,IN_PROGRESS,OPEN_DEAL,UNQUALIFIED,ATTEMPTED_TO_CONTACT,CONNECTED,BAD_TIMING
hs_ideal_customer_profile enumeration =tier_1,tier_2,tier_3
hs_target_account bool
hs_is_target_account bool
hs_num_child_companies number rc
hs_parent_company_id number r
hs_additional_domains string
hs_keywords string
hs_annual_revenue_currency_code enumeration =EUR,USD,GBP
hs_analytics_source enumeration r{SOURCES}
hs_analytics_num_visits number rc
hs_analytics_num_page_views number rc
facebookfans number
facebook_company_page string
linkedin_company_page string
linkedinbio string
twitterhandle string
twitterfollowers number
web_technologies enumeration/checkbox =google_analytics,wordpress,salesforce,zendesk,stripe
client_id string ux
contract_end date x
billing_day number x
products enumeration/checkbox x=voip,mobile,internet,hosting
is_reseller bool x
sla_level enumeration/radio x=gold,silver,bronze
health_score number/calculation_equation x
{COUNTS}""",
    "contacts": f"""
email string
firstname string
lastname string
salutation string
jobtitle string
job_function string
seniority string
company string
phone phone_number
mobilephone phone_number
fax string
address string
city string
zip string
state string
country string
hs_language enumeration =nl,en,de,fr,ja
hs_timezone enumeration =europe_slash_amsterdam,europe_slash_london,asia_slash_tokyo
website string
message string/textarea
gender string
date_of_birth string
degree string
school string
marital_status string
military_status string
field_of_study string
graduation_date string
start_date string
relationship_status string
work_email string
industry string
annualrevenue string
numemployees enumeration =1-5,5-25,25-50,50-100,100-500,500-1000,1000+
lifecyclestage enumeration/radio {STAGES}
hs_lead_status enumeration/radio =NEW,OPEN,IN_PROGRESS,OPEN_DEAL,UNQUALIFIED,ATTEMPTED_TO_CONTACT,CONNECTED,BAD_TIMING
hs_persona enumeration =persona_1,persona_2
hs_buying_role enumeration/checkbox =BLOCKER,BUDGET_HOLDER,CHAMPION,DECISION_MAKER,END_USER,INFLUENCER
hs_legal_basis enumeration/checkbox =Legitimate interest – prospect/lead,Performance of a contract,Not applicable
hs_marketable_status enumeration r=true,false
hs_email_domain string rc
hs_email_optout bool r
hs_email_bounce number rc
hs_email_delivered number rc
hs_email_open number rc
hs_email_click number rc
hs_email_last_open_date datetime rc
hs_email_last_send_date datetime rc
hs_calculated_merged_vids string rc
hs_calculated_phone_number string rc
hs_full_name_or_email string rc
hs_searchable_calculated_phone_number string rch
hs_analytics_source enumeration r{SOURCES}
hs_analytics_first_timestamp datetime rc
hs_analytics_num_visits number rc
hs_is_contact bool rc
hs_is_unworked bool rc
hs_linkedin_url string
twitterhandle string
first_conversion_date datetime rc
first_conversion_event_name string rc
num_conversion_events number rc
recent_conversion_date datetime rc
associatedcompanyid number r
closedate datetime
hubspotscore number rc
person_id string ux
date_field date x
number_field number x
text_field string x
newsletters enumeration/checkbox x=product,events,incidents
is_decision_maker bool x
{COUNTS}""",
    "deals": f"""
dealname string
amount number
amount_in_home_currency number rc
deal_currency_code enumeration =EUR,USD,GBP
dealstage enumeration/radio
pipeline enumeration
dealtype enumeration/radio =newbusiness,existingbusiness
description string/textarea
closedate datetime
closed_lost_reason string/textarea
closed_won_reason string/textarea
days_to_close number rc
hs_acv number
hs_arr number
hs_mrr number
hs_tcv number
hs_closed_amount number rc
hs_deal_stage_probability number rc
hs_forecast_amount number rc
hs_forecast_probability number
hs_manual_forecast_category enumeration =OMIT,PIPELINE,BEST_CASE,COMMIT,CLOSED
hs_is_closed bool rc
hs_is_closed_won bool rc
hs_is_closed_lost bool rc
hs_next_step string
hs_priority enumeration =low,medium,high
hs_primary_associated_company number r
hs_projected_amount number rc
hs_date_entered_closedwon datetime rc
hs_date_entered_closedlost datetime rc
hs_time_in_closedwon number rc
hs_latest_meeting_activity datetime rc
hs_analytics_source enumeration r{SOURCES}
order_number string ux
contract_months number x
start_date date x
services enumeration/checkbox x=voip,mobile,internet,hosting
is_renewal bool x
{COUNTS}""",
    "tickets": """
subject string
content string/textarea
hs_pipeline enumeration
hs_pipeline_stage enumeration/radio
hs_ticket_category enumeration/checkbox =PRODUCT_ISSUE,BILLING_ISSUE,FEATURE_REQUEST,GENERAL_INQUIRY
hs_ticket_priority enumeration =LOW,MEDIUM,HIGH,URGENT
hs_ticket_id number rc
source_type enumeration =CHAT,EMAIL,FORM,PHONE
source_ref string rh
source_thread_id string rh
hs_resolution string
hs_file_upload string/file
hs_thread_ids_to_restore string rh
hs_primary_company_id number r
hs_is_visible_in_help_desk bool
hs_in_helpdesk bool r
hs_nextactivitydate datetime rc
hs_num_times_contacted number rc
hs_lastactivitydate datetime rc
hs_last_message_received_at datetime rc
hs_last_message_sent_at datetime rc
hs_time_to_close_sla_at datetime r
hs_time_to_first_response_sla_at datetime r
closed_date datetime r
first_agent_reply_date datetime r
last_reply_date datetime r
time_to_close number rc
time_to_first_agent_reply number rc
num_notes number rc
notes_last_contacted datetime rc
external_reference string ux
impact enumeration/radio x=one_user,team,everybody
is_outage bool x
reported_on date x
minutes_spent number x
""",
}
ACTIVITY = """
hs_timestamp datetime
hs_attachment_ids string/file
hs_activity_type enumeration
hs_engagement_source string r
hs_body_preview string r
hs_body_preview_html string r
hs_body_preview_is_truncated bool r
hs_bulk_update bool h
"""
TABLES |= {
    "notes": f"""
hs_note_body string/html
{ACTIVITY}""",
    "calls": f"""
hs_call_title string
hs_call_body string/html
hs_call_direction enumeration =INBOUND,OUTBOUND
hs_call_disposition enumeration =9d9162e7-6cf3-4944-bf63-4dff82258764,f240bbac-87c9-4f6e-bf70-924b57d47db7
hs_call_duration number
hs_call_status enumeration =BUSY,CALLING_CRM_USER,CANCELED,COMPLETED,FAILED,IN_PROGRESS,NO_ANSWER,RINGING
hs_call_from_number string
hs_call_to_number string
hs_call_recording_url string
{ACTIVITY}""",
    "emails": f"""
hs_email_direction enumeration =EMAIL,INCOMING_EMAIL,FORWARDED_EMAIL
hs_email_status enumeration =BOUNCED,FAILED,SCHEDULED,SENDING,SENT
hs_email_subject string
hs_email_text string/textarea
hs_email_html string/html
hs_email_headers string/textarea
hs_email_from_email string r
hs_email_from_firstname string r
hs_email_from_lastname string r
hs_email_to_email string r
hs_email_thread_id string r
{ACTIVITY}""",
    "meetings": f"""
hs_meeting_title string
hs_meeting_body string/html
hs_internal_meeting_notes string/html
hs_meeting_start_time datetime
hs_meeting_end_time datetime
hs_meeting_location string
hs_meeting_external_url string
hs_meeting_outcome enumeration =SCHEDULED,COMPLETED,RESCHEDULED,NO_SHOW,CANCELED
{ACTIVITY}""",
    "tasks": f"""
hs_task_subject string
hs_task_body string/html
hs_task_status enumeration =NOT_STARTED,IN_PROGRESS,WAITING,COMPLETED,DEFERRED
hs_task_priority enumeration =NONE,LOW,MEDIUM,HIGH
hs_task_type enumeration =EMAIL,CALL,TODO
hs_task_reminders string
hs_task_is_completed number rc
hs_task_completion_date datetime r
{ACTIVITY}""",
    "communications": f"""
hs_communication_channel_type enumeration =WHATS_APP,SMS,LINKEDIN_MESSAGE
hs_communication_body string/html
hs_communication_logged_from enumeration =CRM
{ACTIVITY}""",
}
CUSTOM = """
name string x
serial_number string ux
bought_on date x
price number x
state enumeration x=in_use,in_stock,broken
"""
KEPT_BY_HUBSPOT = frozenset(  # what no generated value stands in
    [
        "hs_object_id",
        "hs_merged_object_ids",
        "createdate",
        "hs_createdate",
        "hs_lastmodifieddate",
        "lastmodifieddate",
        "pipeline",
        "dealstage",
        "hs_pipeline",
        "hs_pipeline_stage",
        "hs_calculated_merged_vids",
        "associatedcompanyid",
        "hs_primary_company_id",
        "hs_primary_associated_company",
        "hs_unique_creation_key",
        "hs_read_only",
    ]
)
GROUPS = {
    "companies": "companyinformation",
    "contacts": "contactinformation",
    "deals": "dealinformation",
    "tickets": "ticketinformation",
    "notes": "engagement_info",
    "custom": "object_information",
}


def define_all(store: Store, *, extra_properties: int = 0) -> None:
    """Define the properties of every kind, and *extra_properties* more of companies; some archived, some sensitive."""
    for kind in store.kinds.values():
        for definition in of_kind(kind):
            store.define(kind.name, definition)
    for definition in wide(extra_properties):
        store.define("companies", definition)
    gone = Definition(name="old_segment", label="Old segment", archived_ms=store.now_ms())
    store.define("companies", gone)
    for kind_name, name, level in (
        ("contacts", "passport_number", "sensitive"),
        ("contacts", "diagnosis", "highly_sensitive"),
    ):
        store.define(
            kind_name,
            Definition(name=name, label=_label(name), group_name=GROUPS[kind_name], data_sensitivity=level),
        )


def of_kind(kind: Kind) -> Iterator[Definition]:
    """Yield the definitions of one kind."""
    group = GROUPS.get(kind.name, GROUPS["custom"] if kind.is_custom else GROUPS["notes"])
    dates = f"{kind.created} datetime r\n{kind.cursor} datetime r\n"
    for line in (dates + STANDARD + (CUSTOM if kind.is_custom else TABLES[kind.name])).splitlines():
        if line.strip():
            yield _parse(line, group, kind.is_activity)


def wide(count: int) -> Iterator[Definition]:
    """Yield *count* more properties of a user's, of all types, with long names: a URL does not hold many."""
    types = ("string", "number", "bool", "enumeration", "date", "datetime")
    for number in range(count):
        type = types[number % len(types)]
        name = f"extra_property_of_the_data_team_{type}_{number:04d}"
        options = "a,b,c" if type == "enumeration" else ""
        yield _made(name, type, FIELD_TYPES[type], flags="x", options=options, group="companyinformation")


def _parse(line: str, group: str, is_activity: bool) -> Definition:
    head, _, options = line.partition("=")
    name, type, *rest = head.split()
    type, _, field = type.partition("/")
    flags = rest[0] if rest else ""
    made = _made(name, type, field or FIELD_TYPES[type], flags=flags, options=options, group=group)
    made.form_field = not is_activity and not made.read_only
    return made


def _made(name: str, type: str, field: str, *, flags: str, options: str, group: str) -> Definition:
    shown: Iterable[tuple[str, str]] = ((value, _label(value)) for value in options.split(",") if value)
    if type == "bool":
        shown = (("true", "Yes"), ("false", "No"))
    return Definition(
        name=name,
        label=_label(name.removeprefix("hs_")),
        type=type,
        field_type=field,
        group_name=group,
        options=[
            {"label": label, "value": value, "hidden": False, "displayOrder": number, "description": ""}
            for number, (value, label) in enumerate(shown)
        ],
        calculated="c" in flags,
        external_options="o" in flags,
        referenced_object_type="OWNER" if "o" in flags else None,
        has_unique_value="u" in flags,
        hidden="h" in flags,
        hubspot_defined="x" not in flags,
        read_only="r" in flags or field == "calculation_equation",
    )


def _label(name: str) -> str:
    return name.replace("_", " ").capitalize()
