"""The handler that the runtime loads: `snapback_handler.bootstrap.handler`.

The runtime's client (awslambdaric) removes the outermost frames whose file is named bootstrap.py from a stack trace. So an exception of
the function's own has the stack trace that it would have without this file.
"""

import functools
import os
import sys
import time

from snapback_handler import config, log


def __getattr__(name):
    # The runtime takes the handler from this module with getattr, after it has imported the module. An error that is raised here is
    # reported as it is; one at the import would be reported as a problem of this module.
    if name != "handler":
        raise AttributeError(name)
    original_name = os.environ.pop(config.ORIGINAL_VARIABLE, "")
    text = os.environ.pop(config.FAULTS_VARIABLE, None)
    # Libraries read the handler's name from the environment.
    os.environ["_HANDLER"] = original_name
    original = load(original_name)
    orders = config.read(text)
    handler = original if orders is None else wrap(original, orders)
    globals()["handler"] = handler
    return handler


def load(name):
    """Returns the handler with this name, or raises what the runtime would raise."""
    runtime = sys.modules.get("awslambdaric.bootstrap")
    load_as_runtime = getattr(runtime, "_get_handler", None)
    if load_as_runtime:
        return load_as_runtime(name)
    import importlib

    module, _, function = name.rpartition(".")
    return getattr(importlib.import_module(module.replace("/", ".")), function)


def wrap(original, orders):
    """Returns a handler that injects the faults of the orders until they expire."""
    from snapback_handler.choice import Choice

    choose = Choice(orders).due
    clock, until = time.time, orders.until

    def handler(event, context):
        if clock() >= until:
            return original(event, context)
        due = choose(event, context)
        return inject(due, event, context) if due else original(event, context)

    def inject(due, event, context):
        from snapback_handler.faults import Call

        return Call(original, orders, due).invoke(event, context)

    try:
        return functools.wraps(original)(handler)
    except Exception as error:
        log.line("the handler's attributes cannot be copied: %s" % error)
        return handler
