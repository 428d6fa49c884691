"""Deterministic missions, run with asyncio: the same bytes every time, and nothing lost.

    import anyio
    from synexs_async import RunConfig, run

    report = anyio.run(run, RunConfig(missions=1000, output="runs/seven", seed=7))
    print(report.dataset_sha256)

The names and their homes stand in `__init__.pyi`. Each is imported when it is first used, as
`--help`, monitors and worker processes need few of them.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
