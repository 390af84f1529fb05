"""The handler that the runtime loads: `snapback_handler.bootstrap.handler`.

The runtime's client (awslambdaric) removes the outermost frames whose file is named bootstrap.py from a stack trace. So an exception of
the function's own has the stack trace that it would have without this file.

A layer has no compiled code, so Python compiles these files at each start, which takes about 10 us a line. So the start imports only
what every run needs: this file, config.py, and conditions.py if there are conditions.
"""

import sys

from snapback_handler import config, environ, time, urandom


def __getattr__(name):
    # The runtime takes the handler from this module with getattr, after it has imported the module. An error that is raised here is
    # reported as it is; one at the import would be reported as a problem of this module.
    if name != "handler":
        raise AttributeError(name)
    original_name = environ.pop(config.ORIGINAL_VARIABLE, "")
    text = environ.pop(config.FAULTS_VARIABLE, None)
    # Libraries read the handler's name from the environment.
    environ["_HANDLER"] = original_name
    # Before the function's module is loaded, which may change what this needs.
    orders = config.read(text)
    original = load(original_name)
    handler = original if orders is None else wrap(original, original_name, orders)
    globals()["handler"] = handler
    return handler


def load(name):
    """Returns the handler with this name, or raises what the runtime would report as without snapback."""
    runtime = sys.modules.get("awslambdaric.bootstrap")
    try:
        return runtime._get_handler(name)
    except AttributeError as error:
        from snapback_handler import unusual

        return unusual.load(name, runtime, error)


def wrap(original, name, orders):
    """Returns a handler that injects the faults of the orders until they expire."""
    choose = chooser(orders)
    clock, until = time, orders.until

    def handler(event, context):
        if clock() >= until:
            return original(event, context)
        due = choose(event, context)
        return inject(due, event, context) if due else original(event, context)

    def inject(due, event, context):
        from snapback_handler.faults import Call

        return Call(original, name, orders, due).invoke(event, context)

    try:
        import functools

        return functools.wraps(original)(handler)
    except Exception as error:
        from snapback_handler import log

        log.line("the handler's attributes cannot be copied: %s" % error)
        return handler


def chooser(orders):
    """Returns a function that returns the faults that are due in an invocation, each with its roll."""
    faults, count, everything = orders.faults, len(orders.faults), config.ALL
    if orders.seed is None:
        # From the kernel: environments restored from one snapshot (SnapStart) share all other random state.
        draw, number, size = urandom, int.from_bytes, 8 * count

        def roll():
            drawn = draw(size)
            return [number(drawn[at : at + 8], "little") for at in range(0, size, 8)]

    else:
        from snapback_handler.dice import seeded

        roll = seeded(orders.seed, count)

    def choose(event, context):
        rolls = zip(faults, roll())
        return [(fault, rolled) for fault, rolled in rolls if rolled % everything < fault.share and is_selected(fault, event, context)]

    return choose


def is_selected(fault, event, context):
    if fault.qualifier:
        parts = getattr(context, "invoked_function_arn", "").split(":", 7)
        if fault.qualifier != (parts[7] if len(parts) > 7 else "$LATEST"):
            return False
    return all(holds(event) for holds in fault.conditions)
