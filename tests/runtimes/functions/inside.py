"""Handlers whose own code is inside a thread, a partial function or an object, and handles its own exceptions."""

import functools
from concurrent.futures import ThreadPoolExecutor


class OutOfStock(Exception):
    pass


def limited(handler):
    """Calls a handler in a new thread, as decorators do that limit its time."""

    @functools.wraps(handler)
    def call(*arguments):
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(handler, *arguments).result(10)

    return call


def passed(handler):
    @functools.wraps(handler)
    def call(*arguments):
        return handler(*arguments)

    return call


def sell(*arguments):
    try:
        print("handled", arguments[-1].aws_request_id, 0, flush=True)
        return arguments[-2]
    except OutOfStock as error:
        return {"handled": str(error)}


class Seller:
    __call__ = passed(sell)


thread = limited(sell)
partial = functools.partial(sell, "shop")
called = Seller()
