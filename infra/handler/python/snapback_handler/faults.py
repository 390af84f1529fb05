"""What happens to one invocation: in which order its faults take effect, and how. Loaded when the first fault is due.

The order is the proxy's: delays before the handler; the first exception or response in its place; the handler; delays after it; the
first exception after it; responses after it.
"""

import builtins
import functools
import sys
import threading
from types import CodeType

from snapback_handler import log, monotonic, sleep, time

# How often a wait reads the wall clock, which may jump where a sleep does not.
CLOCK_INTERVAL_S = 1.0
DEFAULT_TYPE = "RuntimeError"


class Call:
    """One invocation with the faults that are due."""

    def __init__(self, original, name, orders, due):
        self.original, self.name, self.orders = original, name, orders
        self.delays = [each for each in due if each[0].kind == "latency"]
        self.results = [fault for fault, _ in due if fault.kind != "latency"]

    def invoke(self, event, context):
        for fault, roll in self.delays:
            if not fault.after:
                self.delay(fault, roll, context)
        instead = next((fault for fault in self.results if not fault.after), None)
        # The faults may have expired during the delays.
        if instead and self.remaining():
            self.report(instead.kind, context)
            if instead.kind == "response":
                from snapback_handler.responses import whole_response

                return whole_response(instead.settings)
            return raise_inside(self.original, self.exception(instead), event, context)
        return self.after(event, context)

    def after(self, event, context):
        try:
            result = self.original(event, context)
        except Exception:
            self.end(context)
            raise
        self.end(context)
        for fault in self.results:
            if fault.after and fault.kind == "response" and self.remaining():
                from snapback_handler.responses import merged

                self.report("response", context)
                result = merged(result, fault.settings)
        return result

    def end(self, context):
        """Injects what takes effect after the handler, also after one that has failed."""
        for fault, roll in self.delays:
            if fault.after:
                self.delay(fault, roll, context)
        fault = next((fault for fault in self.results if fault.after and fault.kind == "exception"), None)
        if fault and self.remaining():
            self.report("exception", context)
            raise self.exception(fault) from None

    def remaining(self):
        """Returns the seconds until the faults expire, at least 0."""
        return max(0.0, self.orders.until - time())

    def report(self, fault, context, delay_ms=0):
        log.metric(self.orders, fault, delay_ms, getattr(context, "aws_request_id", ""))

    def delay(self, fault, roll, context):
        delay_s = min(between(*fault.settings, roll) / 1000, self.remaining())
        if not self.remaining():
            return
        self.report("latency", context, round(delay_s * 1000))
        end = monotonic() + delay_s
        while self.remaining() and monotonic() < end:
            sleep(max(0.0, min(end - monotonic(), CLOCK_INTERVAL_S, self.remaining())))

    def exception(self, fault):
        return exception(self.original, self.name, fault.settings["type"], fault.settings["message"])


def between(least, most, roll):
    """Maps a roll to a number from `least` to `most`."""
    # The upper half is nearly independent of the remainder that decides the percentage.
    return least + (((roll >> 32) * (most - least + 1)) >> 32)


def exception(original, handler_name, name, message):
    """Creates an exception of a class of the function or of Python; a RuntimeError that tells why not."""
    found = find_class(original, handler_name, name or DEFAULT_TYPE)
    if found is None:
        problem = "neither the handler's module nor Python has an exception class with this name"
    else:
        try:
            created = found(message)
            if issubclass(type(created), Exception):
                return created
            problem = "its class creates something that is not an exception"
        except BaseException as error:
            # Its code is the function's, which may even exit.
            problem = "it cannot be created from a message alone: %s" % error
    return RuntimeError("%s (snapback was to raise %s, but %s)" % (message, name, problem))


def find_class(original, handler_name, name):
    """Returns the exception class with this name: of the handler's modules, of Python, or of a loaded module with the longest name."""
    # The handler can be from another module than its name says, such as an adapter of a framework.
    own = sys.modules.get(handler_name.rpartition(".")[0].replace("/", "."))
    module = attribute(unwrapped(original), "__module__")
    of_code = sys.modules.get(module) if type(module) is str else None
    parts = name.split(".")
    roots = [(scope, parts) for scope in (own, of_code, builtins)]
    roots += [(sys.modules.get(".".join(parts[:at])), parts[at:]) for at in range(len(parts) - 1, 0, -1)]
    for found, path in roots:
        for part in path:
            found = attribute(found, part)
        # isinstance would ask the object, whose code may fail.
        if issubclass(type(found), type) and issubclass(found, Exception):
            return found
    return None


def attribute(owner, name):
    """Returns an attribute; None if it is missing, or if the function's code that looks it up fails."""
    try:
        return getattr(owner, name, None)
    except BaseException:
        return None


def unwrapped(function):
    """Returns the function inside decorators that name what they wrap, as functools.wraps does, and inside functools.partial."""
    for _ in range(100):
        is_partial = issubclass(type(function), functools.partial)
        inner = attribute(function, "func" if is_partial else "__wrapped__")
        if inner is None:
            break
        function = inner
    return function


def raise_inside(original, error, event, context):
    """Raises the exception in the first line of the function's own handler, inside its decorators, before anything of it has run.

    So the stack has the function's frame, and what the function has around its handler sees the exception: a decorator of a tracer,
    a middleware. A handler that is not Python code is not called at all.
    """
    code = code_of(original)
    if code is None:
        raise error
    waiting, passive = [error], passive_codes()

    def trace(frame, kind, _):
        if not waiting:
            # A thread would keep the trace function after the invocation.
            sys.settrace(None)
            return None
        if frame.f_code is not code:
            return None
        # A first line `try:` does nothing, and the function's own `except` is for the lines after it.
        if kind == "line" and code.co_code[frame.f_lasti] not in passive:
            waiting.clear()
            raise error
        return trace

    # threading.gettrace is new in Python 3.10.
    before, before_in_threads = sys.gettrace(), getattr(threading, "_trace_hook", None)
    sys.settrace(trace)
    # A decorator can run the function in a new thread, for its own limit of time.
    threading.settrace(trace)
    try:
        result = original(event, context)
    except Exception as failure:
        if failure is error:
            remove_last_frame(error, trace.__code__)
        raise
    finally:
        # Python removes a trace function that raises.
        sys.settrace(before)
        threading.settrace(before_in_threads)
        is_raised = not waiting
        waiting.clear()
    if not is_raised:
        # A decorator has answered without the function.
        raise error
    # The function's own code has handled the exception.
    return result


def code_of(original):
    """Returns the code of the function's own handler, which can be a function or an object to call; None if it is not Python code."""
    inner = unwrapped(original)
    for function in (inner, unwrapped(attribute(type(inner), "__call__"))):
        code = attribute(function, "__code__")
        if type(code) is CodeType:
            return code
    return None


def passive_codes():
    """Returns what `try:` and `pass` are in a function's code."""
    try:
        from opcode import opmap

        return {opmap.get("NOP"), opmap.get("SETUP_FINALLY")}
    except BaseException:
        # The function's folder comes first, and may have another module with this name.
        return ()


def remove_last_frame(error, code):
    """Removes the frame of the trace function, which the function has not called. Python 3.10 names the function's own frame twice."""
    entries = [error.__traceback__]
    while entries[-1].tb_next:
        entries.append(entries[-1].tb_next)
    if entries[-1].tb_frame.f_code is code:
        entries.pop()
    while len(entries) > 1 and entries[-1].tb_frame is entries[-2].tb_frame:
        entries.pop()
    entries[-1].tb_next = None
