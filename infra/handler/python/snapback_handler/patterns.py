"""Patterns, and the paths that are written as a JSONPath or a JSON Pointer. Loaded only for a condition that has one."""

import re

MAX_BYTES, MAX_MATCHED_BYTES = 256, 16 * 1024
# The name at the start, or after a dot, and a position or a quoted name in brackets.
STEP = r"""\.(?P<name>[^.\[\]]+)|\[(?P<position>0|[1-9][0-9]*)\]|\['(?P<single>[^'\\]*)'\]|\["(?P<double>[^"\\]*)"\]"""


def steps_of_path(path):
    if path.startswith("/"):
        return [step.replace("~1", "/").replace("~0", "~") for step in path[1:].split("/")]
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


def matcher(pattern, written):
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
        seen = text
        if len(text) * 4 > MAX_MATCHED_BYTES:
            seen = text.encode("utf-8", "surrogatepass")[:MAX_MATCHED_BYTES].decode("utf-8", "ignore")
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
