"""The server: routes, start and stop. The one doorway of the event loop; everything else here is handed what it needs.

Stop order: no new requests → event streams end → uploads save what they have → sockets close. All of it within 3 seconds.
"""

import asyncio
from pathlib import Path

from aiohttp import web

from dmc.broker.admission import Admissions
from dmc.broker.allowance import Allowance
from dmc.broker.control import Control
from dmc.broker.ledger import Ledger
from dmc.broker.storage import Storage
from dmc.broker.threads import ThreadIndex
from dmc.clock import Clock
from dmc.errors import BadSettings, DmcError
from dmc.files import Disk
from dmc.log import Log
from dmc.server.address import addresses_of, is_loopback, why_not
from dmc.server.calls import CALLS
from dmc.server.check import Check
from dmc.server.door import Door
from dmc.server.downloads import Downloads
from dmc.server.events import Events
from dmc.server.feed import Feed
from dmc.server.health import Health
from dmc.server.identity import Identities
from dmc.server.items import Items
from dmc.server.metrics import Metrics, Moment, Traffic
from dmc.server.middleware import add_headers, outermost
from dmc.server.notices import NOBODY, Notices, Notified
from dmc.server.offload import Offload
from dmc.server.oneshot import OneShot
from dmc.server.open_uploads import OpenUploads
from dmc.server.openapi import OpenApi
from dmc.server.outside import OUTSIDE
from dmc.server.overview import Overview
from dmc.server.page import Page
from dmc.server.places import Places
from dmc.server.policy import MIB
from dmc.server.policy import ServerLimits as ServerLimits
from dmc.server.quota import Quota
from dmc.server.receiving import refuse_if_full
from dmc.server.shelf import Shelf
from dmc.server.statistics import Statistics
from dmc.server.steering import Steering
from dmc.server.stock import Stock
from dmc.server.tls import Tls
from dmc.server.tokens import Tokens
from dmc.server.trash import Trash
from dmc.server.uploads import Uploads
from dmc.server.views import Views

SWEEP_EVERY_S = 60.0
KEEP_ALIVE_S = 75.0
LINGER_S = 2.0
"""How long the rest of a refused body is read, so that the client gets to see the answer."""

STOP_S = 1.0
"""How long requests under way get to end by themselves."""

log = Log("server")


class Server:
    """One server over one data folder. `start` and `stop` belong to one event loop."""

    def __init__(
        self,
        *,
        data: Path,
        ledger: Ledger,
        storage: Storage,
        admissions: Admissions,
        tokens: Tokens,
        threads: ThreadIndex,
        control: Control,
        clock: Clock,
        disk: Disk,
        limits: ServerLimits,
        instance_id: str,
        tls: Tls | None = None,
        notified: Notified = NOBODY,
    ) -> None:
        self.data = data
        self._storage, self._clock = storage, clock
        self._limits, self._tokens = limits, tokens
        self._offload = offload = Offload()
        self._traffic, self._tls = Traffic(), tls
        self._runner: web.AppRunner | None = None
        self._chores: set[asyncio.Task[None]] = set()
        shelf = Shelf(storage)
        views = Views(Places(ledger), threads, shelf, limits.base_path)
        overview = Overview(ledger)
        self._feed = Feed(ledger=ledger, overview=overview, threads=threads, views=views, offload=offload)
        statistics = Statistics(ledger=ledger, clock=clock, offload=offload)
        stock = Stock(data, ledger, shelf, statistics, control)
        quota = Quota(statistics.held, offload, Allowance(limits.max_bytes_per_client, limits.max_bytes_total))
        self.uploads = OpenUploads(
            ledger=ledger, storage=storage, admissions=admissions, clock=clock, disk=disk, offload=offload, limits=limits, quota=quota
        )
        self._downloads = Downloads(ledger=ledger, storage=storage, shelf=shelf, offload=offload)
        identities = Identities(
            instance_id=instance_id, ledger=ledger, storage=storage, control=control, offload=offload, limits=limits, tls=tls
        )
        self._notices = Notices(data, notified, ledger=ledger, disk=disk, clock=clock, offload=offload, instance_id=instance_id)
        self.warnings = identities.warnings
        self._door = Door(tokens=tokens, clock=clock, offload=offload, limits=limits, identity=identities.bare(accepting=True), tls=tls)
        self._rooms = (
            *self._door.rooms,
            Uploads(uploads=self.uploads, ledger=ledger, offload=offload, limits=limits, room=self._check_room),
            OneShot(uploads=self.uploads, views=views, outside=self._door.outside, offload=offload, limits=limits, room=self._check_room),
            Items(ledger=ledger, storage=storage, overview=overview, views=views, clock=clock, offload=offload),
            Trash(ledger=ledger, overview=overview, views=views, clock=clock, offload=offload, days=limits.trash_days),
            self._downloads,
            Check(ledger=ledger, uploads=self.uploads, views=views, offload=offload, outside=self._door.outside),
            Events(self._feed, still_known=self._door.auth.still_known),
            identities,
            Steering(control=control, clock=clock, offload=offload),
            Health(ledger=ledger, storage=storage, control=control, offload=offload, limits=limits),
            Metrics(
                traffic=self._traffic, moment=self._moment, stock=stock, storage=storage, control=control, clock=clock, offload=offload
            ),
            statistics,
            Page(base=limits.base_path),
            OpenApi(),
        )

    @property
    def fingerprint(self) -> str | None:
        """Of the certificate that clients see; None without TLS."""
        return self._tls.fingerprint if self._tls else None

    def make_app(self) -> web.Application:
        """The application with every route; `start` uses it, tests may look at it."""
        app = web.Application(middlewares=[outermost(self._traffic, self._clock), *self._door.middlewares], client_max_size=MIB)
        app[CALLS] = {}
        app[OUTSIDE] = self._door.outside
        app.on_response_prepare.append(add_headers)
        for room in self._rooms:
            room.add_routes(app)
        return app

    async def start(self, host: str, port: int) -> tuple[str, int]:
        """Listen; returns the address and port really bound (port 0 takes any free one).

        Raises BadSettings for an address that others can reach while there is no token, Locked if the port is taken, NoAddress if the
        address is not there.
        """
        await self._check_bind(host)
        await self.uploads.restore()
        await self._notices.start()
        runner = web.AppRunner(
            self.make_app(),
            auto_decompress=False,  # What is stored is what was sent.
            handler_cancellation=False,  # A handler that saves bytes is not stopped because its client left.
            keepalive_timeout=KEEP_ALIVE_S,
            lingering_time=LINGER_S,
            shutdown_timeout=STOP_S,
            access_log=None,
        )
        await runner.setup()
        try:
            await web.TCPSite(runner, host, port, ssl_context=self._tls.context() if self._tls else None).start()
        except OSError as problem:
            await self._notices.stop()
            await runner.cleanup()
            raise why_not(problem, host, port) from problem
        self._runner = runner
        await self._feed.start()
        self._chores = {
            asyncio.create_task(self._sweep_for_ever(), name="dmc-server-sweep"),
            asyncio.create_task(self.uploads.finish(), name="dmc-server-finish"),
        }
        bound = runner.addresses[0]
        log.info("server listens", address=bound[0], port=bound[1])
        return str(bound[0]), int(bound[1])

    async def fault(self) -> None:
        """Waits for the fault that ends a part working in the background, and raises it: the process should end and be started anew."""
        done, _ = await asyncio.wait({*self._chores, *self._feed.tasks, *self._notices.tasks}, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            if not task.cancelled():
                task.result()

    async def stop(self) -> None:
        """End everything in order; what was promised is on disk afterwards. Nothing happens on a server that does not run."""
        runner, self._runner = self._runner, None
        if runner is None:
            return
        self._traffic.stopping = True
        for site in list(runner.sites):
            await site.stop()
        await self._feed.stop()
        await self._notices.stop()
        self.uploads.stop()
        for chore in self._chores:
            chore.cancel()
        await asyncio.gather(*self._chores, return_exceptions=True)
        await runner.cleanup()
        self._offload.close()
        log.info("server stopped")

    def _check_room(self) -> None:
        refuse_if_full(self._storage.free_bytes(), self._limits)

    async def _check_bind(self, host: str) -> None:
        if all(is_loopback(address) for address in await addresses_of(host)):
            return
        if not await self._offload.quick(self._tokens.list):
            raise BadSettings(f"{host} can be reached by others, and there is no token yet.", "First run: dmc server token create NAME")
        if self._tls is None and not self._limits.trusted_proxies:
            self.warnings.append(
                f"This server can be reached at {host} without TLS: tokens and files can be read on the way. Set tls in server.toml, "
                "or name the TLS proxy in front of it in trusted_proxies."
            )
            log.warning("listening without TLS: tokens and files can be read on the way", address=host)

    async def sweep(self) -> None:
        """Forget what has expired; the server does so by itself once a minute."""
        await self.uploads.sweep()

    async def _sweep_for_ever(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_EVERY_S)
            try:
                await self.sweep()
            except (DmcError, OSError) as problem:
                log.warning("expired uploads cannot be removed", problem=problem)

    def _moment(self) -> Moment:
        return Moment(
            upload_sessions=len(self.uploads),
            sse_clients=self._feed.listeners,
            bytes_in=self.uploads.bytes_received,
            bytes_out=self._downloads.bytes_sent,
            clients=self._door.access.clients,
        )
