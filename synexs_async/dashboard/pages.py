"""The files that a browser is given: all of them known beforehand, and held in memory.

An address is looked up among their names, so that none leads elsewhere. Their types are ours to
say: what a machine calls a script, in its own tables, need not be what browsers take for one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import anyio.to_thread
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

_STATIC: Final = Path(__file__).parent / "static"
_TYPES: Final = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
_ENTRY: Final = "index.html"


@dataclass(frozen=True, slots=True)
class _File:
    content: bytes
    type: str
    tag: str


async def show_page(request: Request) -> Response:
    """Answer with the page; what it shows it asks the API."""
    if not request.url.path.endswith("/"):  # mounted, and its own addresses are relative
        return RedirectResponse(request.url.replace(path=f"{request.url.path}/"))
    return await _answer(request, _ENTRY)


async def show_part(request: Request) -> Response:
    """Answer with a part of the page: a script, a style sheet."""
    return await _answer(request, request.path_params["name"])


async def _answer(request: Request, name: str) -> Response:
    file = (await anyio.to_thread.run_sync(_files)).get(name)
    if file is None:
        raise HTTPException(404)
    # A browser asks again each time, as an update may have changed them.
    headers = {"Cache-Control": "no-cache", "ETag": file.tag}
    if request.headers.get("if-none-match") == file.tag:
        return Response(status_code=304, headers=headers)
    return Response(file.content, headers=headers, media_type=file.type)


@cache
def _files() -> Mapping[str, _File]:
    return {
        path.relative_to(_STATIC).as_posix(): _read(path)
        for path in _STATIC.rglob("*")
        if path.is_file()
    }


def _read(path: Path) -> _File:
    content = path.read_bytes()
    digest = hashlib.blake2b(content, digest_size=12).hexdigest()
    return _File(content, _TYPES.get(path.suffix, "text/plain"), f'"{digest}"')
