"""A new client's first contact with a server: who is there, by which certificate, and a code for a token.

The code is sent only over a way that was decided on before; what the caller decides by is the certificate's fingerprint.
"""

import hashlib
import socket
import ssl
from dataclasses import dataclass

from pydantic import ValidationError

from dmc.client.http_calls import CONNECT_S, PROBE, Calls, LoopThread, not_ours
from dmc.client.trust import trust_of
from dmc.errors import ServerUnreachable
from dmc.pairing import PAIR, PairReply, PairRequest
from dmc.protocol import SERVER, SERVICE, Identity


@dataclass(frozen=True, slots=True)
class Way:
    """How a server can be reached. `fingerprint`: to pin; None without TLS, or where a CA of the system vouches for the server."""

    url: str
    fingerprint: str | None = None

    @property
    def is_tls(self) -> bool:
        return self.url.startswith("https://")


def find_way(host: str, port: int, scheme: str | None = None, base: str = "") -> Way:
    """How a server is reached: with TLS if it speaks that, or if `scheme` is https; `base`: a proxy's path. Raises ServerUnreachable."""
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    if scheme == "http":
        return Way(f"http://{where}{base}")
    try:
        certificate, vouched = _certificate(host, port)
    except ssl.SSLError:
        if scheme == "https":
            raise ServerUnreachable(f"{where} does not speak TLS.", "Is it another port, or a server without TLS?") from None
        return Way(f"http://{where}{base}")
    return Way(f"https://{where}{base}", None if vouched else hashlib.sha256(certificate).hexdigest())


def pair(way: Way, code: str, client_name: str) -> PairReply:
    """Trade a code for a token. Raises SignInNeeded for a code that is not good, ServerUnreachable."""
    calls = Calls(way.url, None, trust_of(way.fingerprint, None))
    thread = LoopThread("dmc-pair")

    async def exchange() -> PairReply:
        identity = await calls.call("GET", SERVER, within=PROBE)
        try:
            if Identity.model_validate(identity.json()).service != SERVICE:
                raise not_ours("another service answers")
            body = PairRequest(code=code, client_name=client_name).model_dump()
            return PairReply.model_validate((await calls.call("POST", PAIR, body=body)).json())
        except ValidationError:
            raise not_ours("it does not know pairing") from None

    try:
        return thread.run(exchange())
    finally:
        thread.close(calls.close)


def _certificate(host: str, port: int) -> tuple[bytes, bool]:
    """The certificate (DER) that is shown there, and whether a CA of the system vouches for it and the name. Raises ssl.SSLError."""
    try:
        try:
            return _shown(host, port, ssl.create_default_context()), True
        except ssl.SSLCertVerificationError:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE  # The person, or the pin, decides; nothing is sent over this connection.
            return _shown(host, port, context), False
    except ssl.SSLError:
        raise
    except OSError as problem:
        raise ServerUnreachable(f"{host}:{port} cannot be reached: {problem.strerror or problem}.") from None


def _shown(host: str, port: int, context: ssl.SSLContext) -> bytes:
    with (
        socket.create_connection((host, port), timeout=CONNECT_S) as plain,
        context.wrap_socket(plain, server_hostname=host) as wrapped,
    ):
        shown = wrapped.getpeercert(binary_form=True)
    if shown is None:
        raise ssl.SSLError("no certificate was shown")
    return shown
