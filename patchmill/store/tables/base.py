"""What every table is made of: the metadata and the usual columns."""

from sqlalchemy import BigInteger, CheckConstraint, Column, DateTime, MetaData, func, text
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_N_label)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def at(name: str, *, nullable: bool = True) -> Column[object]:
    """A time, when it is known."""
    return Column(name, DateTime(timezone=True), nullable=nullable)


def now(name: str) -> Column[object]:
    """The time of the insert."""
    return Column(name, DateTime(timezone=True), nullable=False, server_default=func.now())


def count(name: str) -> Column[int]:
    """A counter that begins at zero."""
    return Column(name, BigInteger, nullable=False, server_default=text("0"))


def json(name: str, *, nullable: bool = False) -> Column[object]:
    """A JSON value; an SQL null where there is none."""
    return Column(name, JSONB(none_as_null=True), nullable=nullable)


def one_of(column: str, values: str) -> CheckConstraint:
    """Hold a column to these words.

    As one array and not `IN`, which is longer: with every statement that writes a row Postgres reads the text
    of each check anew.
    """
    return CheckConstraint(f"\"{column}\" = ANY ('{{{','.join(values.split())}}}')", name=column)
