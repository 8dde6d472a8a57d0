"""The way to a server, looked at over a real socket."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from dmc.client.model import ServerAddress
from dmc.client.survey import LARGE, survey
from dmc.clock import SystemClock
from dmc.errors import ServerUnreachable

IDENTITY = {"service": "dmc", "protocol": 1, "instance": "i", "accepting": True, "version": "1"}


@contextmanager
def somebody(said: object, refusal: tuple[int, bytes], date: str | None = None) -> Iterator[str]:
    """A server that says `said` of itself and answers a large request so."""

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(200, json.dumps(said).encode())

        def do_POST(self) -> None:
            taken = 0
            while size := int(self.rfile.readline(), 16):
                taken += len(self.rfile.read(size + 2)) - 2
            self.rfile.readline()
            assert taken == LARGE
            self._answer(*refusal)

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response_only(status)
            self.send_header("Date", date or self.date_time_string())
            self.send_header("Via", "1.1 somebody")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def test_a_proxy_that_refuses_what_is_large_is_told_from_dmc_itself() -> None:
    with somebody(IDENTITY, (413, b"<html>413</html>")) as url:
        found = survey(ServerAddress(name="nas", url=url), SystemClock())
    assert found.problem is None and found.refuses_large and found.signed_in and found.between == "1.1 somebody" and found.skew_s == 0
    with somebody(IDENTITY, (413, b'{"error": {"code": "TooLarge"}}')) as url:
        assert not survey(ServerAddress(name="nas", url=url), SystemClock()).refuses_large


def test_a_clock_that_is_wrong_is_seen() -> None:
    with somebody(IDENTITY | {"version": None}, (401, b"{}"), "Fri, 01 May 2020 12:00:00 GMT") as url:
        found = survey(ServerAddress(name="nas", url=url), SystemClock())
    assert found.skew_s is not None and found.skew_s < -1e6 and not found.signed_in


def test_nobody_and_somebody_else_are_told() -> None:
    with somebody({"service": "other"}, (200, b"")) as url:
        assert isinstance(survey(ServerAddress(name="nas", url=url), SystemClock()).problem, ServerUnreachable)
    assert isinstance(survey(ServerAddress(name="nas", url=url), SystemClock()).problem, ServerUnreachable)
