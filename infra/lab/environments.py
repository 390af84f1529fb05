"""Lets invocations finish when a function changes, and never gives an invocation an environment of another configuration.

Lambda keeps an execution environment until its invocation is over, and starts new ones with the new configuration. The emulator
kills all of them at the change, so invocations would fail that succeed on Lambda. It can also keep an environment that started with
the old configuration, if an invocation began just before the change. Then a fault would outlive its restore.
"""

from __future__ import annotations

from typing import Any

from taking import taking


def change(runtime: Any, service: Any) -> None:
    """Replaces the functions that lease, return and discard environments. `runtime` and `service` are the Lambda modules."""
    taking(runtime.acquire_worker, "func_name", "config", "code_zip", "qualifier", "max_concurrency")
    taking(runtime.release_worker, "worker")
    taking(runtime.invalidate_worker, "func_name", "qualifier", "account", "region")
    environments = Environments(runtime)
    for module in (runtime, service):
        module.acquire_worker = environments.acquire
        module.release_worker = environments.release
        module.invalidate_worker = environments.invalidate


class Environments:
    """The emulator's pools of execution environments, each of which can be in use."""

    def __init__(self, runtime: Any) -> None:
        self.runtime = runtime
        self.lease = runtime.acquire_worker
        # Environments that end with their invocation. Guarded by the emulator's lock.
        self.retired: set[Any] = set()

    def acquire(self, func_name: str, config: dict[str, Any], code_zip: bytes, **options: Any) -> Any:
        while True:
            worker, how = self.lease(func_name, config, code_zip, **options)
            if worker is None or worker.config.get("RevisionId") == config.get("RevisionId"):
                return worker, how
            self.discard([worker])

    def release(self, worker: Any) -> None:
        if worker is None:
            return
        with self.runtime._lock:
            worker.in_use = False
            ended = worker in self.retired
            self.retired.discard(worker)
        if ended:
            self.runtime.kill_workers([worker])

    def invalidate(self, func_name: str, qualifier: str | None = None, account: str | None = None, region: str | None = None) -> None:
        wanted = (account, region, func_name, qualifier)
        with self.runtime._lock:
            keys = [key for key in self.runtime._workers if matches(key.split(":"), wanted)]
            found = [worker for key in keys for worker in self.runtime._workers.pop(key)]
            idle = [worker for worker in found if not worker.in_use]
            self.retired.update(worker for worker in found if worker.in_use)
        self.runtime.kill_workers(idle)

    def discard(self, workers: list[Any]) -> None:
        """Removes leased environments that do not serve their invocation."""
        with self.runtime._lock:
            for entries in self.runtime._workers.values():
                entries[:] = [each for each in entries if each not in workers]
        self.runtime.kill_workers(workers)


def matches(key: list[str], wanted: tuple[str | None, ...]) -> bool:
    """Compares account, Region, function and qualifier; None matches any."""
    return all(part in (None, found) for part, found in zip(wanted, key, strict=True))
