"""The emulator's process: ministack with the bridges, the recorder, and the lab's changes.

    server.py DIRECTORY PARENT

The server ends when the process PARENT, which has started it, has ended. Only a lab that is left running has a state file
(session.py): its server ends when the process that the file names as its user has ended, if it names one.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import alarms
import environments
import fis
import iam_gaps
import iam_roles
import iam_tables
import lambda_metrics
import managed_runtimes
import rights
import runtime_management
import schedules
from bridge import JOURNAL, Bridge
from metric_bridge import MetricBridge
from pipe_bridge import PipeBridge
from record import Recorder

PARENT_CHECK_SECONDS = 1.0
STATE = "state.json"
# Returns the emulator's directory, so that its starter can tell it from another emulator on the same port.
IDENTITY_PATH = "/_lab/directory"


def main() -> None:
    # ministack needs this module for CBOR, and AWS's Rust client of CloudWatch uses nothing else.
    import cbor2  # noqa: F401
    from ministack import app
    from ministack.core import iam_actions, iam_evaluator, lambda_runtime, responses
    from ministack.services import (
        cloudwatch,
        cloudwatch_logs,
        dynamodb,
        eventbridge,
        iam,
        lambda_svc,
        pipes,
        scheduler,
        sqs,
        ssm,
        stepfunctions,
        tagging,
    )
    from ministack.services.cloudformation import provisioners

    directory, parent = sys.argv[1:]
    threading.Thread(target=end_with, args=(int(parent), Path(directory) / STATE), daemon=True).start()
    Bridge(cloudwatch, eventbridge, Path(directory) / JOURNAL).install()
    MetricBridge(cloudwatch_logs, cloudwatch).install()
    runtime_management.install(lambda_svc)
    Recorder(lambda_svc, Path(directory)).install()
    managed_runtimes.install(lambda_runtime, lambda_svc)
    environments.change(lambda_runtime, lambda_svc)
    lambda_metrics.change(lambda_svc, cloudwatch)
    alarms.change(provisioners, Path(directory))
    alarms.evaluate_own_dimensions(cloudwatch)
    iam_gaps.close(iam_actions, iam_evaluator, tagging, lambda_svc)
    iam_tables.close(iam_evaluator, dynamodb, provisioners)
    fis.install(app, ssm, iam_actions, iam_evaluator, provisioners, Path(directory))
    roles = iam_roles.Roles(iam_evaluator, responses.get_region)
    PipeBridge(pipes, provisioners, roles, stepfunctions, eventbridge).install()
    iam_roles.install(roles, stepfunctions, eventbridge, lambda_svc)
    schedules.install(
        roles,
        schedules.Services(iam_actions, iam_evaluator, scheduler, eventbridge, stepfunctions, sqs, cloudwatch, iam),
    )
    rights.record(iam_evaluator, roles, Path(directory))
    app.app = with_identity(app.app, directory)
    # ministack parses the command line too, and does not know these arguments.
    sys.argv = sys.argv[:1]
    app.main()


def with_identity(emulator: Any, directory: str) -> Any:
    """Adds IDENTITY_PATH to the emulator's application.

    Requests count as encrypted, because they do not leave this machine. Otherwise the dead-letter queue's policy would deny them.
    """

    async def application(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["path"] != IDENTITY_PATH:
            return await emulator(scope | {"scheme": "https"} if "scheme" in scope else scope, receive, send)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": directory.encode()})

    return application


def end_with(parent: int, state: Path) -> None:
    """Ends the emulator and its functions when the lab was killed, because a killed lab cannot stop them."""
    while os.getppid() == parent:
        time.sleep(PARENT_CHECK_SECONDS)
    if state.exists():
        user = json.loads(state.read_text())["user"]
        while user is None or is_running(user):
            time.sleep(PARENT_CHECK_SECONDS)
    os.killpg(os.getpgrp(), signal.SIGKILL)


def is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        # It belongs to another user.
        return True
    return True


if __name__ == "__main__":
    main()
