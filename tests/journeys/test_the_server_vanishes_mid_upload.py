"""The server dies while a file is on its way; nothing is sent twice, nothing is lost."""

import hashlib
from pathlib import Path

from tests.journeys.household import Household, household, tone, wait_for
from tests.journeys.proxy import Proxy
from tests.patience import PATIENCE_S


def _incoming(house: Household) -> int:
    return sum(f.stat().st_size for f in (house.data / "incoming").glob("*/original*"))


def test_a_server_killed_in_mid_upload_goes_on_where_it_stopped(tmp_path: Path) -> None:
    content = tone(120)
    with household(tmp_path) as house:
        proxy = Proxy(house.port, hold_after=len(content) // 2)
        house.go_through(proxy.port)
        server = house.start_server()
        house.start_client()
        house.drop("long.wav", content)
        assert proxy.holding.wait(PATIENCE_S)
        wait_for("bytes on the server", lambda: _incoming(house) > len(content) // 3)
        server.kill()
        server.wait()
        proxy.hold_after = None
        house.start_server()
        wait_for("the result", lambda: [r.name for r in house.results()] == ["long.opus"])
        [item] = house.items()
        assert item["sha512_checksum"] == hashlib.sha512(content).hexdigest()
        assert proxy.bytes_up < 1.7 * len(content)
        proxy.close()


def test_a_line_that_is_cut_again_and_again_costs_little(tmp_path: Path) -> None:
    content = tone(120)
    with household(tmp_path) as house:
        proxy = Proxy(house.port, cut_after=len(content) // 4)
        house.go_through(proxy.port)
        house.start_server()
        house.start_client()
        house.drop("cut.wav", content)
        wait_for("the result", lambda: [r.name for r in house.results()] == ["cut.opus"])
        assert proxy.cuts >= 3
        assert len(house.items()) == 1
        proxy.close()
