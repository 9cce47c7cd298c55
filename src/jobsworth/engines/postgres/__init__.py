"""PostgreSQL: jobs in tables of their own schema, on a server that many machines share."""

from .engine import PostgresEngine

__all__ = ["PostgresEngine"]
