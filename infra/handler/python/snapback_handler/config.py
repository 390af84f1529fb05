"""The orders that the control plane writes for the handler, in the proxy's wire format (src/model/invocation/proxy_config.rs).

A fault with anything unknown is ignored as a whole, because the unknown part could be a condition.
"""

import json
import time

from snapback_handler import log

FAULTS_VARIABLE = "SNAPBACK_HANDLER_FAULTS"
ORIGINAL_VARIABLE = "SNAPBACK_HANDLER"
MAX_FAULTS, MAX_CONDITIONS, MAX_MS, MAX_TYPE, MAX_MESSAGE = 20, 10, 900_000, 128, 1024
MAX_U32, MAX_U64 = (1 << 32) - 1, (1 << 64) - 1
# Parts of a million: a percentage has four decimals.
ALL = 1_000_000
COMMON = {"when", "percentage", "match", "qualifier"}
EXCHANGED = str.maketrans("\"'\\~", "'\"~\\")
MAX_QUALIFIER = 128


class Orders:
    """The faults of a run, and when they expire, in seconds since the epoch."""

    def __init__(self, until, experiment, run, seed, faults):
        self.until, self.experiment, self.run, self.seed, self.faults = until, experiment, run, seed, faults


class Fault:
    """A fault with its settings. Of a million rolls, it selects `share`."""

    def __init__(self, kind, settings, after, share, conditions, qualifier):
        self.kind, self.settings, self.after = kind, settings, after
        self.share, self.conditions, self.qualifier = share, conditions, qualifier


def read(text):
    """Returns the orders; None, with one line in the log, if there is nothing to inject."""
    if text is None:
        return log.line("%s is not set; the function runs without faults" % FAULTS_VARIABLE)
    try:
        orders, ignored = parse(text)
    except (ValueError, RecursionError) as error:
        return log.line("%s cannot be read: %s; the function runs without faults" % (FAULTS_VARIABLE, error))
    for what in ignored:
        log.line("%s: %s; ignored" % (FAULTS_VARIABLE, what))
    return orders if orders.faults and time.time() < orders.until else None


def parse(text):
    """Returns the orders, and what is unknown in them. Raises ValueError if the text contains no orders."""
    written = json.loads(text.translate(EXCHANGED) if text.startswith("{'") else text, parse_constant=refuse)
    written = checked(written, dict, "is not an object")
    until = whole(written.pop("until", None), 0, MAX_U64, "until")
    experiment = checked(written.pop("experiment", None), str, "`experiment` is not text")
    run = checked(written.pop("run", None), str, "`run` is not text")
    seed = optional(written.pop("seed", None), lambda seed: whole(seed, 0, MAX_U32, "seed"))
    listed = checked(written.pop("faults", None), list, "`faults` is not a list")
    if len(listed) > MAX_FAULTS:
        raise ValueError("%d faults are more than the limit of %d" % (len(listed), MAX_FAULTS))
    faults, ignored = [], ["`%s` is unknown" % name for name in written]
    for at, each in enumerate(listed):
        try:
            faults.append(read_fault(each))
        except ValueError as error:
            ignored.append("faults[%d]: %s" % (at, error))
    return Orders(until / 1000, experiment, run, seed, faults), ignored


def refuse(constant):
    raise ValueError("`%s` is not JSON" % constant)


def read_fault(written):
    written = checked(written, dict, "is not an object")
    if len(written) != 1:
        raise ValueError("does not have exactly one name")
    [(kind, settings)] = written.items()
    read_settings = SETTINGS.get(kind)
    if not read_settings:
        raise ValueError("`%s` is unknown" % kind)
    settings = dict(checked(settings, dict, "`%s` is not an object" % kind))
    common = {name: settings.pop(name) for name in COMMON & settings.keys()}
    when = common.get("when", "before")
    if when not in ("before", "after"):
        raise ValueError("`when` is neither before nor after")
    own = read_settings(settings, when == "after")
    if settings:
        raise ValueError("unknown field `%s`" % next(iter(settings)))
    return Fault(kind, own, when == "after", share(common.get("percentage", 100)), conditions(common.get("match", [])), qualifier(common))


def share(percentage):
    if isinstance(percentage, bool) or not isinstance(percentage, (int, float)) or not 0 <= percentage <= 100:
        raise ValueError("`percentage` is not a number from 0 to 100")
    return int(percentage * 10_000 + 0.5)


def conditions(written):
    if len(checked(written, list, "`match` is not a list")) > MAX_CONDITIONS:
        raise ValueError("`match` has more than %d conditions" % MAX_CONDITIONS)
    if not written:
        return []
    from snapback_handler.conditions import compiled

    return [compiled(each) for each in written]


def qualifier(common):
    name = common.get("qualifier")
    if name is not None and not is_qualifier(checked(name, str, "`qualifier` is not text")):
        raise ValueError("`qualifier` is not an alias or a version")
    return name


def is_qualifier(name):
    word = name.replace("-", "a").replace("_", "a")
    return name in ("$LATEST", "$LATEST.PUBLISHED") or (word.isascii() and word.isalnum() and len(name) <= MAX_QUALIFIER)


def is_class(name):
    """Whether a text is a name, or several with dots between them. A compiled pattern would take longer at the start."""
    return name.isascii() and len(name) <= MAX_TYPE and all(part.replace("$", "_").isidentifier() for part in name.split("."))


def exception(settings, after):
    kind = optional(settings.pop("type", None), lambda kind: checked(kind, str, "`type` is not text"))
    message = checked(settings.pop("message", "snapback has injected this error"), str, "`message` is not text")
    if kind is not None and not is_class(kind):
        raise ValueError("`type` is not the name of a class")
    if len(message) > MAX_MESSAGE:
        raise ValueError("`message` is longer than %d characters" % MAX_MESSAGE)
    return {"type": kind, "message": message}


def latency(settings, after):
    delay, least, most = (
        optional(settings.pop(name, None), lambda ms, name=name: whole(ms, 0, MAX_MS, name)) for name in ("delayMs", "minMs", "maxMs")
    )
    if delay is not None and least is None and most is None:
        return delay, delay
    if delay is None and least is not None and most is not None and least <= most:
        return least, most
    raise ValueError("does not have exactly one delay")


def response(settings, after):
    status = optional(settings.pop("statusCode", None), lambda status: whole(status, 100, 599, "statusCode"))
    headers = checked(settings.pop("headers", {}), dict, "`headers` is not an object")
    for value in headers.values():
        checked(value, str, "a header is not text")
    body = optional(settings.pop("body", None), lambda body: checked(body, str, "`body` is not text"))
    raw = optional(settings.pop("raw", None), lambda raw: checked(raw, str, "`raw` is not text"))
    is_http = status is not None or bool(headers) or body is not None
    if is_http == (raw is not None):
        raise ValueError("has not exactly one form of a response")
    if is_http and status is None and not after:
        raise ValueError("has no `statusCode`")
    if raw is not None:
        json.loads(raw, parse_constant=refuse)
    return {"status": status, "headers": headers, "body": body, "raw": raw}


SETTINGS = {"exception": exception, "latency": latency, "response": response}


def checked(value, kind, wrong):
    if not isinstance(value, kind):
        raise ValueError(wrong)
    return value


def optional(value, read_value):
    return None if value is None else read_value(value)


def whole(value, least, most, name):
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ValueError("`%s` is not a whole number from %d to %d" % (name, least, most))
    return value
