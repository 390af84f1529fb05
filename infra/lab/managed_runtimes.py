"""Runs functions with a managed runtime as Lambda does: AWS's own runtime client polls the emulator's Runtime API.

The emulator would run them in its own worker script, which starts no wrapper and has no /opt. Its worker for `provided.*` starts
a program named `bootstrap` and speaks the Runtime API with it. So a function's package becomes one with a bootstrap: the stand-in
(bootstrap.sh), the function's code in `task`, and its layers, merged as Lambda merges them, in `opt`.
"""

from __future__ import annotations

import copy
import io
import os
import re
import sys
import zipfile
from pathlib import Path
from typing import Any

import sandbox
from taking import taking

ROOT = Path(__file__).resolve().parents[2]
BOOTSTRAP = Path(__file__).with_name("bootstrap.sh")
NODE = ROOT / ".tools" / "runtimes" / "nodejs" / "bin" / "node"
NODE_CLIENT = ROOT / ".tools" / "runtimes" / "ric" / "node_modules" / "aws-lambda-ric" / "index.mjs"
EXECUTABLE_FILE, FOLDER = 0o100755 << 16, 0o40755 << 16
DEFAULT_TMP_MB = 512
# /opt at the start of a path, in a value that may be a list of paths.
OPT = re.compile(r"(^|:)/opt(?=/|:|$)")


def install(runtime: Any, service: Any) -> None:
    """Makes the emulator use ManagedWorker for Python and Node.js. `runtime` and `service` are its two Lambda modules."""
    choose = taking(runtime._worker_class_for, "config")
    provided_variables = taking(service._provided_worker_env, "config", "code_dir", "port")
    taking(service._execute_function_warm, "func", "event", "request_id")
    managed = worker_class(runtime, service)

    def worker_class_for(config: dict[str, Any]) -> Any:
        return managed if is_managed(config) else choose(config)

    def variables(config: dict[str, Any], code_dir: str, port: int) -> dict[str, str]:
        given = provided_variables(config, code_dir, port)
        return managed_variables(config, code_dir, given) if is_managed(config) else given

    runtime._worker_class_for = worker_class_for
    service._provided_worker_env = variables
    # The executor of managed runtimes would pass arguments that only the worker scripts take.
    service._execute_function_warm = taking(service._execute_function_provided_warm, "func", "event", "request_id")


def is_managed(config: dict[str, Any]) -> bool:
    return str(config.get("Runtime", "")).startswith(("python", "nodejs"))


def worker_class(runtime: Any, service: Any) -> Any:
    """Derives the worker from the emulator's class, which can be imported only in the emulator's process."""

    class ManagedWorker(runtime.ProvidedWorker):  # type: ignore[misc, name-defined]
        """One execution environment of a function with a managed runtime."""

        def __init__(self, func_name: str, config: dict[str, Any], code_zip: bytes) -> None:
            # A copy: an environment keeps the configuration with which it started.
            config = copy.deepcopy(config)
            layers = [service._resolve_layer_zip(layer) for layer in config.get("Layers") or []]
            super().__init__(func_name, config, package(code_zip, [layer for layer in layers if layer]))

        def invoke(self, event: Any, request_id: str, **context: Any) -> dict[str, Any]:
            try:
                return dict(super().invoke(event, request_id, **context))
            except RuntimeError as error:
                # A failed initialization has the error that the runtime has reported, and a log.
                return {"status": "error", "error": str(error), **failure(self._init_error, error), "log": self._drain_stderr()}

    return ManagedWorker


def failure(reported: Any, error: RuntimeError) -> dict[str, Any]:
    if isinstance(reported, dict):
        return {"error_payload": reported}
    error_type = getattr(error, "error_type", "Runtime.ExitError")
    return {"error_payload": {"errorMessage": str(error), "errorType": error_type}}


def package(code: bytes, layers: list[bytes]) -> bytes:
    """Returns one archive with the bootstrap, the code and the layers. A file of a later layer replaces that of an earlier one."""
    members: dict[str, tuple[zipfile.ZipInfo, bytes]] = {}
    for folder, archive in [("task", code), *(("opt", layer) for layer in layers)]:
        with zipfile.ZipFile(io.BytesIO(archive)) as files:
            for member in files.infolist():
                content = files.read(member)
                member.filename = f"{folder}/{member.filename}"
                if member.is_dir():
                    # Some archives give folders no mode, and then only root could enter them.
                    member.external_attr = FOLDER
                members[member.filename] = (member, content)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as files:
        for name in ("task/", "opt/"):
            folder = zipfile.ZipInfo(name)
            folder.external_attr = FOLDER
            files.writestr(folder, b"")
        for member, content in members.values():
            files.writestr(member, content, zipfile.ZIP_STORED)
        bootstrap = zipfile.ZipInfo("bootstrap")
        bootstrap.external_attr = EXECUTABLE_FILE
        files.writestr(bootstrap, BOOTSTRAP.read_bytes())
    return buffer.getvalue()


def managed_variables(config: dict[str, Any], code_dir: str, provided: dict[str, str]) -> dict[str, str]:
    """Returns the environment of a managed runtime: https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html."""
    task, layers = f"{code_dir}/task", f"{code_dir}/opt"
    logging = config.get("LoggingConfig") or {}
    # The folder for temporary files is the emulator's; the function has its own /tmp.
    given = {name: value for name, value in provided.items() if name != "TMPDIR"}
    opt = "/opt" if sandbox.unshare_options() else layers
    variables = {
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{config['Runtime']}",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": logging.get("LogGroup") or f"/aws/lambda/{config['FunctionName']}",
        "AWS_LAMBDA_LOG_FORMAT": logging.get("LogFormat", "Text"),
        "LANG": "en_US.UTF-8",
        "TZ": ":UTC",
        "LD_LIBRARY_PATH": f"{task}:{task}/lib:{opt}/lib",
        **search_paths(config["Runtime"], opt),
        **{name: OPT.sub(rf"\1{opt}", value) for name, value in given.items()},
        "LAMBDA_TASK_ROOT": task,
        "LAB_UNSHARE": sandbox.unshare_options(),
        "LAB_ROOT": str(ROOT),
        "LAB_TMP_MB": str((config.get("EphemeralStorage") or {}).get("Size", DEFAULT_TMP_MB)),
        "LAB_RUNTIME": "\n".join(command(config)),
    }
    if level := logging.get("ApplicationLogLevel"):
        variables["AWS_LAMBDA_LOG_LEVEL"] = level
    variables["PATH"] = f"{given['PATH']}:{opt}/bin"
    return variables


def search_paths(runtime: str, opt: str) -> dict[str, str]:
    """Returns where a runtime finds modules in layers: https://docs.aws.amazon.com/lambda/latest/dg/packaging-layers.html."""
    if runtime.startswith("python"):
        return {"PYTHONPATH": f"{opt}/python/lib/{runtime}/site-packages:{opt}/python"}
    version = runtime.removeprefix("nodejs").removesuffix(".x")
    return {"NODE_PATH": f"{opt}/nodejs/node{version}/node_modules:{opt}/nodejs/node_modules"}


def command(config: dict[str, Any]) -> list[str]:
    """Returns the command line of the runtime, which is AWS's client of the Runtime API."""
    if config["Runtime"].startswith("python"):
        return [sys.executable, "-m", "awslambdaric", config["Handler"]]
    if not os.access(NODE_CLIENT, os.R_OK):
        raise RuntimeError("Node.js functions need the runtime client that `make tools-runtimes` installs")
    return [str(NODE), str(NODE_CLIENT), config["Handler"]]
