"""Tests the recorder."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import types
import unittest
from pathlib import Path
from typing import Any

from evidence import Record
from record import FREEZE, FROZEN, RECORD, Recorder

CONCURRENCY = "/2017-10-31/functions/orders/concurrency"
CONFIGURATION = "/2015-03-31/functions/orders/configuration"


class RecorderTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.directory = Path(folder.name)
        (self.directory / RECORD).touch()
        self.function: dict[str, Any] = {"FunctionArn": "arn:orders", "MemorySize": 128, "RevisionId": "1"}
        self.reserved: dict[str, Any] = {}
        self.refuses = False
        self.lambda_: Any = types.SimpleNamespace()

        async def handle_request(method: str, path: str, headers: Any, body: bytes, query_params: Any) -> Any:
            return self.response(method, path, body)

        def _execute_function_dispatch(func: Any, config: Any, event: Any, request_id: str, started: float) -> Any:
            if event == "fails":
                raise ValueError(event)
            return event

        self.lambda_.handle_request = handle_request
        self.lambda_._execute_function_dispatch = _execute_function_dispatch
        Recorder(self.lambda_, self.directory).install()
        self.record = Record(self.directory / RECORD)

    def response(self, method: str, path: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        if method == "PUT" and self.refuses:
            return 409, {}, b"{}"
        if method == "PUT" and path == CONCURRENCY:
            self.reserved = json.loads(body)
        elif method == "DELETE" and path == CONCURRENCY:
            self.reserved = {}
        elif method == "PUT":
            self.function = {**self.function, **json.loads(body), "RevisionId": "2"}
        if path.endswith("/concurrency"):
            return 200, {}, json.dumps(self.reserved).encode()
        if "/tags/" in path:
            return 200, {}, b'{"Tags": {"team": "shop"}}'
        described = {"Configuration": self.function, "Code": {}, "Concurrency": self.reserved}
        known = path.endswith(("/orders", "/orders/configuration"))
        return (200, {}, json.dumps(described).encode()) if known else (404, {}, b"{}")

    def call(self, method: str, path: str, **body: Any) -> int:
        response = asyncio.run(self.lambda_.handle_request(method, path, {}, json.dumps(body).encode(), {}))
        return int(response[0])

    def test_a_change_that_is_reverted_immediately_is_recorded(self) -> None:
        self.call("PUT", CONCURRENCY, ReservedConcurrentExecutions=0)
        self.call("DELETE", CONCURRENCY)
        changes = {each.field: (each.before, each.after) for each in self.record.changes("orders")}
        for way in ("GetFunction.Concurrency", "GetFunctionConcurrency"):
            self.assertEqual(changes[f"{way}.ReservedConcurrentExecutions"], (None, 0))
        calls = [line["call"] for line in self.record.lines]
        self.assertEqual(calls, ["PutFunctionConcurrency", "DeleteFunctionConcurrency"])

    def test_only_the_changed_fields_are_recorded(self) -> None:
        self.call("PUT", CONFIGURATION, MemorySize=256)
        self.assertEqual([str(each) for each in self.record.changes("orders")], ["Configuration.MemorySize: 128 -> 256"])
        self.assertEqual(self.record.changes("payment"), [])

    def test_refused_calls_and_reads_are_not_recorded(self) -> None:
        self.refuses = True
        self.assertEqual(self.call("PUT", CONFIGURATION, MemorySize=256), 409)
        self.assertEqual(self.call("GET", CONCURRENCY), 200)
        self.assertEqual(self.call("PUT", "/2015-03-31/functions/orders/code"), 409)
        self.assertEqual(self.record.read(), [])

    def test_a_record_starts_at_its_creation(self) -> None:
        self.call("PUT", CONCURRENCY, ReservedConcurrentExecutions=0)
        later = Record(self.directory / RECORD)
        self.assertEqual(later.read(), [])
        self.call("PUT", CONCURRENCY, ReservedConcurrentExecutions=5)
        self.assertEqual(len(later.changes("orders")), 2)

    def test_start_and_end_of_a_failed_invocation_are_recorded(self) -> None:
        run = self.lambda_._execute_function_dispatch
        self.assertEqual(run({}, {"FunctionName": "orders"}, "fine", "1", 0.0), "fine")
        with self.assertRaises(ValueError):
            run({}, {"FunctionName": "orders"}, "fails", "2", 0.0)
        self.assertEqual(self.record.invocations("orders"), 2)
        self.assertEqual([line["id"] for line in self.record.lines if "ended" in line], ["1", "2"])

    def test_the_requested_change_freezes_the_task(self) -> None:
        named = {**os.environ, "AWS_LAMBDA_FUNCTION_NAME": "inject-of-this-test"}
        task = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], env=named)
        self.addCleanup(task.wait)
        self.addCleanup(task.kill)
        asked = {"task": "inject-of-this-test", "function": "orders", "memory": 256}
        (self.directory / FREEZE).write_text(json.dumps(asked))
        self.call("PUT", CONFIGURATION, MemorySize=512)
        self.assertFalse((self.directory / FROZEN).exists())
        self.call("PUT", CONFIGURATION, MemorySize=256)
        self.assertEqual(json.loads((self.directory / FROZEN).read_text()), [task.pid])
        self.assertTrue(os.WIFSTOPPED(os.waitpid(task.pid, os.WUNTRACED)[1]))
        self.assertFalse((self.directory / FREEZE).exists())

    def test_another_emulator_is_refused(self) -> None:
        self.lambda_._execute_function_dispatch = lambda event: None
        with self.assertRaisesRegex(RuntimeError, "takes other parameters"):
            Recorder(self.lambda_, self.directory).install()


if __name__ == "__main__":
    unittest.main()
