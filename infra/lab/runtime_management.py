"""Answers GetRuntimeManagementConfig, which the emulator does not know.

Each function has Lambda's default, Auto (lambda/latest/dg/runtimes-update). Without this, a plan in the lab would ask for a right that
its caller has.
"""

from __future__ import annotations

import inspect
import json
import re
from typing import Any
from urllib.parse import unquote

PATH = re.compile(r"/2021-07-20/functions/([^/]+)/runtime-management-config")


def install(lambda_svc: Any) -> None:
    """Adds the operation to the emulator's Lambda."""
    handle = lambda_svc.handle_request
    if "runtime-management-config" in inspect.getsource(handle):
        raise RuntimeError(f"this emulator knows GetRuntimeManagementConfig; remove {__file__}")

    async def handle_request(method: str, path: str, headers: Any, body: bytes, query_params: Any) -> Any:
        found = PATH.fullmatch(unquote(path))
        name = found[1].rpartition(":function:")[2].partition(":")[0] if found else ""
        function = lambda_svc._functions.get(name) if method == "GET" and name else None
        if function is None:
            return await handle(method, path, headers, body, query_params)
        result = {"UpdateRuntimeOn": "Auto", "FunctionArn": function["config"]["FunctionArn"]}
        return 200, {"Content-Type": "application/json"}, json.dumps(result).encode()

    lambda_svc.handle_request = handle_request
