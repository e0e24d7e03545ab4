"""What the database itself refuses: arrows that no job may take, and changes to the ledger."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

ARROWS = (  # as `patchmill.job.state.ARROWS` stood at this revision
    "queued>dispatched dispatched>queued dispatched>running running>queued running>succeeded "
    "running>failed queued>failed queued>cancelled dispatched>cancelled running>cancelled "
    "succeeded>queued failed>queued cancelled>queued"
).split(" ")


def upgrade() -> None:
    """Add the two triggers."""
    arrows = ", ".join(f"'{arrow}'" for arrow in ARROWS)
    op.execute(
        f"""
        CREATE FUNCTION refuse_illegal_arrow() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF OLD.state || '>' || NEW.state NOT IN ({arrows}) THEN
                RAISE EXCEPTION 'no arrow from % to % (job %)', OLD.state, NEW.state, OLD.id
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'ck_jobs_arrow';
            END IF;
            RETURN NEW;
        END $$
        """
    )
    op.execute(
        """
        CREATE TRIGGER refuse_illegal_arrow BEFORE UPDATE OF state ON jobs
        FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state)
        EXECUTE FUNCTION refuse_illegal_arrow()
        """
    )
    op.execute(
        """
        CREATE FUNCTION refuse_ledger_change() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION 'the ledger is append-only; correct it by a new transfer'
                USING ERRCODE = 'restrict_violation';
        END $$
        """
    )
    op.execute(
        """
        CREATE TRIGGER refuse_ledger_change BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_entries
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_ledger_change()
        """
    )


def downgrade() -> None:
    """Drop them."""
    op.execute("DROP TRIGGER refuse_ledger_change ON ledger_entries")
    op.execute("DROP FUNCTION refuse_ledger_change")
    op.execute("DROP TRIGGER refuse_illegal_arrow ON jobs")
    op.execute("DROP FUNCTION refuse_illegal_arrow")
