"""A function with its own exceptions, and with a decorator around its handler that reports what it sees."""

import functools

from errors import NeedsTwo, OutOfStock  # noqa: F401: the chaos handler finds them here


def reported(handler):
    @functools.wraps(handler)
    def report(event, context):
        try:
            return handler(event, context)
        except Exception as error:
            print("reported", type(error).__name__, error, flush=True)
            raise

    return report


@reported
def handler(event, context):
    print("handled", context.aws_request_id, 0, flush=True)
    return event
