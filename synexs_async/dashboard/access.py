"""Who may ask, what for, and how long an answer may take: in front of every request.

Everything here is about people and programs that mean no good, or are slow.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Collection
from typing import Final
from urllib.parse import parse_qsl

import anyio
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from synexs_async.errors import ConfigError

_LONGEST_QUERY: Final = 2048  # bytes
_LONGEST_PATH: Final = 1024
_PATIENCE: Final = 30.0  # seconds for a client to take in a part of an answer
_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_NEEDS_TOKEN: Final = (
    "this dashboard needs its token: open it with ?token=TOKEN behind its address, or send the "
    "header `Authorization: Bearer TOKEN`"
)


class _Dawdler(Exception):
    """The client does not take in its answer."""


class Guard:
    """Lets through what may be asked, and no answer that nobody takes in.

    Args:
        app: what answers.
        token: what has to be known to ask; None where everybody may who can.
        hosts: names under which the server may be asked, None for any. A page of another site,
            whose name was made to lead to this machine, asks under its own.

    Raises:
        ConfigError: the token can't be sent as it is, or is empty.
    """

    def __init__(self, app: ASGIApp, token: str | None, hosts: Collection[str] | None) -> None:
        check_token(token)
        self._app = app
        self._token = None if token is None else token.encode()
        self._hosts = None if hosts is None else {host.lower() for host in hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer or refuse a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)  # which knows no other
            return
        cookie = ""

        async def send_on(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(_HEADERS)
                headers.setdefault("Cache-Control", "no-store")
                if cookie:
                    headers.append("Set-Cookie", cookie)
            with anyio.move_on_after(_PATIENCE) as taken_in:
                await send(message)
            if taken_in.cancelled_caught:
                raise _Dawdler

        answer = self._refusal(scope)
        if answer is None and self._token is not None and not _is_open(scope):
            if _are_same(_given_token(scope), self._token):
                cookie = self._cookie(scope)
            elif not self._is_known(scope):
                answer = PlainTextResponse(
                    f"{_NEEDS_TOKEN}\n", 401, {"WWW-Authenticate": "Bearer", "Connection": "close"}
                )
        try:
            await (answer or self._app)(scope, receive, send_on)
        except* _Dawdler:
            pass  # the server drops a connection whose answer is not finished

    def _refusal(self, scope: Scope) -> Response | None:
        if len(scope["query_string"]) > _LONGEST_QUERY or len(scope["path"]) > _LONGEST_PATH:
            return PlainTextResponse("the address is too long\n", 414)
        if scope["method"] not in ("GET", "HEAD"):
            return PlainTextResponse("the dashboard only shows\n", 405, {"Allow": "GET, HEAD"})
        host = re.sub(r":\d*$", "", Headers(scope=scope).get("host", "")).strip("[]").lower()
        if self._hosts is not None and host not in self._hosts:
            name, port = scope.get("server") or (min(self._hosts), None)
            name = f"[{name}]" if ":" in name else name
            address = f"http://{name}:{port}" if port else f"http://{name}"
            return PlainTextResponse(f"this server is not {host!r}: open it as {address}\n", 421)
        return None

    def _is_known(self, scope: Scope) -> bool:
        """Whether a request has the token in its header, or what was made of it in its cookie."""
        assert self._token is not None
        headers = Headers(scope=scope)
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and _are_same(given.strip(), self._token):
            return True
        cookies = cookie_parser(headers.get("cookie", ""))  # all of the host, whatever their port
        return _are_same(cookies.get(self._cookie_name, ""), self._pass().encode())

    def _pass(self) -> str:
        """Return what the cookie holds: the token itself is kept nowhere."""
        assert self._token is not None
        return hashlib.blake2b(self._token, person=b"dashboard cookie", digest_size=32).hexdigest()

    @property
    def _cookie_name(self) -> str:
        """Name the cookie: another dashboard on this host may have one too."""
        return f"synexs_dashboard_{self._pass()[:8]}"

    def _cookie(self, scope: Scope) -> str:
        secure = "; Secure" if scope["scheme"] == "https" else ""
        path = scope.get("root_path", "") + "/"
        flags = f"HttpOnly; SameSite=Lax{secure}"  # nothing is done by asking: links may lead here
        return f"{self._cookie_name}={self._pass()}; Path={path}; {flags}"


def check_token(token: str | None) -> None:
    """See that a token can stand in an address, a header and a cookie; ConfigError where not."""
    if token is None or (token and token.isascii() and token.isprintable() and " " not in token):
        return
    raise ConfigError("token", token, "letters, digits and signs of ASCII, no spaces")


def _is_open(scope: Scope) -> bool:
    """Whether anybody may ask for it: it tells that the server is there, and no more."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", "")) == "/healthz"


def _given_token(scope: Scope) -> str:
    query: str = scope["query_string"].decode("latin-1")
    return dict(parse_qsl(query)).get("token", "")


def _are_same(given: str, expected: bytes) -> bool:
    return hmac.compare_digest(given.encode(errors="replace"), expected)
