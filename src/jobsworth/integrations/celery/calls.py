"""A Celery task's signature: its calls travel by parameter, and arrive as they were made, as Celery's do.

Annotations are not enforced. Those of types that JSON does not know (models, dataclasses, sets) are honoured where the
value fits. A call that does not fit the parameters, or is made where the task is not declared, travels as `*args` and
`**kwargs`; whether the function can be called so shows in the worker.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from inspect import Parameter
from typing import Any

from jobsworth.codec import decode
from jobsworth.errors import BadArguments, NotSerializable
from jobsworth.signature import Signature

from .tags import MARK, tag, untag

_LOOSE = {"*args", "**kwargs"}
_STARS = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)


class CallSignature(Signature):
    """As Signature, for the calls of Celery programs."""

    converts = False  # whether annotations make other types of values (pydantic=True)

    @property
    def positions(self) -> list[str]:
        """The parameters that can be given by position, in their order."""
        return [field.name for field in self.fields if field.kind not in (*_STARS, Parameter.KEYWORD_ONLY)]

    def pack(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bytes:
        """The bytes of a call. Raises ValueRefused: BadArguments (a TypeError) where the function takes no such."""
        try:
            data = super().pack(args, kwargs)
        except NotSerializable:
            return self._tagged(args, kwargs)
        except BadArguments:
            try:
                self.parameters.bind(*args, **kwargs)
            except TypeError:
                pass
            else:
                return self.pack_loosely(args, kwargs)  # an annotation says otherwise: Celery asks none
            raise
        if MARK in data:
            data = self._tagged(args, kwargs)
        return data if self.converts or self._arrives_alike(data, args, kwargs) else self.pack_loosely(args, kwargs)

    def _arrives_alike(self, data: bytes, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
        """Whether no annotation makes another type of a value, as it makes a model of a dict."""
        typed = [field.name for field in self.fields if field.type is not Any and field.kind not in _STARS]
        if not typed:
            return True
        came_args, came_kwargs = self.unpack(data)
        sent = self.parameters.bind(*args, **kwargs).arguments
        came = self.parameters.bind(*came_args, **came_kwargs).arguments
        return all(_alike(sent[name], came[name]) for name in typed if name in sent)

    def _tagged(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bytes:
        bound = self.parameters.bind(*args, **kwargs)
        for field in self.fields:
            if field.name in bound.arguments and (field.type is Any or field.kind in _STARS):
                bound.arguments[field.name] = tag(bound.arguments[field.name])
        return super().pack(bound.args, bound.kwargs)

    def pack_loosely(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bytes:
        """The bytes of a call that nothing is known about. Raises ValueRefused."""
        return Signature.pack(_ANYTHING, tuple(tag(args)), {name: tag(each) for name, each in kwargs.items()})

    def unpack(self, data: bytes) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The call. Raises Incompatible (E405)."""
        if b'*args"' in data or b'**kwargs"' in data:
            stored = decode(data)
            if isinstance(stored, dict) and stored and stored.keys() <= _LOOSE:
                args, kwargs = Signature.unpack(_ANYTHING, data)
                return tuple(untag(list(args))), {name: untag(each) for name, each in kwargs.items()}
        args, kwargs = super().unpack(data)
        if MARK not in data:
            return args, kwargs
        bound = self.parameters.bind(*args, **kwargs)
        for field in self.fields:
            if field.name not in bound.arguments:
                continue
            value = bound.arguments[field.name]
            if field.kind is Parameter.VAR_POSITIONAL:
                bound.arguments[field.name] = tuple(untag(list(value)))
            elif field.type is Any or field.kind is Parameter.VAR_KEYWORD:
                bound.arguments[field.name] = untag(value)
        return bound.args, bound.kwargs

    def pack_result(self, value: object) -> bytes:
        """The bytes of a result. Raises ValueRefused."""
        try:
            data = super().pack_result(value)
        except NotSerializable:
            return super().pack_result(tag(value))
        return super().pack_result(tag(value)) if MARK in data else data

    def unpack_result(self, data: bytes) -> Any:
        """The result. Raises Incompatible (E405)."""
        value = super().unpack_result(data)
        return untag(value) if MARK in data else value


def _alike(sent: Any, came: Any) -> bool:
    if type(sent) is not type(came):
        return False
    if isinstance(sent, (list, tuple)):
        return all(_alike(one, other) for one, other in zip(sent, came, strict=True))
    if isinstance(sent, dict):
        return all(_alike(value, came.get(name)) for name, value in sent.items())
    return True


def _anything(*args: Any, **kwargs: Any) -> None: ...


_ANYTHING = CallSignature.of(_anything)


def as_called(
    signature: CallSignature, args: Sequence[Any], kwargs: Mapping[str, Any], named: Sequence[str]
) -> tuple[list[Any], dict[str, Any]]:
    """A call as it was made, where arguments that were given by name (`named`) have come by position."""
    positions = signature.positions if named else []
    first = next((place for place, name in enumerate(positions[: len(args)]) if name in named), len(args))
    return list(args[:first]), {**dict(zip(positions[first:], args[first:], strict=False)), **kwargs}


def from_elsewhere(data: bytes) -> tuple[list[Any], dict[str, Any]]:
    """A stored call of a task that is not declared here, as far as can be told: by name. Raises Incompatible (E405)."""
    stored = untag(decode(data)) if data else {}
    if not isinstance(stored, dict):
        return [], {}
    if stored.keys() <= _LOOSE:
        return list(stored.get("*args", ())), dict(stored.get("**kwargs", {}))
    return [], stored
