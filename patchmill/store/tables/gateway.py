"""How the gateway and its models are, and what they were found to be able to do."""

from sqlalchemy import CheckConstraint, Column, Integer, Table, Text, text
from sqlalchemy.dialects.postgresql import ARRAY

from patchmill.store.tables.base import at, json, metadata, now, one_of

circuits = Table(  # one row for the gateway, and one for each model that ever was unavailable
    "circuits",
    metadata,
    Column("name", Text, primary_key=True),  # `gateway`, or the model's
    Column("state", Text, nullable=False, server_default="ok"),
    Column("why", Text),
    Column("message", Text, nullable=False, server_default=""),  # the gateway's own words, or an operator's
    Column("actor", Text),  # who paused it, as the audit names them; none where a call's end opened it
    now("since"),
    at("until"),  # when the gateway said that it ends
    at("probe_at"),  # when one call may try; whoever takes the turn moves it on
    Column("probes", Integer, nullable=False, server_default=text("0")),  # that found it open still
    json("quota", nullable=True),  # of the gateway: what its headers said last
    at("quota_at"),
    one_of("state", "ok paused down off"),
    CheckConstraint("(state = 'ok') = (why IS NULL)", name="why_iff_open"),
)

models = Table(  # what a model was found to be able to do, where that differs from what is documented
    "models",
    metadata,
    Column("name", Text, primary_key=True),
    json("capability"),  # the fields that were tried, see `budget/models.py`
    Column("dropped", ARRAY(Text), nullable=False, server_default=text("'{}'")),  # parameters it refused
    at("tried_at"),  # by `patchmill doctor --gateway`
    now("changed_at"),
)
