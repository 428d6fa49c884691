"""The web dashboard: runs and their missions in a browser, as JSON and for Prometheus.

It reads what runs leave on disk and writes nothing. It is an ASGI app, for a process of its own
(`python -m synexs_async dashboard`) or for a host that mounts it. Needs the extra `dashboard`.
"""

from synexs_async.dashboard.app import dashboard_app
from synexs_async.dashboard.stream import Streams

__all__ = ["Streams", "dashboard_app"]
