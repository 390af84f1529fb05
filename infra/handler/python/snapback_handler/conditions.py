"""Conditions on an event: a path and one operator, as in `match` of the proxy's faults. Patterns and other paths are in patterns.py."""

from snapback_handler import to_json

MAX_STEPS, MAX_BYTES, MAX_VALUES = 32, 256, 64
HEADERS = ("headers", "multiValueHeaders")
OPERATORS = ("equals", "exists", "startsWith", "regex", "in")
ABSENT = object()


def compiled(condition):
    """Returns a function that tells whether the condition holds on an event."""
    if type(condition) is not dict or not condition.keys() <= {"path", *OPERATORS}:
        raise ValueError("a condition is not an object, or has an unknown field")
    steps = steps_of(condition.get("path"))
    # A null is a value for `equals` only.
    given = [name for name in OPERATORS if name in condition and (name == "equals" or condition[name] is not None)]
    if len(given) != 1:
        raise ValueError("a condition does not have exactly one operator")
    holds = operator(given[0], condition[given[0]])
    return lambda event: holds(find(event, steps))


def steps_of(path):
    """Returns the names and positions of a path, header names in lower case."""
    if type(path) is not str or len(path.encode()) > MAX_BYTES:
        raise ValueError("`path` is not a path to one place in the event")
    steps = path.split(".")
    if not all(steps) or any(c in path for c in "$[]*/"):
        # Most paths are names with dots, and need no pattern.
        from snapback_handler.patterns import steps_of_path

        steps = steps_of_path(path)
    if len(steps) > MAX_STEPS:
        raise ValueError("`path` has more than %d steps" % MAX_STEPS)
    return [lower(step) if at and steps[at - 1] in HEADERS else step for at, step in enumerate(steps)]


def lower(text):
    # As the proxy does: ASCII letters only.
    return text.lower() if text.isascii() else "".join(c.lower() if c.isascii() else c for c in text)


def operator(name, wanted):
    if name in ("equals", "in"):
        values = wanted if name == "in" else [wanted]
        if type(values) is not list or not 1 <= len(values) <= MAX_VALUES or any(type(each) in (dict, list) for each in values):
            raise ValueError("`%s` is not text, a number, true, false or null, or 1 to %d of them" % (name, MAX_VALUES))
        return lambda value: any(is_same(value, each) for each in values)
    if name == "exists" and type(wanted) is bool:
        return lambda value: (value is not ABSENT and value is not None) == wanted
    if name == "exists" or type(wanted) is not str:
        raise ValueError("`%s` has a wrong value" % name)
    if name == "startsWith":
        return lambda value: (written(value) or "").startswith(wanted) and written(value) is not None
    from snapback_handler.patterns import matcher

    return matcher(wanted, written)


def find(value, steps):
    for step in steps:
        if isinstance(value, dict):
            value = value.get(step, ABSENT)
        elif isinstance(value, list) and is_position(step) and int(step) < len(value):
            value = value[int(step)]
        else:
            return ABSENT
        # Header names match in any case; the last of two equal ones counts.
        if step in HEADERS and isinstance(value, dict):
            value = {lower(name): each for name, each in value.items() if isinstance(name, str)}
    return value


def is_position(step):
    return step.isascii() and step.isdigit() and (step == "0" or step[0] != "0")


def is_same(value, wanted):
    # In Python, True equals 1.
    if isinstance(value, bool) or isinstance(wanted, bool):
        return value is wanted
    return value == wanted


def written(value):
    """Returns the text, or a number, true or false as JSON writes it; None for anything else."""
    if isinstance(value, str):
        return value
    if isinstance(value, (bool, int, float)):
        return to_json(value)
    return None
