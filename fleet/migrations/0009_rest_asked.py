"""The rest of a change that stopped by itself takes approvals only once somebody asked for them.

A change whose rest was let go on has an open wave. Where it stopped once more, the trigger still took approvals of the round
that had been let go on, though nobody had asked for them. What the rest is, is said in `fleet.models.changes.REST_ASKED` too.
"""

from django.db import migrations

FOUR_EYES = """
CREATE OR REPLACE FUNCTION fleet_approval_four_eyes() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    change fleet_change;
BEGIN
    SELECT * INTO STRICT change FROM fleet_change WHERE id = NEW.change_id FOR UPDATE;
    IF NEW.decision <> 'approve' THEN
        RETURN NEW;
    END IF;
    IF change.author_id = NEW.reviewer_id OR EXISTS (
        SELECT 1 FROM fleet_contributor WHERE change_id = NEW.change_id AND user_id = NEW.reviewer_id
    ) THEN
        RAISE EXCEPTION 'Whoever had a hand in a change cannot approve it' USING ERRCODE = 'FO002';
    END IF;
    -- What a change that stopped by itself has left is approved afresh, in a later round.
    IF NOT (change.state = 'in_review' OR change.state = 'tripped' AND change.round > 1%s)
       OR change.revision <> NEW.revision OR change.round <> NEW.round
       OR change.spec_digest <> NEW.spec_digest OR change.spec_digest = '' THEN
        RAISE EXCEPTION 'The change is not in review in this form' USING ERRCODE = 'FO003';
    END IF;
    RETURN NEW;
END
$$;
"""
# The wave that is open tells this stop from the one that was asked about.
MENDED = FOUR_EYES.replace("%s", " AND change.wave_opened_at IS NULL")
FORMER = FOUR_EYES.replace("%s", "")


class Migration(migrations.Migration):
    dependencies = [("fleet", "0008_rest_in_time")]

    operations = [migrations.RunSQL(MENDED, FORMER)]
