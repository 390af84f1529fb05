"""Snapback's command line: how to reach the stack, one call, and what it has printed."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from typing import Any

from chaoslib.exceptions import ActivityFailed

# The exit code for what is refused before a run exists: wrong usage or input, and the guardrails.
INVALID, REFUSED = 2, 3
# How much of an output that is not understood is shown.
SHOWN_CHARACTERS = 500


class CommandFailed(ActivityFailed):
    """A command of snapback's failed: its stable error name, its cause for display, and its exit code."""

    def __init__(self, error: str, cause: str, code: int | None = None) -> None:
        super().__init__(cause)
        self.error = error
        self.code = code


@dataclass(frozen=True)
class CommandLine:
    """The program, and the options and variables with which it reaches the stack."""

    program: str
    options: tuple[str, ...]
    # They may be keys, so they are never displayed.
    variables: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, configuration: dict[str, Any] | None, secrets: dict[str, Any] | None) -> CommandLine:
        """Reads the keys of an experiment's configuration and secrets that snapback and chaostoolkit-aws share, and its own."""
        given = configuration or {}
        if given.get("aws_assume_role_arn"):
            raise ActivityFailed(
                "configuration: aws_assume_role_arn is set, but snapback assumes no role by itself; "
                "write a profile that does, and name it in aws_profile_name"
            )
        options: list[str] = []
        for key, option in (("snapback_stack", "stack"), ("aws_profile_name", "profile"), ("aws_region", "region")):
            if value := text(given, key):
                options += [f"--{option}", value]
        keys = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
        variables = [(key.upper(), value) for key in keys if (value := text(secrets or {}, key))]
        # The run's report says who started and who ended it.
        variables.append(("SNAPBACK_VIA", "Chaos Toolkit"))
        return cls(text(given, "snapback_path") or "snapback", tuple(options), tuple(variables))

    def words(self, *arguments: str) -> list[str]:
        return [self.program, *arguments, *self.options, "--json"]

    def environment(self) -> dict[str, str]:
        return {**os.environ, **dict(self.variables)}

    def begin(self, *arguments: str) -> subprocess.Popen[str]:
        """Starts a command in a separate session, so that a Ctrl-C on the terminal does not end it too."""
        try:
            return subprocess.Popen(
                self.words(*arguments),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=self.environment(),
                text=True,
                encoding="utf-8",
                start_new_session=True,
            )
        except OSError as error:
            raise CommandFailed(
                "NoCommand",
                f"snapback_path: `{self.program}` cannot be started: {error.strerror}; install snapback's command line "
                "on the PATH, or name its path in the configuration as snapback_path",
            ) from None

    def call(self, *arguments: str, text: str = "") -> tuple[dict[str, Any], int]:
        """Runs a command to its end, and returns the object that it has printed and its exit code.

        Anything that interrupts this process leaves the command alone, so that a rollback that was requested continues.
        """
        return self.end(self.begin(*arguments), text)

    def end(self, begun: subprocess.Popen[str], text: str) -> tuple[dict[str, Any], int]:
        """Waits for the end of a command, as `call` does."""
        printed, noted = begun.communicate(text)
        return parsed(f"{self.program} {begun.args[1]}", printed, noted, begun.returncode), begun.returncode


def parsed(command: str, printed: str, noted: str, code: int) -> dict[str, Any]:
    """Reads a command's output: one object, or for `run` one a line, of which the last is the outcome.

    An object with `error` and `cause` is a failure.
    """
    value = last_object(printed)
    if value is not None and "error" in value and "cause" in value:
        if value["error"] == "WrongUsage":
            # The command line of another release lacks an option.
            wrong = str(value["cause"]).split("\n\n")[0]
            if "unexpected argument" not in wrong:
                raise CommandFailed("InvalidInput", f"{command}: {wrong}", code)
            printed, value = wrong, None
        else:
            raise CommandFailed(str(value["error"]), str(value["cause"]), code)
    if value is not None and not ("error" in value or "cause" in value):
        return value
    said = (noted.strip() or printed.strip() or "it printed nothing").split("\n\n")[0][:SHOWN_CHARACTERS]
    if code == INVALID and said.startswith("error: ") and "unexpected argument" not in said:
        raise CommandFailed("InvalidInput", f"{command}: {said.removeprefix('error: ')}", code)
    raise CommandFailed(
        "NoOutput",
        f"{command}: no JSON object in its output, and its exit code is {code}: {said}; "
        "name snapback's command line as snapback_path, in the release of this extension or a newer one",
        code,
    )


def last_object(printed: str) -> dict[str, Any] | None:
    """Returns the object that a text is, or else the one in its last line."""
    for candidate in (printed, printed.strip().rpartition("\n")[2]):
        try:
            value = json.loads(candidate)
        except ValueError:
            continue
        if isinstance(value, dict):
            return value
    return None


def text(given: dict[str, Any], key: str) -> str:
    """Returns a key of the configuration or the secrets, or an empty text without it."""
    value = given.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ActivityFailed(f"{key}: it is a {type(value).__name__}, not a text; write it in quotes")
    return value
