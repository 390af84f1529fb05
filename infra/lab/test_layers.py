"""Tests the layers of the experiments. The wrappers run here as in AWS, which the emulator does not do."""

from __future__ import annotations

import io
import os
import subprocess
import tempfile
import time
import unittest
import zipfile
from pathlib import Path

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


if __name__ == "__main__":
    unittest.main()
