"""The door of the server: who may come in, how often, and the rooms where tokens, sessions and new clients are dealt with."""

from aiohttp.typedefs import Middleware

from dmc.clock import Clock
from dmc.protocol import Identity
from dmc.server.access import Access
from dmc.server.auth import Auth
from dmc.server.offload import Offload
from dmc.server.outside import Outside
from dmc.server.pairing import Pairing
from dmc.server.peers import Peers
from dmc.server.policy import ServerLimits
from dmc.server.rates import Rates
from dmc.server.sessions import Sessions
from dmc.server.tls import Tls
from dmc.server.tokens import Tokens


class Door:
    """Puts the parts of the door together. `rooms` have routes; `middlewares` stand around every request, the first outermost."""

    def __init__(
        self, *, tokens: Tokens, clock: Clock, offload: Offload, limits: ServerLimits, identity: Identity, tls: Tls | None = None
    ) -> None:
        self.peers = Peers(limits.trusted_proxies)
        self.outside = Outside(limits.base_path, self.peers)
        rates = Rates(
            self.peers,
            clock,
            requests_per_minute=limits.requests_per_minute,
            failed_sign_ins_per_minute=limits.failed_sign_ins_per_minute,
        )
        self.auth = Auth(
            tokens,
            offload,
            rates=rates,
            peers=self.peers,
            clock=clock,
            instance_id=identity.instance,
            allowed_hosts=limits.allowed_hosts,
        )
        self.access = Access(tokens=tokens, auth=self.auth, offload=offload)
        fingerprint = tls.fingerprint if tls else None
        self.rooms = (
            Sessions(
                tokens=tokens,
                auth=self.auth,
                rates=rates,
                peers=self.peers,
                offload=offload,
                cookie_path=limits.base_path or "/",
            ),
            Pairing(tokens=tokens, rates=rates, clock=clock, offload=offload, identity=identity, fingerprint=fingerprint),
            self.access,
        )
        self.middlewares: tuple[Middleware, ...] = (rates.middleware, self.auth.middleware)
