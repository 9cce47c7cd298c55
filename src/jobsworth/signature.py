"""A task's signature: what it takes and gives back, and how calls become bytes and calls again.

Arguments travel as one JSON object, keyed by parameter name; `*args` and `**kwargs` under those very names, which no
parameter can have. Defaults stay at home: a changed default is in force for jobs that are already stored.

A call is checked by the decoder that will run in the worker, on the bytes the worker will get.
"""

from __future__ import annotations

import inspect
import re
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from inspect import Parameter
from typing import Any, Self

import msgspec
from msgspec import UNSET

from .codec import MAX_BYTES, MAX_DEPTH, check_plain, decode
from .codec.carry import SHALLOW, arrives, check_size, deeper_than, dump, load, loader, type_name
from .codec.declare import NAMED, Field, as_written, read, struct
from .codec.refusal import changed, endless, knot, not_serializable, refusal
from .errors import BadArguments, Incompatible, JobsworthError, NotSerializable, TooDeep


class Signature:
    """Made once per task. `returns` is the annotation of what it gives back (Any if none), `limit` bytes per job."""

    def __init__(self, fn: Callable[..., Any], skip: int, limit: int) -> None:
        self.name, self.parameters, self._fields, self.returns = read(fn, skip)
        self.limit = limit
        self._harmless = min(SHALLOW, limit)  # so few bytes are neither too many nor nested too deep
        # The struct binds simple calls itself, in C; the others go through inspect.
        self._direct = all(field.slot == field.name and field.kind in NAMED for field in self._fields)
        self._struct = struct(self._fields)
        self._load = loader(self._struct)
        self._load_result = load if self.returns is Any else loader(self.returns)
        self._names = [(field.name, field.kind is Parameter.KEYWORD_ONLY) for field in self._fields]
        # Every argument is given, and may be given by position: then the struct is the call.
        self._whole = self._direct and all(f.required and f.kind is not Parameter.KEYWORD_ONLY for f in self._fields)

    @classmethod
    def of(cls, fn: Callable[..., Any], *, skip: int = 0, limit: int = MAX_BYTES) -> Self:
        """The signature of `fn` without its first `skip` parameters, which somebody else fills in.

        An annotation that cannot be resolved or carried counts as Any: a declaration never fails for it.
        """
        return cls(fn, skip, limit)

    @property
    def fields(self) -> Sequence[Field]:
        """Every argument, in the order of the parameters."""
        return self._fields

    def __repr__(self) -> str:
        return f"<Signature {describe(self)}>"

    # --- arguments ---------------------------------------------------------------------------------------------------

    def pack(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bytes:
        """The bytes of a call.

        Raises BadArguments, NotSerializable, TooLarge or TooDeep, each naming the argument.
        """
        try:
            call = self._struct(*args, **kwargs) if self._direct else self._bind(args, kwargs)
        except TypeError:
            raise self.bad_call(args, kwargs) from None
        try:
            data = dump(call)
        except Exception as exc:
            raise self._unencodable(call, exc) from exc
        if len(data) > self._harmless:
            self._check_limits(call, data)
        if not arrives(call, data, self._load):
            self._look_closer(call, data)
        return data

    def unpack(self, data: bytes) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments, of the annotated types. Raises Incompatible, and nothing else, whatever the bytes are."""
        try:
            if len(data) > SHALLOW and deeper_than(MAX_DEPTH + 1, data):
                raise TooDeep(f"they are nested deeper than {MAX_DEPTH}")
            call = self._load(data)
        except MemoryError:  # says nothing about the bytes
            raise
        except Exception as exc:
            raise self._unfit(data, exc) from exc
        if self._whole:
            return msgspec.structs.astuple(call), {}
        return self._spread(call) if self._direct else self._spread_stars(call)

    # --- results -----------------------------------------------------------------------------------------------------

    def pack_result(self, value: object) -> bytes:
        """The bytes of a result. One that does not fit the return annotation travels as plain JSON.

        Raises NotSerializable, TooLarge or TooDeep.
        """
        if value is None:
            return b"null"
        try:
            data = dump(value)
        except Exception as exc:
            raise refusal(value, "result", exc) from exc
        if len(data) > self._harmless:
            check_size(data, "result", self.limit)
            if deeper_than(MAX_DEPTH, data):
                raise knot(value, "result") or TooDeep(f"result is nested deeper than {MAX_DEPTH}")
        if not arrives(value, data, self._load_result) and not self._fits(value, data):
            check_plain(value, "result", data)
        return data

    def unpack_result(self, data: bytes) -> Any:
        """The result, of the annotated type where it fits. Raises Incompatible if the bytes are not JSON."""
        if len(data) <= SHALLOW or not deeper_than(MAX_DEPTH, data):
            try:
                return self._load_result(data)
            except Exception:  # noqa: BLE001 - it does not fit its annotation, which is no error: it is plain JSON
                return decode(data)
        return decode(data)

    def _fits(self, value: object, data: bytes) -> bool:
        try:
            return changed(value, self._load_result(data)) is None
        except Exception:  # noqa: BLE001 - whatever the annotated type's own code raises, it does not fit
            return False

    # --- the details -------------------------------------------------------------------------------------------------

    def _bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> msgspec.Struct:
        bound = self.parameters.bind(*args, **kwargs).arguments
        return self._struct(**{field.slot: bound[field.name] for field in self._fields if field.name in bound})

    def _given(self, call: msgspec.Struct) -> Iterator[tuple[Field, Any]]:
        values = ((field, getattr(call, field.slot)) for field in self._fields)
        return (pair for pair in values if pair[1] is not UNSET)

    def _spread(self, call: msgspec.Struct) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """By position as far as nothing is left to its default, from there by name."""
        args: list[Any] = []
        kwargs: dict[str, Any] = {}
        by_name = False
        for (name, name_only), value in zip(self._names, msgspec.structs.astuple(call), strict=True):
            if value is UNSET:
                by_name = True
            elif by_name or name_only:
                kwargs[name] = value
            else:
                args.append(value)
        return tuple(args), kwargs

    def _spread_stars(self, call: msgspec.Struct) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The same for *args, **kwargs and positional-only parameters: Python's own rules, asked both ways round.

        Bytes from elsewhere can say what no call could: *args without what stands before them, or a parameter's name
        in **kwargs. Python would hand such values to the wrong parameter.
        """
        given = {field.name: value for field, value in self._given(call) if not field.key.startswith("*") or value}
        bound = inspect.BoundArguments(self.parameters, OrderedDict(given))
        args, kwargs = bound.args, bound.kwargs
        try:
            if self.parameters.bind(*args, **kwargs).arguments.keys() == given.keys():
                return args, kwargs
            problem = "its arguments would get mixed up"
        except TypeError as exc:
            problem = str(exc)
        raise Incompatible(f"{self.name}() cannot be called with the stored arguments: {problem}", hint=self._hint)

    # --- what is wrong: only asked when something is -----------------------------------------------------------------

    @property
    def _hint(self) -> str:
        return f"the signature is {describe(self)}"

    def bad_call(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> BadArguments:
        """What is wrong with a call that does not fit."""
        named = [f.name for f in self._fields if f.kind in NAMED]
        open_ended = any(f.kind is Parameter.VAR_KEYWORD for f in self._fields)
        for name in () if open_ended else kwargs:
            if name not in named and name not in self.parameters.parameters:
                return BadArguments(f"{self.name}() has no {_listed([name])}{_near(name, named)}", hint=self._hint)
        try:
            bound = self.parameters.bind_partial(*args, **kwargs).arguments
        except TypeError as exc:
            return BadArguments(f"{self.name}(): {exc}", hint=self._hint)
        missing = [f.name for f in self._fields if f.required and f.name not in bound]
        return BadArguments(f"{self.name}() needs {_listed(missing)}", hint=self._hint)

    def _unencodable(self, call: msgspec.Struct, exc: Exception) -> JobsworthError:
        for field, value in self._given(call):
            try:
                dump(value)
            except Exception as own:  # noqa: BLE001 - raised by our caller, as this argument's refusal
                return _noted(refusal(value, field.what, own), field)
        raise exc

    def _check_limits(self, call: msgspec.Struct, data: bytes) -> None:
        if len(data) > self.limit:
            given = list(self._given(call))
            for field, value in given if len(given) > 1 else ():
                check_size(dump(value), field.what, self.limit)
            check_size(data, given[0][0].what if len(given) == 1 else f"all of {self.name}()'s arguments", self.limit)
        if deeper_than(MAX_DEPTH + 1, data):
            raise next(
                (found for field, value in self._given(call) if (found := knot(value, field.what))),
                TooDeep(f"{self.name}()'s arguments are nested deeper than {MAX_DEPTH}"),
            )

    def _look_closer(self, call: msgspec.Struct, data: bytes) -> None:
        """It did not plainly come back equal: raise what is wrong, or return if it only looks different."""
        try:
            came = self._load(data)
        except Exception as exc:
            raise self._misfit(call, exc) from exc
        for field, value in self._given(call):
            arrived = getattr(came, field.slot)
            found = changed(value, arrived)
            if found is None:
                continue
            # Where the whole argument became something else than its annotation says, the call is wrong, not the value.
            wrong_type = found.value is value and field.type is not Any and type(arrived) is not type(value)
            if wrong_type and endless(value) is None:
                said = f"expected {inspect.formatannotation(field.type)}, got {type_name(type(value))}"
                raise BadArguments(f"{field.what}: {said}", hint=self._hint)
            raise _noted(not_serializable(found, field.what), field)

    def _misfit(self, call: msgspec.Struct, exc: Exception) -> JobsworthError:
        """The worker's decoder would refuse it."""
        for field, value in self._given(call):
            if found := endless(value):  # became null on the way, which would make a strange message
                return not_serializable(found, field.what)
        values = {field.key: value for field, value in self._given(call)}
        return BadArguments(_in_words(exc, values), hint=self._hint)

    def _unfit(self, data: bytes, exc: Exception) -> Incompatible:
        """The stored bytes no longer fit the signature, or never did."""
        problem = exc.message if isinstance(exc, JobsworthError) else _in_words(exc, {})
        try:
            stored = decode(data)
        except (JobsworthError, TypeError):
            return Incompatible(f"the stored arguments of {self.name}() cannot be read: {problem}")
        keys = {field.key: field for field in self._fields}
        if isinstance(stored, dict):
            unknown = [key for key in stored if key not in keys]
            missing = [key for key, field in keys.items() if field.required and key not in stored]
            said = [f"needs {_listed(missing)}"] if missing else []
            said += [f"has no {_listed(unknown)}{_near(unknown[0], keys)}"] if unknown else []
            if said:
                return Incompatible(f"{self.name}() {' and '.join(said)}", hint=self._hint)
        return Incompatible(f"stored arguments do not fit {self.name}(): {problem}", hint=self._hint)


def describe(signature: Signature) -> str:
    """The signature as text, as its author wrote it: send_email(user_id: int, template: str)."""
    return f"{signature.name}{as_written(signature.parameters)}"


def _noted(error: JobsworthError, field: Field) -> JobsworthError:
    if field.ignored and isinstance(error, NotSerializable):
        return NotSerializable(error.message, hint=f"its annotation counts for nothing: {field.ignored}")
    return error


def _listed(names: list[str]) -> str:
    shown = ", ".join(f'"{name[:60]}"' for name in names[:5]) + (", ..." if len(names) > 5 else "")
    return f"argument{'s' if len(names) > 1 else ''} {shown}"


def _near(name: str, known: Iterable[str]) -> str:
    import difflib  # only when somebody mistyped

    near = difflib.get_close_matches(name, list(known), n=1)
    return f'. Did you mean "{near[0]}"?' if near else ""


# msgspec says: "Expected `int`, got `str` - at `$.items[0].a`", or "... - at `key` in `$.items`" for a key.
_SAID = re.compile(r"(.*?)(?: - at (`key` in )?`\$(?:\.([^.\[`]+))?([^`]*)`)?", re.DOTALL)
_PYTHON = {"object": "dict", "array": "list", "null": "None"}


def _in_words(exc: Exception, values: dict[str, Any]) -> str:
    """msgspec's message in our words: argument "items" -> [0].a: expected int, got str."""
    match = _SAID.fullmatch(str(exc))
    if not isinstance(exc, msgspec.ValidationError) or match is None:
        return f"{type(exc).__name__}: {exc}"[:500]
    text, of_key, key, path = match.groups()
    if text.startswith("Expected"):
        text = re.sub(r"\b(object|array|null)\b", lambda word: _PYTHON[word[0]], "e" + text[1:])
        if key in values and not path and not of_key:  # what it is in Python: JSON's word for bytes would be str
            text = re.sub(r", got [^,]+$", f", got {type_name(type(values[key]))}", text)
    text = ("a key: " if of_key else "") + text.replace("`", "")[:500]
    place = f" -> {path.removeprefix('.')}" if path else ""
    return f'argument "{key}"{place}: {text}' if key else text
