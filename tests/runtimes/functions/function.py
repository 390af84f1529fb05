"""A function whose event selects its behavior; function.mjs and function.rs behave the same."""

import os
import time


def handler(event, context):
    print("handled", context.aws_request_id, time.time_ns() // 1_000_000, flush=True)
    action = event.get("do") if isinstance(event, dict) else None
    if action == "fail":
        raise ValueError("the event asks for it")
    if action == "wait":
        time.sleep(event["ms"] / 1000)
    if action == "describe":
        return describe(context)
    if action == "inspect":
        return inspect()
    return event


def describe(context):
    """Returns what the runtime has made of the headers of the event."""
    client = context.client_context
    return {
        "id": context.aws_request_id,
        "arn": context.invoked_function_arn,
        "deadline": context._epoch_deadline_time_in_ms,
        "trace": os.environ.get("_X_AMZN_TRACE_ID"),
        "client": client.custom if client else None,
        "identity": context.identity.cognito_identity_id,
    }


def inspect():
    """Returns what a process can observe about its start."""
    tasks = [open(f"/proc/self/task/{task}/children").read() for task in os.listdir("/proc/self/task")]
    descriptors = []
    for descriptor in os.listdir("/proc/self/fd"):
        try:
            descriptors.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        except FileNotFoundError:
            pass  # the descriptor of the listing
    return {
        "environment": dict(os.environ),
        "children": " ".join(tasks).split(),
        "descriptors": descriptors,
        "status": open("/proc/self/status").read(),
        "limits": open("/proc/self/limits").read(),
        "arguments": open("/proc/self/cmdline").read(),
        "directory": os.getcwd(),
    }
