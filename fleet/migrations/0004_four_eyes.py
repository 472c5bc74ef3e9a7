"""The promises about approvals that the database keeps itself, whatever code asks, superusers included.

A change moves only along its states. Its plan moves only while it is a draft, its machines only until it is in review (later
they can only become fewer), and whoever had a hand in it stays written down. It runs only with as many approvals as it needs,
of this very form, by people who had no hand in it, each of which covers every machine that is still to be replaced.

Time is the program's: an expiry is compared with the `started_at` that the start itself writes, since the clock of a test is
not the database's. What expires later is the business of the gates before every irreversible call.
"""

from django.db import migrations

APPROVAL = """
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
    IF NOT (change.state = 'in_review' OR change.state = 'tripped' AND change.round > 1)
       OR change.revision <> NEW.revision OR change.round <> NEW.round
       OR change.spec_digest <> NEW.spec_digest OR change.spec_digest = '' THEN
        RAISE EXCEPTION 'The change is not in review in this form' USING ERRCODE = 'FO003';
    END IF;
    RETURN NEW;
END
$$;
"""

CHANGE = """
CREATE FUNCTION fleet_must_be_approved(change fleet_change, resumed boolean) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    approval fleet_approval;
    reviewers bigint[] := '{}';
BEGIN
    IF NOT EXISTS (SELECT 1 FROM fleet_target WHERE change_id = change.id AND (open OR NOT resumed)) THEN
        RAISE EXCEPTION 'No machine is left, and none never means all' USING ERRCODE = 'FO006';
    END IF;
    FOR approval IN
        SELECT * FROM fleet_approval a
        WHERE a.change_id = change.id AND a.decision = 'approve' AND a.voided_at IS NULL
          AND a.revision = change.revision AND a.round = change.round
          AND a.spec_digest = change.spec_digest AND change.spec_digest <> ''
          AND (resumed OR a.expires_at > change.started_at)
          AND a.reviewer_id <> change.author_id
          AND NOT EXISTS (
              SELECT 1 FROM fleet_contributor c WHERE c.change_id = change.id AND c.user_id = a.reviewer_id
          )
    LOOP
        reviewers := reviewers || approval.reviewer_id;
        IF EXISTS (
            SELECT leaf_digest FROM fleet_target WHERE change_id = change.id AND (open OR NOT resumed)
            EXCEPT SELECT unnest(approval.leaves)
        ) THEN
            RAISE EXCEPTION 'An approval does not cover every machine' USING ERRCODE = 'FO006';
        END IF;
    END LOOP;
    IF (SELECT count(DISTINCT reviewer) FROM unnest(reviewers) reviewer) < greatest(1, change.approvals_needed) THEN
        RAISE EXCEPTION 'The change does not have the approvals that it needs' USING ERRCODE = 'FO006';
    END IF;
END
$$;

CREATE FUNCTION fleet_change_keeps_its_form() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.state IN ('running', 'paused', 'tripped') THEN
            RAISE EXCEPTION 'A change does not begin as %', NEW.state USING ERRCODE = 'FO005';
        END IF;
        RETURN NEW;
    END IF;
    IF OLD.state <> NEW.state AND NOT (OLD.state, NEW.state) IN (
        ('draft', 'checking'), ('draft', 'cancelled'),
        ('checking', 'in_review'), ('checking', 'draft'), ('checking', 'cancelled'),
        ('in_review', 'approved'), ('in_review', 'draft'), ('in_review', 'rejected'),
        ('in_review', 'cancelled'), ('in_review', 'expired'),
        ('approved', 'running'), ('approved', 'in_review'), ('approved', 'draft'), ('approved', 'rejected'),
        ('approved', 'cancelled'), ('approved', 'expired'),
        ('running', 'paused'), ('running', 'tripped'), ('running', 'finished'), ('running', 'cancelled'),
        ('paused', 'running'), ('paused', 'tripped'), ('paused', 'finished'), ('paused', 'cancelled'),
        ('tripped', 'running'), ('tripped', 'finished'), ('tripped', 'cancelled')
    ) THEN
        RAISE EXCEPTION 'A change does not go from % to %', OLD.state, NEW.state USING ERRCODE = 'FO005';
    END IF;
    IF OLD.state <> 'draft' AND (
        OLD.image_id, OLD.disk_size, OLD.login, OLD.key_pair, OLD.secret_id, OLD.security_enhancement,
        OLD.snapshot_days, OLD.policy, OLD.calendar_id, OLD.not_before, OLD.not_after
    ) IS DISTINCT FROM (
        NEW.image_id, NEW.disk_size, NEW.login, NEW.key_pair, NEW.secret_id, NEW.security_enhancement,
        NEW.snapshot_days, NEW.policy, NEW.calendar_id, NEW.not_before, NEW.not_after
    ) THEN
        RAISE EXCEPTION 'The plan of a change moves only while it is a draft' USING ERRCODE = 'FO004';
    END IF;
    IF OLD.author_id <> NEW.author_id
       OR OLD.state NOT IN ('draft', 'checking') AND OLD.images IS DISTINCT FROM NEW.images THEN
        RAISE EXCEPTION 'The plan of a change moves only while it is a draft' USING ERRCODE = 'FO004';
    END IF;
    -- A change that is a draft again is another revision: no approval of an earlier one ever counts for it.
    IF NEW.state = 'draft' AND OLD.state <> 'draft' THEN
        IF NEW.revision <= OLD.revision THEN
            RAISE EXCEPTION 'A change that is a draft again is a new revision' USING ERRCODE = 'FO004';
        END IF;
    ELSIF OLD.revision <> NEW.revision THEN
        RAISE EXCEPTION 'A revision ends where the change is a draft again' USING ERRCODE = 'FO004';
    ELSIF OLD.state NOT IN ('draft', 'checking')
       AND (OLD.spec_digest, OLD.approvals_needed) IS DISTINCT FROM (NEW.spec_digest, NEW.approvals_needed) THEN
        RAISE EXCEPTION 'What is approved, and by how many, is settled by the check' USING ERRCODE = 'FO004';
    END IF;
    IF NEW.round < OLD.round AND NEW.state <> 'draft' OR NEW.round > OLD.round AND OLD.state <> 'tripped' THEN
        RAISE EXCEPTION 'A round ends where the change stopped by itself' USING ERRCODE = 'FO004';
    END IF;
    IF NEW.state = 'running' AND OLD.state IN ('approved', 'tripped') THEN
        PERFORM fleet_must_be_approved(NEW, OLD.state = 'tripped');
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER fleet_change_keeps_its_form BEFORE INSERT OR UPDATE ON fleet_change
    FOR EACH ROW EXECUTE FUNCTION fleet_change_keeps_its_form();
"""

TARGET = """
CREATE FUNCTION fleet_target_stays() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    change_state text;
BEGIN
    -- Under the lock that an approval takes too: the machines cannot move between its reading and its writing.
    IF TG_OP = 'DELETE' THEN
        SELECT state INTO change_state FROM fleet_change WHERE id = OLD.change_id FOR NO KEY UPDATE;
        IF change_state NOT IN ('draft', 'checking', 'in_review', 'approved') THEN
            RAISE EXCEPTION 'A machine leaves a change before it runs, or never' USING ERRCODE = 'FO004';
        END IF;
        RETURN OLD;
    END IF;
    SELECT state INTO change_state FROM fleet_change WHERE id = NEW.change_id FOR NO KEY UPDATE;
    IF change_state NOT IN ('draft', 'checking') OR TG_OP = 'UPDATE' AND OLD.change_id <> NEW.change_id THEN
        RAISE EXCEPTION 'The machines of a change move only until it is in review' USING ERRCODE = 'FO004';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER fleet_target_comes_and_goes BEFORE INSERT OR DELETE ON fleet_target
    FOR EACH ROW EXECUTE FUNCTION fleet_target_stays();
CREATE TRIGGER fleet_target_stays BEFORE UPDATE ON fleet_target
    FOR EACH ROW WHEN (
        (OLD.change_id, OLD.instance_id, OLD.seen, OLD.leaf_digest, OLD.findings, OLD.snapshot_id)
        IS DISTINCT FROM (NEW.change_id, NEW.instance_id, NEW.seen, NEW.leaf_digest, NEW.findings, NEW.snapshot_id)
    ) EXECUTE FUNCTION fleet_target_stays();

CREATE TRIGGER fleet_contributor_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON fleet_contributor
    FOR EACH STATEMENT EXECUTE FUNCTION fleet_refuse();
"""

UNDO = """
DROP TRIGGER fleet_contributor_stays ON fleet_contributor;
DROP TRIGGER fleet_target_stays ON fleet_target;
DROP TRIGGER fleet_target_comes_and_goes ON fleet_target;
DROP TRIGGER fleet_change_keeps_its_form ON fleet_change;
DROP FUNCTION fleet_target_stays, fleet_change_keeps_its_form, fleet_must_be_approved;

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
    IF change.state <> 'in_review' OR change.revision <> NEW.revision OR change.spec_digest <> NEW.spec_digest THEN
        RAISE EXCEPTION 'The change is not in review in this form' USING ERRCODE = 'FO003';
    END IF;
    RETURN NEW;
END
$$;
"""


class Migration(migrations.Migration):
    dependencies = [("fleet", "0003_fleets_and_rules")]
    operations = [migrations.RunSQL(APPROVAL + CHANGE + TARGET, UNDO)]
