"""The orders that the control plane writes for the handler, in the proxy's wire format (src/model/invocation/proxy_config.rs).

A fault with anything unknown is ignored as a whole, because the unknown part could be a condition.
"""

from types import SimpleNamespace

from snapback_handler import loads, time

FAULTS_VARIABLE = "SNAPBACK_HANDLER_FAULTS"
ORIGINAL_VARIABLE = "SNAPBACK_HANDLER"
# Parts of a million: a percentage has four decimals.
ALL = 1_000_000
EXCHANGED = str.maketrans("\"'\\~", "'\"~\\")
# What a value must be: its types, and the limits of a number or of a length.
U32, U64 = ((int,), 0, 2**32 - 1), ((int,), 0, 2**64 - 1)
MS, STATUS, PERCENTAGE = ((int,), 0, 900_000), ((int,), 100, 599), ((int, float), 0, 100)
TEXT, NAME, MESSAGE = ((str,), 0, 2**32), ((str,), 1, 128), ((str,), 0, 1024)
HEADERS, CONDITIONS, FAULTS = ((dict,), 0, 2**32), ((list,), 0, 10), ((list,), 0, 20)


def read(text):
    """Returns the orders; None, with one line in the log, if there is nothing to inject."""
    orders, problems = None, ["is not set; the function runs without faults"]
    if text is not None:
        try:
            orders = parse(text)
            problems = ["%s; ignored" % what for what in orders.ignored]
        except Exception as error:
            # The function must run without faults, whatever is wrong with the orders.
            problems = ["cannot be read: %s; the function runs without faults" % error]
    for problem in problems:
        from snapback_handler import log

        log.line("%s: %s" % (FAULTS_VARIABLE, problem))
    return orders if orders and orders.faults and time() < orders.until else None


def parse(text):
    """Returns the orders, with what is unknown in them. Raises ValueError if the text contains no orders."""
    left = loads(text.translate(EXCHANGED) if text.startswith("{'") else text, parse_constant=refuse)
    if type(left) is not dict:
        raise ValueError("it is not an object")
    until, experiment, run = take(left, "until", U64), take(left, "experiment", TEXT), take(left, "run", TEXT)
    seed, faults, ignored = take(left, "seed", U32, None), [], []
    for at, each in enumerate(take(left, "faults", FAULTS)):
        try:
            faults.append(read_fault(each))
        except (ValueError, RecursionError) as error:
            ignored.append("faults[%d]: %s" % (at, error))
    ignored += ["`%s` is unknown" % name for name in left]
    # The handler compares with seconds.
    return SimpleNamespace(until=until / 1000, experiment=experiment, run=run, seed=seed, faults=faults, ignored=ignored)


def refuse(constant):
    raise ValueError("`%s` is not JSON" % constant)


def take(left, name, kind, *default):
    """Removes a field and returns its value, or the default if it is missing. With the default None, null also means missing."""
    value = left.pop(name, *default or (None,))
    if default and value is default[0]:
        return value
    types, least, most = kind
    # In Python, True is also a number.
    if type(value) not in types or not least <= (value if int in types else len(value)) <= most:
        raise ValueError("`%s` is missing or has a wrong value" % name)
    return value


def read_fault(written):
    if type(written) is not dict or len(written) != 1:
        raise ValueError("it does not have exactly one name")
    [(kind, left)] = written.items()
    if kind not in SETTINGS or type(left) is not dict:
        raise ValueError("`%s` is unknown or not an object" % kind)
    when = take(left, "when", NAME, "before")
    if when not in ("before", "after"):
        raise ValueError("`when` is neither before nor after")
    match, qualifier = take(left, "match", CONDITIONS, []), take(left, "qualifier", NAME, None)
    if qualifier and qualifier not in ("$LATEST", "$LATEST.PUBLISHED") and not is_word(qualifier.replace("-", "_")):
        raise ValueError("`qualifier` is not an alias or a version")
    fault = SimpleNamespace(kind=kind, after=when == "after", qualifier=qualifier, conditions=[])
    fault.share = share(take(left, "percentage", PERCENTAGE, 100))
    fault.settings = SETTINGS[kind](left, fault.after)
    if left:
        raise ValueError("`%s` is unknown" % next(iter(left)))
    if match:
        from snapback_handler.conditions import compiled

        fault.conditions = [compiled(each) for each in match]
    return fault


def share(percentage):
    """Returns how many of a million rolls a percentage selects."""
    return int(percentage * 10_000 + 0.5)


def is_word(text):
    # A compiled pattern would take longer at the start.
    return text.isascii() and ("_" + text).isidentifier()


def exception(left, after):
    kind = take(left, "type", NAME, None)
    if kind and not all(part.isascii() and part.replace("$", "_").isidentifier() for part in kind.split(".")):
        raise ValueError("`type` is not the name of a class")
    return {"type": kind, "message": take(left, "message", MESSAGE, "snapback has injected this error")}


def latency(left, after):
    delay, least, most = take(left, "delayMs", MS, None), take(left, "minMs", MS, None), take(left, "maxMs", MS, None)
    if delay is not None and least is None and most is None:
        return delay, delay
    if delay is None and least is not None and most is not None and least <= most:
        return least, most
    raise ValueError("it does not have exactly one delay")


def response(left, after):
    from snapback_handler import responses

    return responses.read(left, after)


SETTINGS = {"exception": exception, "latency": latency, "response": response}
