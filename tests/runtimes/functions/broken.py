"""A module whose import ends with an error of syntax, as one does that is not Python."""

compile("def handler(event, context:", "broken_part.py", "exec")
