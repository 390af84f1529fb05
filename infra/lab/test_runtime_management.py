"""Tests the lab's GetRuntimeManagementConfig against AWS's model of the operation."""

from __future__ import annotations

import asyncio
import json
import types
import unittest
from typing import Any

import botocore.session
import runtime_management
from ministack.services import lambda_svc

ARN = "arn:aws:lambda:us-east-1:000000000000:function:search"


class RuntimeManagement(unittest.TestCase):
    def request(self, method: str, name: str) -> Any:
        service = types.SimpleNamespace(
            handle_request=lambda_svc.handle_request, _functions={"search": {"config": {"FunctionArn": ARN}}}
        )
        runtime_management.install(service)
        model = botocore.session.get_session().get_service_model("lambda")
        path = model.operation_model("GetRuntimeManagementConfig").http["requestUri"].replace("{FunctionName}", name)
        return asyncio.run(service.handle_request(method, path, {}, b"", {}))

    def test_a_function_has_the_default(self) -> None:
        for name in ("search", ARN, ARN.replace(":", "%3A"), f"{ARN}:$LATEST"):
            status, _, body = self.request("GET", name)
            self.assertEqual((status, json.loads(body)), (200, {"UpdateRuntimeOn": "Auto", "FunctionArn": ARN}), name)

    def test_everything_else_is_left_to_the_emulator(self) -> None:
        for method, name in (("GET", "missing"), ("DELETE", "search")):
            self.assertNotEqual(self.request(method, name)[0], 200, method)


if __name__ == "__main__":
    unittest.main()
