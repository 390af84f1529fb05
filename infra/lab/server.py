"""The emulator's process: ministack with the bridges, the recorder, and the lab's changes.

    server.py DIRECTORY [PARENT]

The server ends when the process PARENT has ended.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import alarms
import environments
import lambda_metrics
import managed_runtimes
from bridge import JOURNAL, Bridge
from metric_bridge import MetricBridge
from record import Recorder

PARENT_CHECK_SECONDS = 1.0
# Returns the emulator's directory, so that its starter can tell it from another emulator on the same port.
IDENTITY_PATH = "/_lab/directory"


def main() -> None:
    # ministack needs this module for CBOR, and AWS's Rust client of CloudWatch uses nothing else.
    import cbor2  # noqa: F401
    from ministack import app
    from ministack.core import lambda_runtime
    from ministack.services import cloudwatch, cloudwatch_logs, eventbridge, lambda_svc
    from ministack.services.cloudformation import provisioners

    directory, *parent = sys.argv[1:]
    for number in parent:
        threading.Thread(target=end_with, args=(int(number),), daemon=True).start()
    Bridge(cloudwatch, eventbridge, Path(directory) / JOURNAL).install()
    MetricBridge(cloudwatch_logs, cloudwatch).install()
    Recorder(lambda_svc, Path(directory)).install()
    managed_runtimes.install(lambda_runtime, lambda_svc)
    environments.change(lambda_runtime, lambda_svc)
    lambda_metrics.change(lambda_svc, cloudwatch)
    alarms.change(provisioners, Path(directory))
    alarms.evaluate_own_dimensions(cloudwatch)
    app.app = with_identity(app.app, directory)
    # ministack parses the command line too, and does not know these arguments.
    sys.argv = sys.argv[:1]
    app.main()


def with_identity(emulator: Any, directory: str) -> Any:
    """Adds IDENTITY_PATH to the emulator's application."""

    async def application(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["path"] != IDENTITY_PATH:
            return await emulator(scope, receive, send)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": directory.encode()})

    return application


def end_with(parent: int) -> None:
    """Ends the emulator and its functions when the lab was killed, because a killed lab cannot stop them."""
    while os.getppid() == parent:
        time.sleep(PARENT_CHECK_SECONDS)
    os.killpg(os.getpgrp(), signal.SIGKILL)


if __name__ == "__main__":
    main()
