"""The proxy itself: a test that trusts it to cut at a byte must be able to."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
import time
from collections.abc import Iterator

import pytest
from proxy import Proxy

from waiting import until


class Echo(socketserver.ThreadingTCPServer):
    """A server that sends back what it gets, and remembers it."""

    def __init__(self) -> None:
        self.got = b""
        self.ends: list[str] = []  # how each connection ended
        super().__init__(("127.0.0.1", 0), Echoing)
        self.port = self.server_address[1]
        self.thread = threading.Thread(target=self.serve_forever, args=[0.01])
        self.thread.start()

    def close(self) -> None:
        self.shutdown()
        self.server_close()
        self.thread.join()


class Echoing(socketserver.BaseRequestHandler):
    server: Echo

    def handle(self) -> None:
        end = "closed"
        try:
            while piece := self.request.recv(65536):
                self.server.got += piece
                self.request.sendall(piece)
        except OSError:
            end = "reset"
        self.server.ends.append(end)


@pytest.fixture
def echo() -> Iterator[Echo]:
    echo = Echo()
    yield echo
    echo.close()


@pytest.fixture
def proxy(echo: Echo) -> Iterator[Proxy]:
    with Proxy(echo.port) as proxy:
        yield proxy


@pytest.fixture
def client(proxy: Proxy) -> Iterator[socket.socket]:
    with connect(proxy) as client:
        yield client


def connect(proxy: Proxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), 10)


def ask(client: socket.socket, question: bytes) -> bytes:
    client.sendall(question)
    return hear(client, len(question))


def hear(client: socket.socket, number: int) -> bytes:
    """This many bytes, or all there are until the end."""
    heard = b""
    while len(heard) < number and (piece := client.recv(number - len(heard))):
        heard += piece
    return heard


def nothing_comes(client: socket.socket) -> bool:
    client.settimeout(0.2)
    try:
        return client.recv(1) == b"never"
    except TimeoutError:
        return True
    finally:
        client.settimeout(10)


def test_what_passes_through_arrives_whole_and_is_counted(proxy: Proxy, client: socket.socket, echo: Echo) -> None:
    question = bytes(range(256)) * 4096
    sender = threading.Thread(target=client.sendall, args=[question])
    sender.start()
    assert hear(client, len(question)) == question
    sender.join()
    assert proxy.forwarded == {"to_server": len(question), "to_client": len(question)}
    assert proxy.seen == proxy.forwarded
    assert echo.got == question
    assert (proxy.accepted, proxy.live) == (1, 1)


def test_an_end_passes_through(proxy: Proxy, client: socket.socket, echo: Echo) -> None:
    assert ask(client, b"hello") == b"hello"
    client.shutdown(socket.SHUT_WR)
    assert client.recv(1) == b""
    until(lambda: echo.ends == ["closed"] and proxy.live == 0)


def test_a_delay_comes_twice_between_question_and_answer(proxy: Proxy, client: socket.socket) -> None:
    proxy.delay(0.1)
    asked = time.monotonic()
    assert ask(client, b"hello") == b"hello"
    assert time.monotonic() - asked >= 0.2


def test_a_delay_ends_when_it_is_called_off(proxy: Proxy, client: socket.socket) -> None:
    assert ask(client, b"before") == b"before"
    proxy.delay(3600)
    client.sendall(b"hello")
    until(lambda: proxy.seen["to_server"] == 11)
    assert nothing_comes(client)
    proxy.pass_through()
    assert hear(client, 5) == b"hello"


@pytest.mark.parametrize("number", [0, 1, 4, 5])
def test_a_question_is_cut_at_the_byte(proxy: Proxy, client: socket.socket, echo: Echo, number: int) -> None:
    assert ask(client, b"before") == b"before"
    proxy.cut_after(number, "to_server")
    with contextlib.suppress(ConnectionResetError):
        ask(client, b"hello")
    until(lambda: proxy.live == 0 and echo.ends)
    assert echo.got == b"before" + b"hello"[:number]
    assert proxy.forwarded["to_server"] == 6 + number
    assert proxy.cuts == 1


@pytest.mark.parametrize("number", [0, 1, 4, 5])
def test_an_answer_is_cut_at_the_byte(proxy: Proxy, client: socket.socket, echo: Echo, number: int) -> None:
    assert ask(client, b"before") == b"before"
    proxy.cut_after(number, "to_client")
    assert ask(client, b"hello, you") == b"hello, you"[:number]
    assert client.recv(1) == b""
    assert echo.got == b"beforehello, you"
    until(lambda: proxy.live == 0)


def test_a_cut_counts_over_several_questions_and_ends_all_connections(proxy: Proxy, client: socket.socket) -> None:
    with connect(proxy) as other:
        assert ask(other, b"x") == b"x"
        proxy.cut_after(7, "to_client")
        assert ask(client, b"hello") == b"hello"
        assert ask(other, b"world") == b"wo"
        assert client.recv(1) == other.recv(1) == b""
    with connect(proxy) as later:
        assert ask(later, b"again, and more of it") == b"again, and more of it"


def test_a_reset_reaches_both_sides(proxy: Proxy, client: socket.socket, echo: Echo) -> None:
    assert ask(client, b"hello") == b"hello"
    proxy.reset()
    assert proxy.live == 0
    with pytest.raises(ConnectionResetError):
        client.recv(1)
    until(lambda: echo.ends == ["reset"])
    with connect(proxy) as later:
        assert ask(later, b"again") == b"again"


def test_a_reset_reaches_a_connection_that_came_at_that_very_moment(proxy: Proxy) -> None:
    """Cancelled before it has begun, its task never runs: whoever knocked must be let go of all the same."""
    knocking = []

    def at_once() -> None:
        knocking.append(connect(proxy))
        proxy._accept()
        proxy._end_all(reset=True)

    proxy._do(at_once)
    with knocking[0] as client, pytest.raises(ConnectionResetError):
        client.recv(1)
    assert (proxy.accepted, proxy.live) == (1, 0)


def test_a_black_hole_swallows_questions_answers_and_ends(proxy: Proxy, client: socket.socket, echo: Echo) -> None:
    assert ask(client, b"hello") == b"hello"
    proxy.black_hole()
    client.sendall(b"lost?")
    with connect(proxy) as newcomer:
        newcomer.sendall(b"anybody?")
        assert nothing_comes(client)
        assert nothing_comes(newcomer)
        client.shutdown(socket.SHUT_WR)
        assert nothing_comes(client)
        assert (echo.got, echo.ends) == (b"hello", [])
        proxy.pass_through()  # held up is not lost
        assert hear(client, 6) == b"lost?"
        assert hear(newcomer, 8) == b"anybody?"


def test_a_black_hole_tells_nobody_of_a_reset(proxy: Proxy, client: socket.socket, echo: Echo) -> None:
    assert ask(client, b"hello") == b"hello"
    proxy.black_hole()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.close()
    with connect(proxy) as newcomer:  # what comes to the proxy after the reset, and is silent too
        until(lambda: proxy.accepted == 2)
        assert nothing_comes(newcomer)
    assert echo.ends == []
    proxy.reset()
    until(lambda: echo.ends == ["reset"])


def test_a_stranded_connection_is_silent_for_ever_and_new_ones_pass(proxy: Proxy, client: socket.socket) -> None:
    assert ask(client, b"one") == b"one"
    proxy.black_hole()
    client.sendall(b"two")
    proxy.strand()
    proxy.pass_through()
    with connect(proxy) as other:
        assert ask(other, b"three") == b"three"
    assert nothing_comes(client)


def test_a_buried_connection_ends_for_the_server_and_not_for_its_client(
    proxy: Proxy, client: socket.socket, echo: Echo
) -> None:
    assert ask(client, b"one") == b"one"
    with connect(proxy) as other:
        assert ask(other, b"two") == b"two"
        proxy.strand()
        with connect(proxy) as third:
            assert ask(third, b"three") == b"three"
            proxy.bury()
            until(lambda: echo.ends == ["closed"] * 2)
            assert nothing_comes(client)
            assert nothing_comes(other)
            assert ask(third, b"four") == b"four"


def test_a_server_that_is_not_there_resets() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        nobody = listener.getsockname()[1]
    with Proxy(nobody) as proxy, pytest.raises(ConnectionResetError), connect(proxy) as client:
        client.recv(1)


def test_a_url_leads_through_it_and_keeps_everything_else(proxy: Proxy) -> None:
    assert proxy.through("redis://127.0.0.1:6379/3?a=b") == f"redis://127.0.0.1:{proxy.port}/3?a=b"
    assert proxy.through("postgresql://me:secret@db:5432/x") == f"postgresql://me:secret@127.0.0.1:{proxy.port}/x"


def test_nothing_is_left_of_a_closed_proxy(echo: Echo) -> None:
    threads = threading.active_count()
    with Proxy(echo.port) as proxy, connect(proxy) as client:
        assert ask(client, b"hello") == b"hello"
        proxy.black_hole()
        proxy.close()
        assert client.recv(1) == b""
    with pytest.raises(ConnectionRefusedError):
        connect(proxy)
    until(lambda: threading.active_count() <= threads and echo.ends)
