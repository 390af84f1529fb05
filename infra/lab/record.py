"""Records what happens to functions in the emulator. A reader that polls from outside can miss a short change.

The record has one JSON object per line: every change of a function's configuration with the changed fields, and the start and
the end of every invocation. The recorder runs inside the emulator's process and wraps the two functions through which
all these calls go.

The recorder can also freeze a task between a change that it makes and the response to it (`FREEZE`).
"""

from __future__ import annotations

import contextlib
import inspect
import json
import os
import re
import signal
import subprocess
import threading
from pathlib import Path
from typing import Any

import comparison

# Both in the emulator's directory.
RECORD = "record.jsonl"
# {"task": T, "function": F, "memory": M}: the next change that gives F this memory freezes the processes of T before they
# get the response. The recorder then deletes FREEZE and lists the processes in FROZEN.
FREEZE = "freeze.json"
FROZEN = "frozen.json"
CHANGES = {
    ("PUT", "configuration"): "UpdateFunctionConfiguration",
    ("PUT", "concurrency"): "PutFunctionConcurrency",
    ("DELETE", "concurrency"): "DeleteFunctionConcurrency",
}
# The paths of these three start with different API versions.
PATH = re.compile(r"^/\d{4}-\d\d-\d\d/functions/([^/]+)/(configuration|concurrency)$")


class Recorder:
    """Wraps the emulator's Lambda module `service`, and keeps its files in `directory`."""

    def __init__(self, service: Any, directory: Path) -> None:
        self.service = service
        self.directory = directory
        # Invocations run in threads.
        self.writing = threading.Lock()
        self.count = 0

    def install(self) -> None:
        self.handle = self.service.handle_request
        self.execute = self.service._execute_function_dispatch
        for function, parameters in (
            (self.handle, ["method", "path", "headers", "body", "query_params"]),
            (self.execute, ["func", "config", "event", "request_id", "started"]),
        ):
            found = list(inspect.signature(function).parameters)
            if found != parameters:
                raise RuntimeError(f"this emulator's {function.__name__} takes other parameters: {found}")
        self.service.handle_request = self.request
        self.service._execute_function_dispatch = self.invocation

    async def request(self, method: str, path: str, headers: Any, body: Any, query: Any) -> Any:
        found = PATH.match(path)
        call = CHANGES.get((method, found[2])) if found else None
        if found is None or call is None:
            return await self.handle(method, path, headers, body, query)
        # The emulator handles each of these calls without a pause, so no other change happens between the two reads.
        function = found[1].rsplit(":", 1)[-1]
        before = await self.fields_of(function, headers)
        response = await self.handle(method, path, headers, body, query)
        if response[0] < 300:
            after = await self.fields_of(function, headers)
            changed = {each.field: [each.before, each.after] for each in comparison.differences(before, after)}
            self.write({"changed": function, "call": call, "fields": changed})
            self.freeze_if_asked(function, after)
        return response

    async def fields_of(self, function: str, headers: Any) -> dict[str, Any]:
        """Reads the same fields as comparison.read; none for a function that does not exist."""
        described = await self.read(f"/2015-03-31/functions/{function}", headers)
        if described is None:
            return {}
        concurrency = await self.read(f"/2019-09-30/functions/{function}/concurrency", headers)
        tags = await self.read(f"/2017-03-31/tags/{described['Configuration']['FunctionArn']}", headers)
        return comparison.flat(described, concurrency or {}, (tags or {}).get("Tags", {}))

    async def read(self, path: str, headers: Any) -> dict[str, Any] | None:
        status, _, body = await self.handle("GET", path, headers, b"", {})
        return dict(json.loads(body)) if status == 200 else None

    def invocation(self, func: Any, config: Any, event: Any, request_id: str, started: float) -> Any:
        function = config.get("FunctionName")
        self.write({"invoked": function, "id": request_id})
        try:
            return self.execute(func, config, event, request_id, started)
        finally:
            self.write({"ended": function, "id": request_id})

    def write(self, line: dict[str, Any]) -> None:
        with self.writing, (self.directory / RECORD).open("a", encoding="utf-8") as record:
            record.write(json.dumps(line) + "\n")

    def freeze_if_asked(self, function: str, after: dict[str, Any]) -> None:
        try:
            asked = json.loads((self.directory / FREEZE).read_text())
        except FileNotFoundError:
            return
        if asked["function"] != function or asked["memory"] != after.get("Configuration.MemorySize"):
            return
        processes = processes_of(asked["task"])
        for process in processes:
            os.kill(process, signal.SIGSTOP)
        (self.directory / FREEZE).unlink()
        # A rename: a reader never sees half of the file.
        new = self.directory / f"{FROZEN}.new"
        new.write_text(json.dumps(processes))
        new.replace(self.directory / FROZEN)


def processes_of(task: str) -> list[int]:
    """Finds the processes of a function: in the emulator's process group, by the function's name in the environment."""
    listing = subprocess.run(["ps", "axeww", "-o", "pgid=,pid=,command="], capture_output=True, text=True, check=True)
    lines = (line.split() for line in listing.stdout.splitlines())
    named = f"AWS_LAMBDA_FUNCTION_NAME={task}"
    return [int(words[1]) for words in lines if words[:1] == [str(os.getpgrp())] and named in words]
