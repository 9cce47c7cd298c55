"""What travels arrives as what was sent; what cannot is refused where it is sent, with the path to the culprit."""

from __future__ import annotations

import contextlib
import datetime as dt
import enum
import functools
import inspect
import math
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, NotRequired, TypedDict
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from jobsworth.codec import MAX_BYTES, MAX_DEPTH, decode, encode
from jobsworth.codec.carry import deeper_than
from jobsworth.errors import BadArguments, Incompatible, JobsworthError, NotSerializable, TooDeep, TooLarge
from jobsworth.signature import Signature, describe

if TYPE_CHECKING:
    from nowhere import Ghost  # type: ignore[import-not-found]

UTC = dt.UTC


class Colour(enum.Enum):
    RED = 1


class Size(enum.StrEnum):
    BIG = "big"


@dataclass
class User:
    name: str
    born: dt.date
    extra: Any = None


@dataclass
class Admin(User):
    rights: list[str] = field(default_factory=list)


@dataclass
class Tree:
    children: list[Tree]


@dataclass(eq=False)
class Plain:
    at: dt.datetime


class Box(msgspec.Struct, rename="camel"):
    inner_id: UUID
    anything: Any = None


class Settings(TypedDict):
    depth: int
    at: NotRequired[dt.datetime]


class Point(NamedTuple):
    x: int
    y: float


def send_email(user_id: int, template: str, params: dict) -> str: ...  # type: ignore[type-arg]


def anything(item): ...  # type: ignore[no-untyped-def]


EMAIL = Signature.of(send_email)
ANYTHING = Signature.of(anything)


def carried(kind: Any, value: Any) -> Any:
    """The value as a handler gets it that annotates its argument with this type."""

    def task(value): ...  # type: ignore[no-untyped-def]

    task.__annotations__ = {"value": kind, "return": kind}
    signature = Signature.of(task)
    (came,), _ = signature.unpack(signature.pack((value,), {}))
    assert type(signature.unpack_result(signature.pack_result(value))) is type(came)
    return came


def refused(error: type[JobsworthError], call: Callable[[], object]) -> str:
    with pytest.raises(error) as caught:
        call()
    assert type(caught.value) is error
    return str(caught.value)


# --- values that nothing is said about -------------------------------------------------------------------------------

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | text
plain = st.recursive(scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4))


def same(a: Any, b: Any) -> bool:
    """Equal, of equal types, to the last bit."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b) and (not isinstance(a, float) or math.copysign(1, a) == math.copysign(1, b))


@given(plain)
@example(-0.0)
@example(2**64)
@example({"": [[], {}, None, True, 1, 1.0]})
def test_plain_values_come_back_equal_and_of_the_same_types(value: Any) -> None:
    assert same(decode(encode(value)), value)
    assert same(ANYTHING.unpack(ANYTHING.pack((value,), {}))[0][0], value)
    assert same(ANYTHING.unpack_result(ANYTHING.pack_result(value)), value)


strange = st.one_of(
    st.datetimes(),
    st.dates(),
    st.timedeltas(),
    st.uuids(),
    st.decimals(),
    st.binary(max_size=4),
    st.sets(st.integers(), max_size=3),
    st.sampled_from([Colour.RED, math.nan, math.inf, -math.inf, "\ud800", 1j, object(), 10**5000, range(3)]),
    st.builds(User, text, st.dates()),
    st.builds(Box, st.uuids()),
    st.builds(Point, st.integers(), st.just(0.5)),
    st.builds(Path, st.just("a")),
    st.dictionaries(st.integers() | st.uuids() | st.tuples(st.integers()), plain, min_size=1, max_size=2),
)


@given(strange, st.lists(st.sampled_from(["list", "dict", "tuple"]), max_size=5))
def test_what_json_would_turn_into_something_else_is_refused_anywhere(value: Any, wrappers: list[str]) -> None:
    for wrapper in wrappers:
        value = {"list": [0, value], "dict": {"a": 0, "k": value}, "tuple": (value,)}[wrapper]
    refused(NotSerializable, lambda: encode(value))
    refused(NotSerializable, lambda: ANYTHING.pack((value,), {}))
    refused(NotSerializable, lambda: ANYTHING.pack_result(value))


def test_a_refusal_names_the_argument_the_path_the_type_and_the_way_out() -> None:
    items = {"items": [1, 2, 3, {"when": dt.timedelta(1)}]}
    said = refused(NotSerializable, lambda: EMAIL.pack((7, "welcome", items), {}))
    assert said.splitlines() == [
        'E401: argument "params" -> items[3].when: datetime.timedelta is not serializable here',
        "  hint: annotate where it stands and it arrives as datetime.timedelta, or pass its .total_seconds()",
    ]


@pytest.mark.parametrize(
    ("value", "place"),
    [
        (b"x", "result: bytes"),
        ([{"a b": b"x"}], "result -> [0]['a b']: bytes"),
        ({"rows": [User("Ada", dt.date(1815, 12, 10))]}, "result -> rows[0]: "),
        ({"a": {1: 2}}, "result -> a: the key 1 is not"),
        ({1: 2, "1": 2}, "result: the key 1 is not"),
        ([{"\ud800": 2}], "result -> [0]: the key '\\ud800' is not"),
        ([[{(1, 2): 2}]], "result -> [0][0]: the key tuple is not"),
        ({"a": math.nan}, "result -> a: nan"),
        ({"a": (1, math.inf)}, "result -> a[1]: inf"),
        (["ok", "\ud800"], "result -> [1]: text with a lone surrogate"),
        ([10**5000], "result -> [0]: an int of that many digits"),
        ({"a": object()}, "result -> a: object"),
        ({"k" * 300: {}, "z": b""}, "result -> z: bytes"),
        ({"k" * 300: b""}, "result -> ['kkk"),
    ],
)
def test_the_path_leads_to_the_culprit(value: Any, place: str) -> None:
    said = refused(NotSerializable, lambda: encode(value, what="result"))
    assert said.startswith(f"E401: {place}")
    assert refused(NotSerializable, lambda: ANYTHING.pack_result(value)) == said
    assert len(said) < 300


def test_messages_show_types_and_keys_but_no_values() -> None:
    for value in ({"password": [b"hunter2"]}, {"password": Decimal("1.234567")}, {"password": {"\ud800hunter2"}}):
        said = refused(NotSerializable, lambda value=value: ANYTHING.pack((value,), {}))
        assert "hunter2" not in said
        assert "234567" not in said
    assert "hunter2" not in refused(BadArguments, lambda: EMAIL.pack(("hunter2", "", {}), {}))


def test_tuples_arrive_as_lists_and_subclasses_as_the_plain_type() -> None:
    class Name(str):
        def __str__(self) -> str:
            return "overridden"

    class Count(int): ...

    class Share(float): ...

    class Bag(dict[str, Any]): ...

    sent = Bag(size=(1, (2, 3)), name=Name("x"), count=Count(3), share=Share(0.5), kind=Size.BIG)
    came = decode(encode(sent))
    assert same(came, {"size": [1, [2, 3]], "name": "x", "count": 3, "share": 0.5, "kind": "big"})


# --- limits ----------------------------------------------------------------------------------------------------------


def nested(depth: int) -> Any:
    value: Any = 1
    for level in range(depth):
        value = [value] if level % 2 else {"k": value, "brackets": '"]}\\"[{'}
    return value


@pytest.mark.parametrize("send", [encode, lambda v: ANYTHING.pack((v,), {}), ANYTHING.pack_result])
def test_sixty_four_levels_travel_and_sixty_five_do_not(send: Callable[[Any], bytes]) -> None:
    data = send(nested(MAX_DEPTH))
    decode(data)
    ANYTHING.unpack_result(data)
    assert "nested deeper than 64" in refused(TooDeep, lambda: send(nested(MAX_DEPTH + 1)))


@pytest.mark.parametrize("send", [encode, lambda v: ANYTHING.pack((v,), {}), ANYTHING.pack_result])
@pytest.mark.parametrize("depth", [2_000, 100_000])
def test_bottomless_nesting_is_an_error_and_no_crash(send: Callable[[Any], bytes], depth: int) -> None:
    value: Any = []
    for _ in range(depth):
        value = [value]
    refused(TooDeep, lambda: send(value))


def test_bottomless_bytes_are_an_error_and_no_crash() -> None:
    for data in (b"[" * 100_000, b'{"item":' * 100_000, b"[" * 100_000 + b"]" * 100_000, b'{"item":' + b"[" * 99_999):
        refused(TooDeep, lambda data=data: decode(data))
        refused(Incompatible, lambda data=data: ANYTHING.unpack(data))
        refused(TooDeep, lambda data=data: ANYTHING.unpack_result(data))


def test_a_declared_type_may_not_nest_too_deep_either() -> None:
    def grow(tree: Tree) -> None: ...

    tree = Tree([])
    for _ in range(70):
        tree = Tree([tree])
    said = refused(TooDeep, lambda: Signature.of(grow).pack((tree,), {}))
    assert said.startswith('E403: argument "tree" -> children[0].children[0]')


@given(plain)
def test_depth_is_measured_exactly_whatever_the_strings_hold(value: Any) -> None:
    def depth(value: Any) -> int:
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
        return 0 if inner is None else 1 + max(map(depth, inner), default=0)

    for shown in (value, [value, {'[{"\\': '\\"[[', "]}": "}]"}]):
        data = msgspec.json.encode(shown)
        assert deeper_than(depth(shown) - 1, data) or depth(shown) == 0
        assert not deeper_than(depth(shown), data)


def test_what_holds_itself_is_refused_in_words() -> None:
    ring: dict[str, Any] = {"a": {}}
    ring["a"]["b"] = [ring]
    assert refused(NotSerializable, lambda: encode(ring)).startswith("E401: value -> a.b[0]: contains itself")
    assert 'argument "item" -> a.b[0]: contains' in refused(NotSerializable, lambda: ANYTHING.pack((ring,), {}))
    assert "result -> a.b[0]: contains" in refused(NotSerializable, lambda: ANYTHING.pack_result(ring))
    tree = Tree([])
    tree.children.append(tree)
    assert "children[0]: contains itself" in refused(NotSerializable, lambda: ANYTHING.pack((tree,), {}))


def test_the_same_object_twice_is_no_ring() -> None:
    shared = {"a": [1]}
    assert decode(encode([shared, shared, (shared,)])) == [shared, shared, [shared]]
    refused(TooDeep, lambda: encode([shared, shared, nested(MAX_DEPTH)]))


def test_the_size_limit_is_exact_and_names_the_argument() -> None:
    assert len(encode("x" * (MAX_BYTES - 2))) == MAX_BYTES
    refused(TooLarge, lambda: encode("x" * (MAX_BYTES - 1)))
    assert len(encode("x" * MAX_BYTES, limit=None)) == MAX_BYTES + 2
    small = Signature.of(send_email, limit=200)
    said = refused(TooLarge, lambda: small.pack((1, "x" * 300, {}), {}))
    assert 'argument "template" takes 302 bytes as JSON; the limit is 200 bytes' in said
    assert "all of send_email()'s arguments" in refused(
        TooLarge, lambda: small.pack((1, "x" * 99, {"a": "x" * 99}), {})
    )
    refused(TooLarge, lambda: small.pack_result("x" * 300))
    tiny = Signature.of(anything, limit=20)
    assert len(tiny.pack(("x" * 9,), {})) == 20
    refused(TooLarge, lambda: tiny.pack(("x" * 10,), {}))
    refused(TooLarge, lambda: tiny.pack_result("x" * 19))


def test_a_hundred_megabytes_are_refused_within_seconds() -> None:
    huge = "x" * 100_000_000
    started = time.monotonic()
    assert "95.4 MiB" in refused(TooLarge, lambda: EMAIL.pack((7, huge, {}), {}))
    assert time.monotonic() - started < 10


# --- values that an annotation declares ------------------------------------------------------------------------------

offsets = st.integers(-14 * 60, 14 * 60).map(lambda minutes: dt.timezone(dt.timedelta(minutes=minutes)))
declared: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (None, st.none()),
    (bool, st.booleans()),
    (int, st.integers()),
    (float, st.floats(allow_nan=False, allow_infinity=False)),
    (str, text),
    (bytes, st.binary()),
    (Size, st.sampled_from(Size)),
    (Colour, st.sampled_from(Colour)),
    (Literal["a", 3], st.sampled_from(["a", 3])),
    (dt.datetime, st.datetimes(timezones=st.none() | offsets)),
    (dt.date, st.dates()),
    (dt.time, st.times()),
    (dt.timedelta, st.timedeltas()),
    (UUID, st.uuids()),
    (Decimal, st.decimals(allow_nan=False)),
    (Path, st.sampled_from([Path("a/b"), Path("/")])),
    (list[UUID], st.lists(st.uuids(), max_size=3)),
    (dict[str, dt.date], st.dictionaries(text, st.dates(), max_size=3)),
    (dict[int, bytes], st.dictionaries(st.integers(-(2**63), 2**63 - 1), st.binary(), max_size=3)),
    (dict[UUID, Any], st.dictionaries(st.uuids(), plain, max_size=3)),
    (tuple[int, int], st.tuples(st.integers(), st.integers())),
    (tuple[str, ...], st.lists(text, max_size=3).map(tuple)),
    (set[UUID], st.sets(st.uuids(), max_size=3)),
    (frozenset[int], st.frozensets(st.integers(), max_size=3)),
    (int | None, st.none() | st.integers()),
    (dt.date | int | None, st.none() | st.integers() | st.dates()),
    (Annotated[int, msgspec.Meta(ge=0)], st.integers(0)),
    (User, st.builds(User, text, st.dates(), plain)),
    (User | None, st.none() | st.builds(User, text, st.dates())),
    (list[User], st.lists(st.builds(User, text, st.dates()), max_size=2)),
    (Box, st.builds(Box, st.uuids(), plain)),
    (Settings, st.fixed_dictionaries({"depth": st.integers()}, optional={"at": st.datetimes()})),
    (Point, st.builds(Point, st.integers(), st.floats(allow_nan=False, allow_infinity=False))),
]


@pytest.mark.parametrize(("kind", "values"), declared, ids=[str(kind) for kind, _ in declared])
@settings(max_examples=40)
@given(data=st.data())
def test_declared_types_arrive_as_such(kind: Any, values: st.SearchStrategy[Any], data: st.DataObject) -> None:
    value = data.draw(values)
    came = carried(kind, value)
    assert came == value
    assert type(came) is type(value)


def test_moments_in_the_hour_that_comes_twice_arrive() -> None:
    second = dt.datetime(2024, 10, 27, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"), fold=1)
    assert carried(dt.datetime, second).astimezone(UTC) == second.astimezone(UTC)


def test_a_moment_whose_offset_json_rounds_is_refused() -> None:
    odd = dt.datetime(1890, 1, 1, tzinfo=dt.timezone(dt.timedelta(minutes=53, seconds=28)))
    assert "would arrive as another" in refused(NotSerializable, lambda: carried(dt.datetime, odd))


def test_objects_that_have_no_equality_are_compared_by_their_fields() -> None:
    moment = dt.datetime(2024, 1, 1, tzinfo=UTC)
    assert carried(Plain, Plain(moment)).at == moment
    assert carried(list[Plain], [Plain(moment)])[0].at == moment


def test_an_untyped_field_of_a_declared_type_carries_only_plain_values() -> None:
    def greet(user: User, box: Box) -> None: ...

    greeting = Signature.of(greet)
    user, box = User("Ada", dt.date(1815, 12, 10)), Box(uuid4())
    user.extra = [{"at": dt.date(1852, 11, 27)}]
    said = refused(NotSerializable, lambda: greeting.pack((user, box), {}))
    assert said.startswith('E401: argument "user" -> extra[0].at: datetime.date is not')
    user.extra, box.anything = None, {"ids": {1, 2}}
    said = refused(NotSerializable, lambda: greeting.pack((user, box), {}))
    assert said.startswith('E401: argument "box" -> anything.ids: set is not')


@pytest.mark.parametrize(
    ("kind", "value", "place"),
    [
        (dict[str, Any], {"a": UUID(int=0)}, 'argument "value" -> a: uuid.UUID is not'),
        (list, [1, {2}], 'argument "value" -> [1]: set is not'),
        (set, {UUID(int=0)}, 'argument "value" -> [...]: uuid.UUID is not'),
        (tuple, (1, b""), 'argument "value" -> [1]: bytes is not'),
        (dict, {1: 2}, 'argument "value": the key 1 is not'),
        (float, math.nan, 'argument "value": nan is not'),
        (float | None, math.inf, 'argument "value": inf is not'),
        (list[float], [0.5, math.nan], 'argument "value" -> [1]: nan is not'),
        (Settings, {"depth": 1, "dept": 2}, "argument \"value\": the key 'dept' would be lost"),
        (User, {"name": "", "born": "2000-01-01", "nam": 1}, 'argument "value": tests'),
        (Any, Point(1, 2), 'argument "value": '),
    ],
)
def test_what_the_annotation_leaves_open_must_be_plain(kind: Any, value: Any, place: str) -> None:
    place = place.replace("tests", f"{__name__}.User has no field 'nam'")
    assert refused(NotSerializable, lambda: carried(kind, value)).startswith(f"E401: {place}")


@pytest.mark.parametrize(
    ("kind", "value", "said"),
    [
        (int, "7", "expected int, got str"),
        (int, True, "expected int, got bool"),
        (int, 1.5, "expected int, got float"),
        (int, None, "expected int, got NoneType"),
        (str, b"x", "expected str, got bytes"),
        (str, Colour.RED, "expected str, got"),
        (str, dt.date(2000, 1, 1), "expected str, got datetime.date"),
        (dict, {1}, "expected dict, got set"),
        (list, {1}, "expected list, got set"),
        (int | None, "x", "expected int | None, got str"),
        (User, Point(1, 2), "expected dict, got"),
        (User, Admin("Ada", dt.date(1815, 12, 10)), "got "),
        (UUID, "x", "Invalid UUID"),
        (Size, "small", "Invalid enum value"),
        (Annotated[int, msgspec.Meta(ge=0)], -1, "expected int >= 0"),
    ],
)
def test_a_value_of_the_wrong_type_is_refused_at_the_call(kind: Any, value: Any, said: str) -> None:
    text = refused(BadArguments, lambda: carried(kind, value))
    assert text.startswith('E404: argument "value": ')
    assert said in text
    assert "hint: the signature is task(value: " in text


def test_a_wrong_type_inside_is_refused_with_its_path() -> None:
    said = refused(BadArguments, lambda: carried(list[User], [{"name": 1, "born": "2000-01-01"}]))
    assert said.startswith('E404: argument "value" -> [0].name: expected str, got int')
    said = refused(BadArguments, lambda: carried(dict[UUID, int], {"x": 1}))
    assert said.startswith('E404: argument "value": a key: Invalid UUID')


def test_plain_values_may_stand_for_declared_ones_as_on_a_command_line() -> None:
    assert carried(User, {"name": "Ada", "born": "1815-12-10"}) == User("Ada", dt.date(1815, 12, 10))
    assert carried(Box, {"innerId": str(UUID(int=1)), "anything": (1,)}) == Box(UUID(int=1), [1])
    assert carried(set[UUID], [str(UUID(int=1))]) == {UUID(int=1)}
    assert carried(tuple[int, int], [1, 2]) == (1, 2)
    assert carried(Point, [1, 2]) == Point(1, 2)
    assert carried(Path, "a/b") == Path("a/b")
    assert carried(float, 3) == 3.0
    assert carried(tuple[int, float], Point(1, 2)) == (1, 2.0)


def test_pydantic_models_travel_and_their_errors_show_no_input() -> None:
    pydantic = pytest.importorskip("pydantic")

    class Order(pydantic.BaseModel):  # type: ignore[misc, name-defined]
        number: int = pydantic.Field(alias="orderNumber")
        at: dt.datetime
        parts: list[Decimal] = []

    order = Order(orderNumber=7, at=dt.datetime(2024, 1, 1, tzinfo=UTC), parts=[Decimal("1.50")])
    assert carried(Order, order) == order
    assert carried(list[Order], [order, order]) == [order, order]
    assert carried(Order | None, None) is None
    assert carried(Order, {"orderNumber": 7, "at": "2024-01-01T00:00:00Z", "parts": ["1.50"]}) == order
    said = refused(BadArguments, lambda: carried(Order, {"orderNumber": "hunter2", "at": "2024-01-01T00:00:00Z"}))
    assert 'argument "value": ' in said
    assert "orderNumber: Input should be a valid integer" in said
    assert "hunter2" not in said
    assert "Order is not serializable here" in refused(NotSerializable, lambda: ANYTHING.pack((order,), {}))


def test_attrs_classes_travel() -> None:
    attrs = pytest.importorskip("attrs")
    part = attrs.make_class("Part", {"at": attrs.field(type=dt.date), "note": attrs.field(type=Any, default=None)})
    assert carried(part, part(dt.date(2000, 1, 1))) == part(dt.date(2000, 1, 1))
    said = refused(NotSerializable, lambda: carried(part, part(dt.date(2000, 1, 1), [b""])))
    assert said.startswith('E401: argument "value" -> note[0]: bytes is not')


def test_pydantic_is_never_imported_for_those_who_do_not_use_it() -> None:
    program = (
        "import sys\nfrom jobsworth.signature import Signature\n"
        "def f(a: int, b: dict): ...\ns = Signature.of(f)\ns.unpack(s.pack((1, {'a': (1, 2)}), {}))\n"
        "assert 'pydantic' not in sys.modules and 'attrs' not in sys.modules and 'pickle' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


# --- signatures ------------------------------------------------------------------------------------------------------


def test_arguments_are_one_object_keyed_by_name_without_what_was_not_given() -> None:
    def resize(path: str, width: int = 200, *, quality: int = 80, fast: bool) -> None: ...

    signature = Signature.of(resize)
    assert decode(signature.pack(("a.png",), {"fast": True})) == {"path": "a.png", "fast": True}
    assert signature.unpack(signature.pack(("a.png",), {"fast": True})) == (("a.png",), {"fast": True})
    assert signature.unpack(signature.pack((), {"path": "a", "quality": 80, "fast": False})) == (
        ("a",),
        {"quality": 80, "fast": False},
    )
    assert EMAIL.unpack(EMAIL.pack((7, "welcome", {}), {})) == ((7, "welcome", {}), {})
    assert EMAIL.unpack(EMAIL.pack((7,), {"params": {}, "template": "x"})) == ((7, "x", {}), {})


def test_a_changed_default_is_in_force_for_stored_jobs() -> None:
    def before(path: str, width: int = 200) -> None: ...
    def after(path: str, width: int = 400, height: int = 300) -> tuple[str, int, int]:
        return path, width, height

    args, kwargs = Signature.of(after).unpack(Signature.of(before).pack(("a",), {}))
    assert after(*args, **kwargs) == ("a", 400, 300)
    args, kwargs = Signature.of(after).unpack(Signature.of(before).pack(("a", 200), {}))
    assert after(*args, **kwargs) == ("a", 200, 300)
    args, kwargs = Signature.of(after).unpack(b'{"path":"a","height":1}')
    assert after(*args, **kwargs) == ("a", 400, 1)


def everything(
    a: int, b: float = 0.5, /, c: dt.date = dt.date.min, *rest: UUID, d: int, e: int = 5, **more: bytes
) -> Any:
    return a, b, c, rest, d, e, more


def mixed(a: Any, b: Any = 1, *, c: Any = 2) -> Any:
    return a, b, c


def stars(*args: Any, **kwargs: Any) -> Any:
    return args, kwargs


def only_named(*, __a: int, args: int = 3) -> Any:
    return __a, args


calls = st.tuples(
    st.lists(st.integers(0, 3), max_size=5), st.dictionaries(st.sampled_from("abcdefg"), st.integers(0, 3))
)


@pytest.mark.parametrize("fn", [mixed, stars, anything, only_named], ids=lambda fn: fn.__name__)
@given(call=calls)
def test_calls_are_checked_and_carried_as_python_would(fn: Callable[..., Any], call: Any) -> None:
    args, kwargs = call
    signature = Signature.of(fn)
    try:
        inspect.signature(fn).bind(*args, **kwargs)
    except TypeError:
        refused(BadArguments, lambda: signature.pack(tuple(args), kwargs))
        return
    came_args, came_kwargs = signature.unpack(signature.pack(tuple(args), kwargs))
    assert fn(*came_args, **came_kwargs) == fn(*args, **kwargs)


def test_stars_and_positional_only_parameters_arrive_as_their_types() -> None:
    one = UUID(int=1)
    signature = Signature.of(everything)
    for args, kwargs in (
        ((1,), {"d": 2}),
        ((1, 2), {"d": 2, "e": 0, "a": b"not a", "x": b""}),
        ((1, 2, dt.date.max, one, one), {"d": 2, "rest": b"", "more": b"", "*rest": b"\xff"}),
        ((0,), {"c": dt.date.max, "d": 0}),
    ):
        came_args, came_kwargs = signature.unpack(signature.pack(args, kwargs))
        assert everything(*came_args, **came_kwargs) == everything(*args, **kwargs)
    said = refused(BadArguments, lambda: signature.pack((1, 2, dt.date.max, "x"), {"d": 1}))
    assert said.startswith('E404: argument "*rest" -> [0]: Invalid UUID')


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: EMAIL.pack((7,), {}), 'send_email() needs arguments "template", "params"'),
        (lambda: EMAIL.pack((7, "x"), {"parms": {}}), 'send_email() has no argument "parms". Did you mean "params"?'),
        (lambda: EMAIL.pack((7, "x", {}, 4), {}), "send_email(): too many positional arguments"),
        (lambda: EMAIL.pack((7, "x", {}), {"user_id": 7}), "send_email(): multiple values for argument 'user_id'"),
        (lambda: Signature.of(everything).pack((1,), {}), 'everything() needs argument "d"'),
        (lambda: Signature.of(everything).pack((), {"a": b"", "d": 1}), "everything()"),
    ],
)
def test_a_call_that_does_not_fit_says_what_is_wrong_and_shows_the_signature(call: Any, said: str) -> None:
    text = refused(BadArguments, call)
    assert text.startswith(f"E404: {said}")
    assert "hint: the signature is " in text


def test_a_signature_is_shown_as_its_author_wrote_it() -> None:
    def odd(a, /, b: dict[str, User | None] = {}, *, c: Ghost = None): ...  # type: ignore[no-untyped-def] # noqa: B006

    assert describe(EMAIL) == "send_email(user_id: int, template: str, params: dict)"
    assert describe(Signature.of(odd)) == "odd(a, /, b: dict[str, User | None] = {}, *, c: Ghost = None)"


def test_an_annotation_that_cannot_be_resolved_counts_as_any_and_the_refusal_says_so() -> None:
    def haunt(ghost: Ghost, when: dt.date) -> Ghost: ...

    signature = Signature.of(haunt)
    assert signature.returns is Any
    assert signature.unpack(signature.pack(({"a": 1}, dt.date.max), {})) == (({"a": 1}, dt.date.max), {})
    said = refused(NotSerializable, lambda: signature.pack((b"", dt.date.max), {}))
    assert "hint: its annotation counts for nothing: NameError: name 'Ghost' is not defined" in said


@pytest.mark.parametrize("kind", [User | Admin, Callable, complex, 5, "not an annotation", Iterable[int], object, type])
def test_no_annotation_makes_a_declaration_fail(kind: Any) -> None:
    def task(value): ...  # type: ignore[no-untyped-def]

    task.__annotations__ = {"value": kind, "return": kind}
    Signature.of(task)


def test_an_iterable_is_what_json_makes_of_it() -> None:
    assert carried(Iterable[int], [1, 2]) == [1, 2]


def test_injected_parameters_are_skipped_and_methods_partials_and_decorated_functions_are_seen_through() -> None:
    class Queue:
        def handle_item(self, item: dt.date) -> None: ...

        async def __call__(self, item: dt.date) -> None: ...

    def decorated(fn: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(fn)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            return fn(*args, **kwargs)

        return wrapper

    def two(job: object, item: dt.date) -> None: ...

    for signature in (
        Signature.of(Queue.handle_item, skip=1),
        Signature.of(Queue().handle_item),
        Signature.of(Queue()),
        Signature.of(functools.partial(two, None)),
        Signature.of(decorated(two), skip=1),
    ):
        assert signature.unpack(signature.pack((dt.date.max,), {})) == ((dt.date.max,), {})
    assert describe(Signature.of(Queue.handle_item, skip=1)) == "handle_item(item: dt.date)"


# --- what is stored already ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b'{"user_id":1,"template":"x","params":{},"size":1}', 'send_email() has no argument "size"'),
        (b'{"user_id":1}', 'send_email() needs arguments "template", "params"'),
        (
            b'{"user_id":1,"template":"x","parms":{}}',
            'send_email() needs argument "params" and has no argument "parms". Did you mean "params"?',
        ),
        (b'{"user_id":"1","template":"x","params":{}}', 'stored arguments do not fit send_email(): argument "user_id"'),
        (b"[]", "stored arguments do not fit send_email(): expected dict, got list"),
        (b"", "the stored arguments of send_email() cannot be read"),
        (b"\x80\x04K\x01.", "the stored arguments of send_email() cannot be read"),
        (b'{"user_id":' + b"1" * 5000 + b"}", "the stored arguments of send_email() cannot be read"),
    ],
)
def test_stored_arguments_that_no_longer_fit_say_why(data: bytes, said: str) -> None:
    text = refused(Incompatible, lambda: EMAIL.unpack(data))
    assert text.startswith(f"E405: {said}")


@pytest.mark.parametrize(
    "data",
    [
        b'{"*rest":["00000000-0000-0000-0000-000000000001"],"a":1,"d":1}',
        b'{"a":1,"d":1,"**more":{"d":"AA=="}}',
        b'{"a":1,"d":1,"**more":{"c":"AA=="}}',
        b'{"a":1,"d":1,"rest":[]}',
    ],
)
def test_stored_arguments_never_reach_the_wrong_parameter(data: bytes) -> None:
    refused(Incompatible, lambda: Signature.of(everything).unpack(data))


class Touchy(msgspec.Struct):
    at: dt.datetime | int
    sign: set[Any] = set()

    def __post_init__(self) -> None:
        raise KeyError("user code in a decoder")


def touchy(a: int, b: Touchy | None = None, *c: Decimal, **d: Path) -> None: ...


keys = st.sampled_from(["user_id", "template", "params", "a", "b", "*c", "**d", "at", "sign", "item"])
soup = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys | text, inner, max_size=5)
)


@settings(max_examples=300)
@given(st.binary(max_size=40) | soup.map(msgspec.json.encode), st.integers(0, 60), st.binary(max_size=2))
@example(b'{"a":1,"b":{"at":1}}', 60, b"")
@example(b'{"a":1e999}', 60, b"")
@example(b"1" * 10_000, 0, b"1")
@example(b'{"a":-' + b"9" * 100_000 + b"}", 60, b"")
def test_whatever_the_bytes_are_only_our_errors_come_out(data: bytes, cut: int, patch: bytes) -> None:
    damaged = data[:cut] + patch + data[cut + len(patch) :]
    for signature in (EMAIL, ANYTHING, Signature.of(touchy), Signature.of(everything)):
        for read in (signature.unpack, signature.unpack_result, decode):
            allowed = (Incompatible,) if read == signature.unpack else (Incompatible, TooDeep)
            with contextlib.suppress(*allowed):
                read(damaged)


def test_user_code_that_fails_in_a_decoder_makes_the_call_bad_not_the_worker() -> None:
    signature = Signature.of(touchy)
    refused(BadArguments, lambda: signature.pack((1, {"at": 3}), {}))
    refused(Incompatible, lambda: signature.unpack(b'{"a":1,"b":{"at":3}}'))


# --- results ---------------------------------------------------------------------------------------------------------


def test_a_result_arrives_as_its_annotation_says() -> None:
    def count() -> dict[str, dt.date]: ...
    def born() -> User: ...

    counting, bearing = Signature.of(count), Signature.of(born)
    assert counting.returns == dict[str, dt.date]
    assert counting.unpack_result(counting.pack_result({"a": dt.date.max})) == {"a": dt.date.max}
    user = User("Ada", dt.date(1815, 12, 10))
    assert bearing.unpack_result(bearing.pack_result(user)) == user
    assert bearing.unpack_result(bearing.pack_result(None)) is None


def test_a_result_that_does_not_fit_its_annotation_travels_as_plain_json() -> None:
    assert EMAIL.unpack_result(EMAIL.pack_result({"sent": (1, 2)})) == {"sent": [1, 2]}
    assert EMAIL.unpack_result(EMAIL.pack_result(["x"])) == ["x"]


def test_a_result_that_would_change_on_the_way_is_refused() -> None:
    said = refused(NotSerializable, lambda: EMAIL.pack_result({"rows": [{"at": dt.date.max}]}))
    assert said.startswith("E401: result -> rows[0].at: datetime.date is not serializable here")
    refused(NotSerializable, lambda: EMAIL.pack_result(UUID(int=1)))
    refused(NotSerializable, lambda: ANYTHING.pack_result(User("Ada", dt.date.max)))
