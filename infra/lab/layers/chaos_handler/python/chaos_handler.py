"""A handler that replaces a function's handler: it calls the original and degrades its response.

The experiment sets `Handler` to `chaos_handler.handler` and these variables:

CHAOS_ORIGINAL_HANDLER  the function's own handler, for instance `app.handler`
CHAOS_DELAY_MS          the delay before the response
CHAOS_STATUS_CODE       the status of the response, instead of the original's
CHAOS_DEADLINE_MS       milliseconds since the epoch; after that, the original's responses pass unchanged

A value that is missing or not a number changes nothing. A deadline that is not a number counts as passed. On any doubt the
original's response passes unchanged.
"""

import importlib
import os
import time

# Milliseconds that the delay leaves before the time limit, because a timeout would be another fault.
MARGIN_MS = 200


def load(handler_name):
    module, _, function = handler_name.rpartition(".")
    # Lambda allows a path before the module: https://docs.aws.amazon.com/lambda/latest/dg/python-handler.html
    return getattr(importlib.import_module(module.replace("/", ".")), function)


def number(variable):
    text = os.environ.get(variable, "")
    return int(text) if text.isascii() and text.isdigit() else None


# Loaded when the runtime initializes, as the runtime loads a handler, so that a cold start stays a cold start.
original = load(os.environ["CHAOS_ORIGINAL_HANDLER"])


def handler(event, context):
    response = original(event, context)
    if expired():
        return response
    delay(number("CHAOS_DELAY_MS"), context)
    return disturb(response, number("CHAOS_STATUS_CODE"))


def expired():
    # After the deadline the fault ends, even if nothing is left to restore the function.
    if "CHAOS_DEADLINE_MS" not in os.environ:
        return False
    deadline = number("CHAOS_DEADLINE_MS")
    return deadline is None or time.time() * 1000 >= deadline


def delay(milliseconds, context):
    if milliseconds:
        longest = context.get_remaining_time_in_millis() - MARGIN_MS
        time.sleep(max(0, min(milliseconds, longest)) / 1000)


def disturb(response, status_code):
    if status_code is None or not isinstance(response, dict):
        return response
    headers = {**(response.get("headers") or {}), "x-chaos": "handler"}
    return {**response, "statusCode": status_code, "headers": headers}
