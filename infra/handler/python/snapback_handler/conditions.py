"""Conditions on an event: a path and one operator, as in `match` of the proxy's faults."""

import json
import re

MAX_STEPS, MAX_BYTES, MAX_VALUES, MAX_MATCHED_BYTES = 32, 256, 64, 16 * 1024
HEADERS = ("headers", "multiValueHeaders")
OPERATORS = ("equals", "exists", "startsWith", "regex", "in")
# The name at the start, or after a dot, and a position or a quoted name in brackets.
STEP = r"""\.(?P<name>[^.\[\]]+)|\[(?P<position>0|[1-9][0-9]*)\]|\['(?P<single>[^'\\]*)'\]|\["(?P<double>[^"\\]*)"\]"""
ABSENT = object()


def steps_of(path):
    """Returns the names and positions of a path, header names in lower case."""
    if not isinstance(path, str) or len(path.encode()) > MAX_BYTES:
        raise ValueError("`path` is not a path to one place in the event")
    if path.startswith("/"):
        steps = [step.replace("~1", "/").replace("~0", "~") for step in path[1:].split("/")]
    else:
        steps = plain_steps(path)
    if len(steps) > MAX_STEPS:
        raise ValueError("`path` has more than %d steps" % MAX_STEPS)
    for at in range(1, len(steps)):
        if steps[at - 1] in HEADERS:
            steps[at] = lower(steps[at])
    return steps


def plain_steps(path):
    names = path.split(".")
    if all(names) and not path.startswith("$") and not any(c in path for c in "[]*"):
        # Most paths are names with dots, and need no pattern, which would take longer at the start.
        return names
    from_root = path == "$" or path.startswith(("$.", "$["))
    rest = path[1:] if from_root else path if path.startswith("[") else "." + path
    steps, at, step = [], 0, re.compile(STEP)
    while at < len(rest):
        found = step.match(rest, at)
        if not found or found.group("name") == "*":
            raise ValueError("`%s` is not a path to one place in the event" % path[:60])
        steps.append(next(step for step in found.groups() if step is not None))
        at = found.end()
    return steps


def lower(text):
    # As the proxy does: ASCII letters only.
    return "".join(chr(ord(c) + 32) if "A" <= c <= "Z" else c for c in text)


def compiled(condition):
    """Returns a function that tells whether the condition holds on an event."""
    if not isinstance(condition, dict) or "path" not in condition:
        raise ValueError("a condition has no `path`")
    unknown = [name for name in condition if name != "path" and name not in OPERATORS]
    if unknown:
        raise ValueError("unknown field `%s` in a condition" % unknown[0])
    steps = steps_of(condition["path"])
    # A null is a value for `equals` only.
    given = [name for name in OPERATORS if name in condition and (name == "equals" or condition[name] is not None)]
    if len(given) != 1:
        raise ValueError("the condition on `%s` does not have exactly one operator" % condition["path"][:60])
    holds = operator(given[0], condition[given[0]])
    return lambda event: holds(find(event, steps))


def operator(name, wanted):
    if name == "equals":
        check_scalar(wanted)
        return lambda value: is_same(value, wanted)
    if name == "in":
        if not isinstance(wanted, list) or not 1 <= len(wanted) <= MAX_VALUES:
            raise ValueError("`in` is not a list of 1 to %d values" % MAX_VALUES)
        for each in wanted:
            check_scalar(each)
        return lambda value: any(is_same(value, each) for each in wanted)
    if name == "exists":
        if not isinstance(wanted, bool):
            raise ValueError("`exists` is not true or false")
        return lambda value: (value is not ABSENT and value is not None) == wanted
    if not isinstance(wanted, str):
        raise ValueError("`%s` is not text" % name)
    if name == "startsWith":
        return lambda value: starts_with(written(value), wanted)
    return matcher(wanted)


def matcher(pattern):
    """Returns a function that tells whether the pattern matches in the first 16 KB of a text."""
    if len(pattern.encode()) > MAX_BYTES:
        raise ValueError("the pattern is longer than %d bytes" % MAX_BYTES)
    try:
        # As in the proxy: classes are of ASCII, and `$` is only the very end.
        search = re.compile(at_the_very_end(pattern), re.ASCII).search
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError("the pattern cannot be compiled: %s" % error) from None
    refers_to_the_end = "$" in pattern

    def matches(value):
        text = written(value)
        if text is None:
            return False
        seen = text.encode("utf-8", "surrogatepass")[:MAX_MATCHED_BYTES].decode("utf-8", "ignore") if len(text) * 4 > MAX_MATCHED_BYTES else text
        if len(seen) < len(text) and refers_to_the_end:
            return False
        return bool(search(seen))

    return matches


def at_the_very_end(pattern):
    """Replaces `$`, before which Python accepts a line end, with the end itself."""
    out, at, in_class = [], 0, False
    while at < len(pattern):
        c = pattern[at]
        if c == "\\":
            out.append(pattern[at : at + 2])
            at += 2
            continue
        in_class = c == "[" or (in_class and c != "]")
        out.append(r"\Z" if c == "$" and not in_class else c)
        at += 1
    return "".join(out)


def check_scalar(value):
    if isinstance(value, (dict, list)):
        raise ValueError("a condition compares with text, a number, true, false or null")


def find(value, steps):
    for step in steps:
        if isinstance(value, dict):
            value = member(value, step)
        elif isinstance(value, list) and is_position(step) and int(step) < len(value):
            value = value[int(step)]
        else:
            return ABSENT
        if value is ABSENT:
            return ABSENT
        # Header names match in any case; the last of two equal ones counts.
        if step in HEADERS and isinstance(value, dict):
            value = {lower(name): each for name, each in value.items() if isinstance(name, str)}
    return value


def is_position(step):
    return step.isascii() and step.isdigit() and (step == "0" or step[0] != "0")


def member(value, step):
    return value.get(step, ABSENT)


def is_same(value, wanted):
    # In Python, True equals 1.
    if isinstance(value, bool) or isinstance(wanted, bool):
        return value is wanted
    return type_of(value) == type_of(wanted) and value == wanted


def type_of(value):
    return "number" if isinstance(value, (int, float)) else type(value)


def written(value):
    """Returns the text, or a number, true or false as JSON writes it; None for anything else."""
    if isinstance(value, str):
        return value
    return json.dumps(value) if isinstance(value, (bool, int, float)) else None


def starts_with(text, prefix):
    return text is not None and text.startswith(prefix)
