"""The promises that the database keeps itself: the chained audit trail, and four eyes.

The trail: a trigger locks the head row first, then gives number, time and previous hash and hashes the canonical text, so that no
writer can skip the chain or choose its place in it. UPDATE, DELETE and TRUNCATE are refused.

Four eyes: a trigger locks the change row, so that an approval cannot race an edit, and refuses an approval by anyone who had a
hand in the change, of another revision or digest, or of a change that is not in review, whatever code asks.
"""

from django.db import migrations

AUDIT = """
INSERT INTO fleet_audithead (id, number, hash) VALUES (1, 0, repeat('0', 64));

CREATE FUNCTION fleet_audit_canonical(event fleet_auditevent) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object(
        'number', event.number,
        'at', to_char(event.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
        'actor', event.actor_id,
        'actor_name', event.actor_name,
        'action', event.action,
        'subject', event.subject,
        'change', event.change_id,
        'instance', event.instance_id,
        'account', event.account_id,
        'request_id', event.request_id,
        'data', event.data
    )::text
$$;

CREATE FUNCTION fleet_audit_chain() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    head fleet_audithead;
BEGIN
    SELECT * INTO STRICT head FROM fleet_audithead WHERE id = 1 FOR UPDATE;
    NEW.number := head.number + 1;
    NEW.at := clock_timestamp();
    NEW.previous_hash := head.hash;
    NEW.canonical := fleet_audit_canonical(NEW);
    NEW.hash := encode(sha256(convert_to(NEW.previous_hash || E'\\n' || NEW.canonical, 'UTF8')), 'hex');
    UPDATE fleet_audithead SET number = NEW.number, hash = NEW.hash WHERE id = 1;
    RETURN NEW;
END
$$;
CREATE TRIGGER fleet_audit_chain BEFORE INSERT ON fleet_auditevent
    FOR EACH ROW EXECUTE FUNCTION fleet_audit_chain();

CREATE FUNCTION fleet_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'The table % is append-only', TG_TABLE_NAME USING ERRCODE = 'FO001';
END
$$;
CREATE TRIGGER fleet_audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON fleet_auditevent
    FOR EACH STATEMENT EXECUTE FUNCTION fleet_refuse();
CREATE TRIGGER fleet_audit_head_stays BEFORE DELETE OR TRUNCATE ON fleet_audithead
    FOR EACH STATEMENT EXECUTE FUNCTION fleet_refuse();
"""

FOUR_EYES = """
CREATE FUNCTION fleet_approval_four_eyes() RETURNS trigger LANGUAGE plpgsql AS $$
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
    IF change.state <> 'in_review' OR change.revision <> NEW.revision OR change.spec_digest <> NEW.spec_digest THEN
        RAISE EXCEPTION 'The change is not in review in this form' USING ERRCODE = 'FO003';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER fleet_approval_four_eyes BEFORE INSERT ON fleet_approval
    FOR EACH ROW EXECUTE FUNCTION fleet_approval_four_eyes();

CREATE FUNCTION fleet_approval_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.voided_at IS NULL AND NEW.voided_at IS NOT NULL
       AND (to_jsonb(NEW) - 'voided_at' - 'void_reason') = (to_jsonb(OLD) - 'voided_at' - 'void_reason') THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'An approval can be voided, nothing else' USING ERRCODE = 'FO001';
END
$$;
CREATE TRIGGER fleet_approval_stays BEFORE UPDATE ON fleet_approval
    FOR EACH ROW EXECUTE FUNCTION fleet_approval_stays();
CREATE TRIGGER fleet_approval_kept BEFORE DELETE OR TRUNCATE ON fleet_approval
    FOR EACH STATEMENT EXECUTE FUNCTION fleet_refuse();
"""

UNDO = """
DROP TRIGGER fleet_approval_kept ON fleet_approval;
DROP TRIGGER fleet_approval_stays ON fleet_approval;
DROP TRIGGER fleet_approval_four_eyes ON fleet_approval;
DROP TRIGGER fleet_audit_head_stays ON fleet_audithead;
DROP TRIGGER fleet_audit_append_only ON fleet_auditevent;
DROP TRIGGER fleet_audit_chain ON fleet_auditevent;
DROP FUNCTION fleet_approval_stays, fleet_approval_four_eyes, fleet_refuse, fleet_audit_chain, fleet_audit_canonical;
DELETE FROM fleet_audithead;
"""


class Migration(migrations.Migration):
    dependencies = [("fleet", "0001_initial")]
    operations = [migrations.RunSQL(AUDIT + FOUR_EYES, UNDO)]
