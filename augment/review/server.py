"""The page on 127.0.0.1: it guards who may ask, answers, and writes decisions down."""

from __future__ import annotations

import json
import os
import re
import secrets
import sys
import webbrowser
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import jinja2
import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from augment.data import decisions
from augment.data.decisions import UNDO, Decision
from augment.errors import AugmentError
from augment.review import author, queue
from augment.review.cards import card
from augment.review.pictures import PLACES, Pictures
from augment.review.queue import Queue, ReviewError

HOST = "127.0.0.1"
CHUNK = 48  # cards that are asked for at once; a multiple of the page's columns: 1, 2, 3

_HERE = Path(__file__).parent
_STATIC = {"page.css": "text/css", "page.js": "text/javascript", "icon.svg": "image/svg+xml"}
_HEADERS = {
    "content-security-policy": "default-src 'none'; img-src 'self'; style-src 'self'; "
    "script-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",  # the address holds the token
    "x-content-type-options": "nosniff",
}


class Guard:
    """Lets a request through that names the page's host and token and comes from no other origin.

    A page of another site can reach 127.0.0.1, also under a name of its own (DNS rebinding): its
    requests carry its own Host or Origin, and it does not know the token. They get 403.
    """

    def __init__(self, app: ASGIApp, token: str):
        """Guard ``app``, whose paths begin with ``token``."""
        self.app, self.token = app, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 403 or pass the request on; add headers to what comes back."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                more = [(name.encode(), value.encode()) for name, value in _HEADERS.items()]
                message["headers"] = [*message["headers"], *more]
            await send(message)

        allowed = self._is_ours(Request(scope))
        app = self.app if allowed else PlainTextResponse("forbidden", status_code=403)
        await app(scope, receive, guarded)

    def _is_ours(self, request: Request) -> bool:
        """Whether Host, Origin (if there is one) and token are those of this very page."""
        port = (request.scope.get("server") or (HOST, None))[1]
        hosts = {f"{name}:{port}" for name in (HOST, "localhost")}
        origin = request.headers.get("origin")
        first = request.url.path.split("/")[1]
        return (
            request.headers.get("host") in hosts
            and (origin is None or origin in {f"http://{host}" for host in hosts})
            and secrets.compare_digest(first.encode(), self.token.encode())
        )


class Review:
    """One project under review: its answers, each from the files as they are now."""

    def __init__(self, root: Path):
        """Read the queue of ``root``. Raises AugmentError like queue.load."""
        self.root = root
        self.file = root / decisions.FILE
        self._seen = self._signature()
        self.queue: Queue = queue.load(root)
        self.pictures = Pictures(root)
        self._templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader(_HERE),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters["spaced"] = lambda name: name.replace("_", " ")

    def page(self, request: Request) -> Response:
        """The page of one section, without its cards."""
        if (seen := self._signature()) != self._seen:  # a stage has run since
            self.queue, self.pictures = queue.load(self.root), Pictures(self.root)
            self._seen = seen
        sections = self.queue.sections
        show = request.query_params.get("show") or next(iter(sections), "")
        if show and show not in sections:
            raise HTTPException(404)
        decided = decisions.load(self.file)
        ids = sections.get(show, ())
        text = self._templates.get_template("page.html").render(
            show=show,
            count=len(ids),
            chunk=CHUNK,
            start=next((place for place, name in enumerate(ids) if name not in decided), 0),
            progress=self.queue.progress(decided),
            sections=list(sections),
            classes=self.queue.classes,
        )
        return HTMLResponse(text, headers={"cache-control": "no-store"})

    def cards(self, request: Request) -> Response:
        """Up to CHUNK cards of a section, from the place ``start`` on."""
        ids = self.queue.sections.get(request.query_params.get("show", ""))
        start = request.query_params.get("start", "")
        if ids is None or not re.fullmatch(r"\d{1,9}", start):
            raise HTTPException(404)
        show, first = request.query_params["show"], int(start)
        decided = decisions.load(self.file)
        shown = [
            card(self.queue, self.pictures, show, name, decided.get(name))
            for name in ids[first : first + CHUNK]
        ]
        text = self._templates.get_template("cards.html").render(cards=shown)
        return HTMLResponse(text, headers={"cache-control": "no-store"})

    def image(self, request: Request) -> Response:
        """One image of a table as PNG."""
        place, name = request.path_params["place"], request.path_params["name"]
        try:
            return _png(self.pictures.png(place, name))
        except KeyError:
            raise HTTPException(404) from None

    def typical(self, request: Request) -> Response:
        """A typical image of a class, both by their numbers."""
        place, rank = request.path_params["place"], request.path_params["rank"]
        try:
            ids = tuple(self.queue.examples[self.queue.classes[place]])
            return _png(self.pictures.png("ingested", self.pictures.typical(ids)[rank]))
        except (IndexError, KeyError):
            raise HTTPException(404) from None

    async def decide(self, request: Request) -> Response:
        """Write decisions down; the answer says what stood, what stands now and how many are left.

        The body is ``{"decisions": [{"id", "action", "label"}], "cluster": bool, "section": str}``;
        "cluster" extends each to the flagged images of its cluster.
        """
        try:
            body = json.loads(await request.body())
            requests = [
                Decision(str(entry["id"]), str(entry["action"]), str(entry.get("label", "")))
                for entry in body["decisions"]
            ]
            section = str(body.get("section", ""))
            together = body.get("cluster") is True
            for decision in requests:
                self.queue.allow(decision)
        except AugmentError as error:
            return _refused(400, str(error))
        except (ValueError, TypeError, KeyError, AttributeError):
            return _refused(400, "not a decision")
        return await run_in_threadpool(self._record, requests, section, together)

    def _record(self, requests: Sequence[Decision], section: str, together: bool) -> Response:
        """Append the decisions to the file, with author, time and ``section`` as their note."""
        who, when = author.now()
        try:
            before = decisions.load(self.file)
            made = [
                Decision(name, decision.action, decision.label, who, when, section)
                for decision in requests
                for name in (self.queue.together(decision.id) if together else [decision.id])
                if decision.action != UNDO or name in before
            ]
            decisions.record(self.file, made)
            now = decisions.load(self.file)
        except AugmentError as error:
            return _refused(409, str(error))
        changed = [
            {"id": name, "before": _plain(before.get(name)), "now": _plain(now.get(name))}
            for name in (decision.id for decision in made)
        ]
        return JSONResponse({"changed": changed, "progress": self.queue.progress(now)})

    def _signature(self) -> Sequence[tuple[str, int, int]]:
        """Path, inode and time of each file that a stage writes: they change when it has run."""
        files = [self.root / queue.VERDICTS]
        for place in PLACES.values():
            files += sorted((self.root / place).glob("part-*.parquet"))
        return [(str(file), file.stat().st_ino, file.stat().st_mtime_ns)
                for file in files if file.exists()]  # fmt: skip


def app(root: Path, token: str) -> ASGIApp:
    """The whole page below ``/token/``. Raises AugmentError like queue.load."""
    review = Review(root)

    def static(request: Request) -> Response:
        name = request.url.path.rpartition("/")[2]
        return Response((_HERE / name).read_bytes(), media_type=_STATIC[name])

    routes = [
        Route("/", review.page),
        Route("/cards", review.cards),
        Route("/image/{place}/{name}", review.image),
        Route("/typical/{place:int}/{rank:int}", review.typical),
        Route("/decide", review.decide, methods=["POST"]),
        *(Route(f"/{name}", static) for name in _STATIC),
    ]
    handlers: dict[Any, Any] = {AugmentError: _failed}
    return Guard(
        Starlette(routes=[Mount(f"/{token}", routes=routes)], exception_handlers=handlers), token
    )


def serve(root: Path, *, port: int, browser: bool, say: Callable[[str], None]) -> None:
    """Show the page until ctrl-C. Raises ReviewError for a port that is taken."""
    token = secrets.token_urlsafe()
    config = uvicorn.Config(
        app(root, token), HOST, port, log_level="warning", access_log=False,
        server_header=False, lifespan="off", ws="none",
    )  # fmt: skip
    try:
        listening = config.bind_socket()
    except SystemExit:  # uvicorn has said why
        raise ReviewError(
            f"--port {port}: cannot be used; without --port a free one is taken"
        ) from None
    listening.listen()  # before anybody hears of the address: a quick browser waits, not refused
    address = f"http://{HOST}:{listening.getsockname()[1]}/{token}/"
    say(f"{address}\nctrl-C ends the review; every decision is in {decisions.FILE} at once")
    if browser and _has_screen():
        webbrowser.open(address)
    with suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[listening])


def _failed(_: Request, error: Exception) -> Response:
    return PlainTextResponse(f"error: {error}", status_code=500)


def _refused(status: int, why: str) -> Response:
    return JSONResponse({"error": why}, status_code=status)


def _png(data: bytes) -> Response:
    headers = {"cache-control": "private, max-age=3600"}
    return Response(data, media_type="image/png", headers=headers)


def _plain(decision: Decision | None) -> dict[str, str] | None:
    return None if decision is None else {"action": decision.action, "label": decision.label}


def _has_screen() -> bool:
    """Whether a browser would open a window and not take the terminal."""
    named = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    return sys.platform in ("darwin", "win32") or bool(named)
