"""What a webhook's message may be sent to, from the connection's point of view."""

import asyncio
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from patchmill.deliver.addresses import Address
from patchmill.deliver.post import Answer, Poster, retry_after_s
from tests.support.raw_server import Cut, Hold, RawServer
from tests.support.receiver import Receiver, Reply

LOOPBACK = [ip_network("127.0.0.0/8")]
ONE = [ip_network("127.0.0.1/32")]
HEADERS = {"webhook-id": "msg_1"}
BODY = b'{"type":"webhook.test"}'


def post(poster: Poster, url: str) -> Answer:
    return asyncio.run(poster.post(url, HEADERS, BODY))


@pytest.fixture
def canary() -> Iterator[socket.socket]:
    """Listens where nothing may connect; a connection would wait to be accepted."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)  # noqa: FBT003 - the socket's own signature
        yield listening


def untouched(canary: socket.socket) -> bool:
    try:
        canary.accept()[0].close()
    except BlockingIOError:
        return True
    return False


HOSTS = [
    "127.0.0.1",
    "2130706433",
    "0x7f000001",
    "0x7f.1",
    "127.1",
    "127.0.1",
    "0",
    "0.0.0.0",  # noqa: S104 - it is refused
    "localhost",
    "LOCALHOST",
    "localhost.",
    "127.0.0.1.",
    "[::1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b:1::7f00:1]",
    "[2002:7f00:1::]",
    "[fe80::1%25lo]",
    "00000177.1",
    "%31%32%37.0.0.1",
    "\u2460\u2461\u2466.\u24ea.\u24ea.\u2460",
    "127\u30020\u30020\u30021",
    "user@127.0.0.1",
    "x@127.0.0.1:80@127.0.0.1",
]


@pytest.mark.parametrize("host", HOSTS)
def test_no_way_to_write_loopback_reaches_it(canary: socket.socket, host: str) -> None:
    answer = post(Poster(), f"http://{host}:{canary.getsockname()[1]}/")

    assert answer.status is None
    assert answer.error
    assert untouched(canary)


def test_an_allowed_network_is_reached() -> None:
    with Receiver() as receiver:
        answer = post(Poster(LOOPBACK), receiver.url("/a?b=c"))
        (message,) = receiver.messages

    assert (answer.status, answer.error, answer.delivered) == (204, None, True)
    assert message.path == "/a?b=c"
    assert message.body == BODY
    assert message.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert message.headers["webhook-id"] == "msg_1"


def test_a_name_that_changes_its_address_is_never_connected_to_unjudged() -> None:
    answers: list[list[Address]] = [[ip_address("127.0.0.1")], [ip_address("127.0.0.2")]]
    asked: list[str] = []

    def rebinding(host: str) -> list[Address]:
        asked.append(host)
        return answers[min(len(asked), len(answers)) - 1]

    poster = Poster(ONE, look_up=rebinding)
    with Receiver() as public, Receiver(host="127.0.0.2", port=public.port) as private:
        url = f"http://hooks.example:{public.port}/"

        first = post(poster, url)
        looked_up_once = list(asked)
        second = post(poster, url)

        assert first.status == 204
        assert looked_up_once == ["hooks.example"]
        assert public.messages[0].headers["host"] == f"hooks.example:{public.port}"
        assert second.status is None
        assert "not public" in (second.error or "")
        assert (len(public.messages), private.messages) == (1, [])


def test_a_name_with_a_public_and_a_private_address_is_refused_whole() -> None:
    with Receiver() as allowed, Receiver(host="127.0.0.2", port=allowed.port) as private:
        both: list[Address] = [ip_address("127.0.0.1"), ip_address("127.0.0.2")]

        answer = post(Poster(ONE, look_up=lambda _: both), f"http://hooks.example:{allowed.port}/")

        assert "not public" in (answer.error or "")
        assert (allowed.messages, private.messages) == ([], [])


def test_the_next_address_is_tried_when_one_does_not_answer() -> None:
    with Receiver() as receiver:
        both: list[Address] = [ip_address("127.0.0.2"), ip_address("127.0.0.1")]

        answer = post(Poster(LOOPBACK, look_up=lambda _: both), f"http://hooks.example:{receiver.port}/")

    assert answer.status == 204


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_a_failure_and_is_not_followed(status: int) -> None:
    with Receiver() as target, Receiver(Reply(status=status, headers={"Location": target.url()})) as first:
        answer = post(Poster(LOOPBACK), first.url())

        assert not answer.delivered
        assert answer.status == status
        assert "redirects are not followed" in (answer.error or "")
        assert (len(first.messages), target.messages) == (1, [])


def test_a_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with Receiver() as receiver, Receiver() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url(""))

        assert post(Poster(LOOPBACK), receiver.url()).delivered
        assert proxy.messages == []


def test_a_huge_answer_is_not_read() -> None:
    head = b"HTTP/1.1 500 No\r\nContent-Length: 1000000000\r\n\r\n"
    with RawServer([head + b"x" * 200_000, Cut()]) as server:
        answer = post(Poster(LOOPBACK), server.url)

    assert (answer.status, answer.error) == (500, "the endpoint answered 500")


@pytest.mark.parametrize(
    "reply",
    [b"nonsense\r\n\r\n", b"HTTP/1.1 OK\r\n\r\n", b"", b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000],
    ids=["no HTTP", "no status", "nothing", "an endless header"],
)
def test_an_answer_that_is_none_is_a_failure(reply: bytes) -> None:
    with RawServer([reply, Cut()]) as server:
        answer = post(Poster(LOOPBACK), server.url)

    assert answer.status is None
    assert (answer.error or "").startswith("the connection broke")


ENDLESS = {
    "answers before the answer": b"HTTP/1.1 103 Early Hints\r\n\r\n" * 100_000,
    "headers": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100_000,
    "a trailer": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + b"X: y\r\n" * 100_000,
    "the sizes of chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"0" * 500_000,
}


@pytest.mark.parametrize("what", ENDLESS)
def test_an_answer_without_end_is_read_to_a_bound(what: str) -> None:
    with RawServer([ENDLESS[what], Hold()]) as server:
        answer = post(Poster(LOOPBACK), server.url)

    assert (answer.error or "").startswith("the connection broke")
    assert answer.latency_ms < 5_000


def test_an_endpoint_that_drips_is_left_in_time() -> None:
    stop = threading.Event()

    def drip(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection:
            connection.sendall(b"HTTP/1.1 200 OK\r\n")
            while not stop.wait(0.05):
                try:
                    connection.sendall(b"X: y\r\n")
                except OSError:
                    return

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=drip, args=(listening,), daemon=True)
        thread.start()
        answer = post(Poster(LOOPBACK, timeout_s=0.5), f"http://127.0.0.1:{listening.getsockname()[1]}/")
        stop.set()
        thread.join()

    assert answer.error == "no answer within 0.5 seconds"
    assert answer.latency_ms < 5_000


def test_nobody_listening_is_a_failure_that_says_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]

    assert (post(Poster(LOOPBACK), f"http://127.0.0.1:{port}/").error or "").startswith("cannot connect")


def test_an_unknown_name_is_a_failure_that_says_so() -> None:
    def nowhere(_: str) -> list[Address]:
        raise OSError("no such name")

    answer = post(Poster(look_up=nowhere), "https://hooks.example/")

    assert answer.error == "cannot connect: the host's name is not known"


def test_names_that_nobody_answers_for_hold_up_no_other() -> None:
    over = threading.Event()

    def look_up(host: str) -> list[Address]:
        if host != "hooks.example":
            over.wait(20)
        return [ip_address("127.0.0.1")]

    async def all_at_once(poster: Poster, port: int) -> Answer:
        async with asyncio.TaskGroup() as group:
            hanging = [
                group.create_task(poster.post(f"http://{number}.example:{port}/", HEADERS, BODY))
                for number in range(50)
            ]
            await asyncio.sleep(0)  # they are on their way
            answer = await poster.post(f"http://hooks.example:{port}/", HEADERS, BODY)
            assert not any(task.done() for task in hanging)
            over.set()
        return answer

    with Receiver() as receiver:
        answer = asyncio.run(all_at_once(Poster(LOOPBACK, look_up=look_up), receiver.port))

    assert answer.delivered


def test_tls_asks_for_the_name_of_the_url_at_the_address_that_was_judged() -> None:
    loopback: list[Address] = [ip_address("127.0.0.1")]
    hello: list[bytes] = []

    def listen(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection:
            hello.append(connection.recv(4_096))

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=listen, args=(listening,), daemon=True)
        thread.start()
        url = f"https://hooks.example:{listening.getsockname()[1]}/"
        answer = post(Poster(LOOPBACK, look_up=lambda _: loopback), url)
        thread.join()

    assert b"hooks.example" in hello[0]
    assert answer.status is None


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
@pytest.mark.parametrize(("host", "delivered"), [("hooks.example", True), ("other.example", False)])
def test_a_certificate_must_be_for_the_name_of_the_url(
    host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, delivered: bool
) -> None:
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    make = f"openssl req -x509 -newkey rsa:2048 -nodes -days 2 -keyout {key} -out {certificate}"
    name = "-subj /CN=hooks.example -addext subjectAltName=DNS:hooks.example"
    subprocess.run(f"{make} {name}".split(), check=True, capture_output=True)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    loopback: list[Address] = [ip_address("127.0.0.1")]

    with Receiver(tls=context) as receiver:
        url = f"https://{host}:{receiver.port}/"
        answer = post(Poster(LOOPBACK, look_up=lambda _: loopback), url)

        assert answer.delivered is delivered
        assert len(receiver.messages) == delivered
        assert delivered or "certificate" in (answer.error or "")


def test_retry_after_is_read_as_seconds_or_as_a_date() -> None:
    now = datetime(2026, 11, 22, 12, tzinfo=UTC)

    assert retry_after_s("120", now) == 120
    assert retry_after_s(format_datetime(now + timedelta(minutes=3), usegmt=True), now) == 180
    assert retry_after_s(format_datetime(now - timedelta(minutes=3), usegmt=True), now) == 0
    assert retry_after_s("9" * 60, now) == float("9" * 60)
    for nonsense in ("", "soon", "-1", "1.5", "Mon, 99 Nov 2026", "\u0663"):
        assert retry_after_s(nonsense, now) is None, nonsense
