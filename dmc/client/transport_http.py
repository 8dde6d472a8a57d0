"""The way to a server over HTTP: obeys the law of `transport.py`. A blocking face; the exchanges run on an event loop of its own.

Identity is asked for without the token first: a stranger at the server's address never sees it.
"""

from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from dmc.client.http_calls import PROBE, Calls, LoopThread, not_ours
from dmc.client.http_download import HttpDownload
from dmc.client.http_upload import HttpUpload
from dmc.client.model import ServerAddress
from dmc.client.transport import Parcel, Transport, never
from dmc.client.trust import trust_of
from dmc.errors import NotFound, ServerUnreachable, UnknownItem
from dmc.jobs import MadeFile
from dmc.protocol import (
    CHECK,
    ITEMS,
    PROTOCOL,
    SERVER,
    SERVICE,
    TUS_VERSION,
    TYPES,
    CheckAnswer,
    CheckEntry,
    CheckReply,
    CheckRequest,
    Identity,
    ItemPage,
    ItemView,
)

Model = TypeVar("Model", bound=BaseModel)
Value = TypeVar("Value")


class HttpTransport(Transport):
    """The way to the server at `address`. May be used from several threads; `close` ends what still runs; used after it, it starts anew."""

    def __init__(self, address: ServerAddress) -> None:
        self._calls = Calls(address.url, address.token, trust_of(address.fingerprint, address.ca_file))
        self._thread = LoopThread(f"dmc-http-{address.name}")

    def reach(self, instance: str | None = None) -> Identity:
        return self._run(self._reach(instance))

    async def _reach(self, instance: str | None) -> Identity:
        identity = await self._identity(anonymous=True)
        if instance is not None and identity.instance != instance:
            raise ServerUnreachable(
                "another dmc server answers at this address.", "If that is right: dmc client trust NAME", code="OtherInstance"
            )
        if not self._calls.has_token:
            return identity
        more = await self._identity(anonymous=False)
        if more.instance != identity.instance:
            raise not_ours("two different servers answer")
        return more

    async def _identity(self, *, anonymous: bool) -> Identity:
        reply = await self._calls.call("GET", SERVER, within=PROBE, anonymous=anonymous)
        identity = _parsed(Identity, reply.json())
        if identity.service != SERVICE:
            raise not_ours("it is another service")
        if identity.protocol != PROTOCOL:
            raise ServerUnreachable(f"the server speaks protocol {identity.protocol}, this client {PROTOCOL}.", "Update the older one.")
        return identity

    def types(self) -> list[dict[str, Any]]:
        """The conversion types of the server, as /api/v1/types describes them; raises ServerUnreachable, NotAllowed."""
        told = self._run(self._calls.call("GET", TYPES, within=PROBE)).json()
        found = told.get("types") if isinstance(told, dict) else None
        if not isinstance(found, list) or not all(isinstance(kind, dict) for kind in found):
            raise not_ours("its list of types is none")
        return found

    def check(self, files: Sequence[CheckEntry]) -> list[CheckAnswer]:
        return self._run(self._check(list(files)))

    async def _check(self, files: list[CheckEntry]) -> list[CheckAnswer]:
        try:
            reply = await self._calls.call("POST", CHECK, body=CheckRequest(files=files).model_dump(mode="json"))
        except (NotFound, UnknownItem):
            return [CheckAnswer(state="want")] * len(files)
        answers = _parsed(CheckReply, reply.json()).files
        if len(answers) != len(files):
            raise not_ours("it answers another question")
        return answers

    def send(
        self, parcel: Parcel, on_url: Callable[[str], None], on_progress: Callable[[int], None], stop: Callable[[], bool] = never
    ) -> ItemView:
        return self._run(HttpUpload(self._calls, parcel, on_url, on_progress, stop).run())

    def abandon(self, upload_url: str) -> None:
        self._run(self._calls.call("DELETE", upload_url, headers={"Tus-Resumable": TUS_VERSION}, fine=(404, 409, 410)))

    def progress(self, item_ids: list[str]) -> dict[str, ItemView | None]:
        query = "&".join(f"id={item_id}" for item_id in item_ids)
        page = _parsed(ItemPage, self._run(self._calls.call("GET", f"{ITEMS}?{query}")).json())
        return {item.item_id: item for item in page.items} | dict.fromkeys(page.deleted)

    def fetch(self, item_id: str, result: MadeFile, temp: Path, stop: Callable[[], bool] = never, beside: bool = False) -> None:
        self._run(HttpDownload(self._calls, item_id, result, temp, stop, beside=beside).run())

    def acknowledge(self, item_id: str, sha512: str) -> None:
        self._post(item_id, "acknowledge", {"sha512": sha512})

    def cancel(self, item_id: str) -> None:
        self._post(item_id, "cancel")

    def retry(self, item_id: str) -> None:
        self._post(item_id, "retry")

    def receipt(self, item_id: str) -> dict[str, Any]:
        found = self._run(self._calls.call("GET", f"{ITEMS}/{item_id}/receipt")).json()
        if not isinstance(found, dict):
            raise not_ours("it is no receipt")
        return found

    def close(self) -> None:
        self._thread.close(self._calls.close)

    def _post(self, item_id: str, what: str, body: Any = None) -> None:
        self._run(self._calls.call("POST", f"{ITEMS}/{item_id}/{what}", body=body))

    def _run(self, work: Coroutine[Any, Any, Value]) -> Value:
        return self._thread.run(work)


def _parsed(model: type[Model], value: Any) -> Model:
    try:
        return model.model_validate(value)
    except ValidationError:
        raise not_ours(f"it is no {model.__name__}") from None
