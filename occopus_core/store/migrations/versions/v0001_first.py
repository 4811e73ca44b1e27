"""The first schema. New databases are made by `tables`; this marks where their history begins."""

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Nothing: no database is older."""
