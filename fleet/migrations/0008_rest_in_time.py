"""The rest of a change that stopped by itself is let go on by approvals that are valid at that moment, and by no others."""

from django.db import migrations

REST = """
CREATE FUNCTION fleet_rest_in_time() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    agreed bigint;
BEGIN
    SELECT count(DISTINCT reviewer_id) INTO agreed FROM fleet_approval
    WHERE change_id = NEW.id AND decision = 'approve' AND voided_at IS NULL
      AND revision = NEW.revision AND round = NEW.round AND expires_at > NEW.wave_opened_at;
    -- The moment is stamped by whoever lets it go on: one of before would make every approval look valid.
    IF NEW.wave_opened_at IS NOT DISTINCT FROM OLD.wave_opened_at OR agreed < greatest(1, NEW.approvals_needed) THEN
        RAISE EXCEPTION 'The rest of the change does not have the approvals that it needs' USING ERRCODE = 'FO006';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER fleet_rest_in_time BEFORE UPDATE ON fleet_change
    FOR EACH ROW WHEN (OLD.state = 'tripped' AND NEW.state = 'running') EXECUTE FUNCTION fleet_rest_in_time();
"""
UNDO = """
DROP TRIGGER fleet_rest_in_time ON fleet_change;
DROP FUNCTION fleet_rest_in_time();
"""


class Migration(migrations.Migration):
    dependencies = [("fleet", "0007_aborted")]

    operations = [migrations.RunSQL(REST, UNDO)]
