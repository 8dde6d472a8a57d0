"""`/metrics`: what a Prometheus server may collect. Base units, few labels, never a name or an id.

Requests are counted by the pattern of their path (`/api/v1/items/{id}`), so the number of series has a bound.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Summary, disable_created_metrics, generate_latest

from dmc import __version__
from dmc.broker.control import Control
from dmc.broker.storage import Storage
from dmc.clock import Clock
from dmc.protocol import UPLOADS
from dmc.server.access import ClientView
from dmc.server.calls import Call, add, pattern_of
from dmc.server.offload import Offload
from dmc.server.stock import Stock
from dmc.server.tus_headers import parse_lag

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
UNKNOWN_PATH = "other"
SEEN_DAYS = {"day": 1, "week": 7, "month": 30}
LAGS_S = (1, 2, 5, 10, 30, 60, 300, 3600, 86400)
"""Bounds of the buckets: what was there before its folder was observed, or came while the client was off, stands in the last ones."""


@dataclass(frozen=True, slots=True)
class Moment:
    """What is counted elsewhere, as it stands now. `clients` is blocking."""

    upload_sessions: int
    sse_clients: int
    bytes_in: int
    bytes_out: int
    clients: Callable[[], list[ClientView]]


class Traffic:
    """Counts requests for `/metrics`; refuses new work once the server is stopping."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # A series more for each, which nobody asks for.
        self.stopping = False
        self.numbers = CollectorRegistry()
        labels = ["path", "method"]
        self._answers = Counter("dmc_http_requests", "Answers, by pattern of the path", [*labels, "status"], registry=self.numbers)
        self._seconds = Summary("dmc_http_request_seconds", "Seconds from request to answer", labels, registry=self.numbers)
        words = "Seconds from the last change of a file in an observed folder until its client had noted it, of announced uploads"
        self._lag = Histogram("dmc_watch_lag_seconds", words, buckets=LAGS_S, registry=self.numbers)
        self._refused = Counter("dmc_auth_failures", "Requests without a token that is known", registry=self.numbers)

    def count(self, request: web.Request, status: int, seconds: float) -> None:
        """One request was answered."""
        path = pattern_of(request)
        method = UNKNOWN_PATH if path is None else request.method
        path = path or UNKNOWN_PATH
        self._answers.labels(path, method, str(status)).inc()
        self._seconds.labels(path, method).observe(seconds)
        if status == 401:
            self._refused.inc()
        if status == 201 and path == UPLOADS and (lag_s := parse_lag(request.headers)) is not None:
            self._lag.observe(lag_s)


class Metrics:
    """Answers `/metrics`. `moment` is asked on the event loop, the rest beside it."""

    def __init__(
        self,
        *,
        traffic: Traffic,
        moment: Callable[[], Moment],
        stock: Stock,
        storage: Storage,
        control: Control,
        clock: Clock,
        offload: Offload,
    ) -> None:
        self._traffic = traffic
        self._stock = stock
        stock.register(traffic.numbers)
        self._storage = storage
        self._control = control
        self._clock = clock
        self._offload = offload
        Gauge("dmc_build_info", "The version that runs", ["version"], registry=traffic.numbers).labels(__version__).set(1)
        self._items = Gauge("dmc_items", "Items, by status", ["status"], registry=traffic.numbers)
        self._clients = Gauge("dmc_clients", "Clients that have a token, by when they were here last", ["seen"], registry=traffic.numbers)
        self._gauges = {
            name: Gauge(name, words, registry=traffic.numbers)
            for name, words in {
                "dmc_storage_free_bytes": "Free bytes on the data folder's disk",
                "dmc_broker_beat_age_seconds": "Seconds since the broker's last sign of life",
                "dmc_upload_sessions": "Uploads that are not complete",
                "dmc_sse_clients": "Listeners of the event feed",
                "dmc_uptime_seconds": "Seconds since this server was made",
            }.items()
        }
        self._bytes = Counter("dmc_bytes", "Bytes of files, in from clients and out to them", ["direction"], registry=traffic.numbers)
        self._told = {"in": 0, "out": 0}
        self._began = clock.monotonic()
        self._moment = moment

    def add_routes(self, app: web.Application) -> None:
        add(app, "GET", "/metrics", self._metrics, Call("Numbers, in the text form of Prometheus", reply="text/plain"))

    async def _metrics(self, _: web.Request) -> web.Response:
        await self._offload.quick(self._stock.look)
        for status, count in (await self._offload.quick(self._stock.ledger.counts)).items():
            self._items.labels(status.value).set(count)
        age = await self._offload.quick(self._control.beat_age_s)
        moment = self._moment()
        self._set(
            {
                "dmc_storage_free_bytes": await self._offload.quick(self._storage.free_bytes),
                "dmc_broker_beat_age_seconds": float("inf") if age is None else age,
                "dmc_upload_sessions": moment.upload_sessions,
                "dmc_sse_clients": moment.sse_clients,
                "dmc_uptime_seconds": self._clock.monotonic() - self._began,
            }
        )
        seen = [client.last_seen_at for client in await self._offload.quick(moment.clients)]
        for within, count in recency(seen, self._clock.now()).items():
            self._clients.labels(within).set(count)
        for direction, total in (("in", moment.bytes_in), ("out", moment.bytes_out)):
            grown = max(0, total - self._told[direction])  # A look that began later may have ended sooner.
            self._bytes.labels(direction).inc(grown)
            self._told[direction] += grown
        return web.Response(
            body=generate_latest(self._traffic.numbers), headers={"Content-Type": METRICS_TYPE, "Cache-Control": "no-store"}
        )

    def _set(self, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._gauges[name].set(value)


def recency(seen: Iterable[str | None], now: datetime) -> dict[str, int]:
    """How many of these times (RFC 3339; None: never) lie within a day, else within a week, a month, longer ago. Pure."""
    counts = dict.fromkeys((*SEEN_DAYS, "longer", "never"), 0)
    for at in seen:
        age = None if at is None else now - datetime.fromisoformat(at)
        within = (name for name, days in SEEN_DAYS.items() if age is not None and age <= timedelta(days=days))
        counts["never" if age is None else next(within, "longer")] += 1
    return counts
