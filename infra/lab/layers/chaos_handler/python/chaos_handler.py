"""A handler that stands in for a function's own: it calls the original and makes its answer worse.

The experiment sets `Handler` to `chaos_handler.handler` and these variables:

CHAOS_ORIGINAL_HANDLER  the function's own handler, for instance `app.handler`
CHAOS_DELAY_MS          wait so long before the answer
CHAOS_STATUS_CODE       answer with this status instead of the original's
CHAOS_DEADLINE_MS       milliseconds since the epoch: from then on the original's answers pass as they are

A value that is missing or no number changes nothing, and a deadline that is no number has passed: on any doubt the
original's answer passes as it is.
"""

import importlib
import os
import time

# Left of the time limit, so that the delay never turns into a timeout: that would be another fault.
MARGIN_MS = 200


def load(handler_name):
    module, _, function = handler_name.rpartition(".")
    # Lambda allows a path before the module: https://docs.aws.amazon.com/lambda/latest/dg/python-handler.html
    return getattr(importlib.import_module(module.replace("/", ".")), function)


def number(variable):
    text = os.environ.get(variable, "")
    return int(text) if text.isascii() and text.isdigit() else None


# Loaded when the runtime initialises, as the runtime loads a handler: a cold start stays a cold start.
original = load(os.environ["CHAOS_ORIGINAL_HANDLER"])


def handler(event, context):
    answer = original(event, context)
    if expired():
        return answer
    delay(number("CHAOS_DELAY_MS"), context)
    return disturb(answer, number("CHAOS_STATUS_CODE"))


def expired():
    # The function comes back by itself, should nothing be left that could restore it.
    if "CHAOS_DEADLINE_MS" not in os.environ:
        return False
    deadline = number("CHAOS_DEADLINE_MS")
    return deadline is None or time.time() * 1000 >= deadline


def delay(milliseconds, context):
    if milliseconds:
        longest = context.get_remaining_time_in_millis() - MARGIN_MS
        time.sleep(max(0, min(milliseconds, longest)) / 1000)


def disturb(answer, status_code):
    if status_code is None or not isinstance(answer, dict):
        return answer
    headers = {**(answer.get("headers") or {}), "x-chaos": "handler"}
    return {**answer, "statusCode": status_code, "headers": headers}
