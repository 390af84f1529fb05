"""Tests the layers of the experiments. The wrappers run here as in AWS, which the emulator does not do."""

from __future__ import annotations

import importlib
import io
import os
import subprocess
import sys
import tempfile
import time
import types
import unittest
import zipfile
from pathlib import Path
from typing import Any
from unittest import mock

import archive

LAYERS = Path(__file__).parent / "layers"
CHAOS = LAYERS / "chaos_wrapper" / "chaos-wrapper"
TELEMETRY = LAYERS / "telemetry" / "telemetry-wrapper"
RUNTIME = ["sh", "-c", 'echo "$SERVICE_NAME $0 $1"', "runtime", "argument with blanks"]


def start(**variables: str) -> tuple[str, float]:
    """Starts a substitute for a runtime as Lambda does, with the chaos wrapper."""
    environment = {"PATH": os.environ["PATH"], "AWS_LAMBDA_FUNCTION_NAME": "orders", **variables}
    began = time.monotonic()
    done = subprocess.run([str(CHAOS), *RUNTIME], env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip(), time.monotonic() - began


class WrapperTest(unittest.TestCase):
    def test_the_wrapper_becomes_the_runtime(self) -> None:
        self.assertEqual(start()[0], "runtime argument with blanks")

    def test_the_wrapper_starts_the_chained_wrapper(self) -> None:
        output, _ = start(CHAOS_CHAINED_WRAPPER=str(TELEMETRY))
        self.assertEqual(output, "orders runtime argument with blanks")

    def test_the_wrapper_delays_the_start(self) -> None:
        self.assertGreaterEqual(start(CHAOS_START_DELAY_MS="300")[1], 0.3)

    def test_an_invalid_delay_does_not_delay(self) -> None:
        # This `sleep` only prints its argument. A measured time would depend on the load of the machine.
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        sleep = Path(folder.name) / "sleep"
        sleep.write_text('#!/bin/sh\necho "slept $1"\n')
        sleep.chmod(0o755)
        path = f"{folder.name}{os.pathsep}{os.environ['PATH']}"
        self.assertEqual(start(CHAOS_START_DELAY_MS="4100", PATH=path)[0], "slept 4.100\n runtime argument with blanks")
        for delay in ("", "-1", "soon", "1e3", "3600000", "9999", "0800", "08x"):
            with self.subTest(delay):
                output, _ = start(CHAOS_START_DELAY_MS=delay, PATH=path)
                self.assertEqual(output, "runtime argument with blanks")

    def test_the_wrapper_stays_executable_in_its_layer(self) -> None:
        with zipfile.ZipFile(io.BytesIO(archive.of_directory(CHAOS.parent))) as layer:
            self.assertEqual(layer.getinfo("chaos-wrapper").external_attr >> 16, 0o100755)


class Context:
    def get_remaining_time_in_millis(self) -> int:
        return 1000


class HandlerTest(unittest.TestCase):
    def response(self, original: Any, **variables: str) -> Any:
        """Returns the chaos handler's response for a function whose handler returns `original`."""
        app = types.ModuleType("orders_app")
        app.handler = lambda event, context: original  # type: ignore[attr-defined]
        names = {"CHAOS_ORIGINAL_HANDLER": "orders_app.handler", **variables}
        path = [str(LAYERS / "chaos_handler" / "python"), *sys.path]
        modules = mock.patch.dict(sys.modules, orders_app=app)
        with mock.patch.dict(os.environ, names), modules, mock.patch.object(sys, "path", path):
            sys.modules.pop("chaos_handler", None)
            return importlib.import_module("chaos_handler").handler({}, Context())

    def test_the_handler_changes_the_status_and_adds_a_header(self) -> None:
        response = self.response({"statusCode": 200, "body": "b", "headers": {"a": "1"}}, CHAOS_STATUS_CODE="503")
        self.assertEqual(response, {"statusCode": 503, "body": "b", "headers": {"a": "1", "x-chaos": "handler"}})

    def test_without_valid_settings_the_response_passes(self) -> None:
        for settings in ({}, {"CHAOS_STATUS_CODE": "bad", "CHAOS_DELAY_MS": "-5"}):
            self.assertEqual(self.response({"statusCode": 200}, **settings), {"statusCode": 200})

    def test_after_the_deadline_the_response_passes(self) -> None:
        now = int(time.time() * 1000)
        for deadline, status in ((now - 1, 200), (now + 60_000, 503), ("soon", 200), ("", 200)):
            with self.subTest(deadline), mock.patch("time.sleep") as slept:
                settings = {"CHAOS_STATUS_CODE": "503", "CHAOS_DELAY_MS": "200", "CHAOS_DEADLINE_MS": str(deadline)}
                self.assertEqual(self.response({"statusCode": 200}, **settings)["statusCode"], status)
                self.assertEqual([call[0][0] for call in slept.call_args_list], [0.2] if status == 503 else [])

    def test_a_response_that_is_not_an_object_passes(self) -> None:
        self.assertEqual(self.response(["a"], CHAOS_STATUS_CODE="503"), ["a"])

    def test_the_delay_ends_before_the_timeout(self) -> None:
        with mock.patch("time.sleep") as slept:
            self.response({}, CHAOS_DELAY_MS="60000")
        self.assertLess(slept.call_args[0][0] * 1000, Context().get_remaining_time_in_millis())


if __name__ == "__main__":
    unittest.main()
