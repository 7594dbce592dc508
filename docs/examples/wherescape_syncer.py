"""A host script of WhereScape RED: it pulls into tables of syncer's own, and says what came of it in RED's words."""

import syncer
from syncer import wherescape

host = wherescape.host()
for done in syncer.pull(["hubspot.*"], wait_s=600):
    host.note(wherescape.Outcome.of(done))
