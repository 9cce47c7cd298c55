"""The engine on Redis or Valkey."""

from .engine import RedisEngine

__all__ = ["RedisEngine"]
