"""Tests the stand-in for Lambda's managed runtimes with AWS's own runtime client."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import uuid
import zipfile
from pathlib import Path
from typing import Any
from unittest import mock

import sandbox

try:
    from ministack.core import lambda_runtime
    from ministack.services import lambda_svc
except ImportError:
    # Only the lab's Python has it.
    lambda_runtime = lambda_svc = None

import environments
import managed_runtimes

ARN = "arn:aws:lambda:us-east-1:000000000000:function:orders"
CODE = """
import os, time
def handler(event, context):
    if event.get("sleep"):
        time.sleep(event["sleep"])
    if event.get("raise"):
        raise ValueError(event["raise"])
    if event.get("read"):
        return open(event["read"]).read()
    if event.get("write"):
        open(event["write"], "w").close()
    return {"environment": dict(os.environ), "cwd": os.getcwd(), "tmp": os.listdir("/tmp")}
"""
NODE_CODE = """
import { createRequire } from 'node:module'
const { WORD } = createRequire(import.meta.url)('shared')
const { THROUGH: through, AWS_EXECUTION_ENV: version } = process.env
export const handler = async () => ({ word: WORD, through, version })
"""
NODE_LAYER = {"nodejs/node_modules/shared/index.js": "exports.WORD = 'layer'\n"}
LAYER = {"python/shared.py": "WORD = 'layer'\n", "note": "one", "first": "one"}
OVER = {"note": "two"}
# The chaos handler, as infra/layer.py packs it.
HANDLER = Path(__file__).parents[1] / "handler"
HANDLER_LAYER = {str(path.relative_to(HANDLER)): path.read_text() for path in HANDLER.rglob("*") if path.suffix in (".py", ".mjs")}
WRAPPER = '#!/bin/sh\nexport THROUGH="$0 $#"\nexec "$@"\n'
OUTSIDE_SECONDS = 30.0


def archive(files: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        for name, content in files.items():
            member = zipfile.ZipInfo(name)
            member.external_attr = (0o100755 if content.startswith("#!") else 0o100644) << 16
            packed.writestr(member, content)
    return buffer.getvalue()


def sandboxes() -> list[str]:
    """Returns the options of `unshare` to test: those that work here, and none."""
    return [*filter(sandbox.works, sandbox.CANDIDATES), ""]


@unittest.skipIf(lambda_runtime is None, "ministack is not installed in this Python")
class ManagedRuntimes(unittest.TestCase):
    def setUp(self) -> None:
        logging.disable(logging.WARNING)
        self.addCleanup(logging.disable, logging.NOTSET)
        kept = {name: getattr(lambda_runtime, name) for name in vars(lambda_runtime)}
        served = dict(vars(lambda_svc))
        self.addCleanup(lambda: (vars(lambda_runtime).update(kept), vars(lambda_svc).update(served)))
        # In the checkout, as in the lab: a function has its own /tmp.
        (managed_runtimes.ROOT / "target" / "lab").mkdir(parents=True, exist_ok=True)
        folder = tempfile.TemporaryDirectory(dir=managed_runtimes.ROOT / "target" / "lab")
        self.addCleanup(folder.cleanup)
        lambda_svc._PROVIDED_CODE_CACHE = folder.name
        self.addCleanup(lambda_runtime.reset)
        managed_runtimes.install(lambda_runtime, lambda_svc)
        environments.change(lambda_runtime, lambda_svc)

    def function(self, code: str = CODE, layers: Any = (), **settings: Any) -> dict[str, Any]:
        config = {
            "FunctionName": "orders",
            "FunctionArn": ARN,
            "Runtime": "python3.12",
            "Handler": "app.handler",
            "Timeout": 20,
            "RevisionId": str(uuid.uuid4()),
            "Layers": list(layers),
            **settings,
        }
        return {"config": config, "code_zip": archive({"app.py": code})}

    def invoke(self, function: dict[str, Any], **event: Any) -> dict[str, Any]:
        archives = {str(number): archive(files) for number, files in enumerate((LAYER, OVER, {"wrap": WRAPPER}, NODE_LAYER, HANDLER_LAYER))}
        with mock.patch.object(lambda_svc, "_resolve_layer_zip", archives.get):
            return dict(lambda_svc._execute_function_warm(function, event, str(uuid.uuid4())))

    def in_each_sandbox(self, check: Any) -> None:
        for options in sandboxes():
            with self.subTest(options), mock.patch.object(sandbox, "unshare_options", lambda options=options: options):
                check(options)
                lambda_runtime.reset()

    def test_a_function_has_lambdas_variables_and_not_the_labs(self) -> None:
        def check(_: str) -> None:
            variables = {"Variables": {"SHOP": "a b", "AWS_LAMBDA_FUNCTION_NAME": "reserved"}}
            response = self.invoke(self.function(Environment=variables))["body"]
            found = response["environment"]
            expected = {"SHOP": "a b", "_HANDLER": "app.handler", "AWS_LAMBDA_FUNCTION_NAME": "orders"}
            self.assertEqual({name: found.get(name) for name in expected}, expected)
            self.assertEqual(found["AWS_EXECUTION_ENV"], "AWS_Lambda_python3.12")
            self.assertEqual(response["cwd"], os.path.realpath(found["LAMBDA_TASK_ROOT"]))
            self.assertEqual([name for name in found if name.startswith("LAB_") or name == "TMPDIR"], [])

        self.in_each_sandbox(check)

    def test_layers_are_merged_at_opt_and_importable(self) -> None:
        def check(options: str) -> None:
            opens = "import shared\n" + CODE.replace('event["read"]', 'os.environ["OPT"] + event["read"]')
            function = self.function(opens, "01", Environment={"Variables": {"OPT": "/opt"}})
            self.assertEqual(self.invoke(function, read="/note")["body"], "two")
            self.assertEqual(self.invoke(function, read="/first")["body"], "one")
            opt = self.invoke(function)["body"]["environment"]["OPT"]
            self.assertEqual(opt == "/opt", bool(options))
            self.assertFalse(Path("/opt/note").exists())

        self.in_each_sandbox(check)

    def test_the_wrapper_starts_the_runtime(self) -> None:
        def check(options: str) -> None:
            function = self.function(layers="2", Environment={"Variables": {"AWS_LAMBDA_EXEC_WRAPPER": "/opt/wrap"}})
            through = self.invoke(function)["body"]["environment"]["THROUGH"]
            self.assertTrue(through.endswith("/opt/wrap 4"), through)
            self.assertEqual(through.startswith("/opt"), bool(options))

        self.in_each_sandbox(check)

    @unittest.skipUnless((managed_runtimes.ROOT / ".tools/runtimes/.installed").exists(), "not installed; run `make tools-runtimes` first")
    def test_nodejs_runs_on_its_own_client_through_the_wrapper(self) -> None:
        def check(options: str) -> None:
            variables = {"AWS_LAMBDA_EXEC_WRAPPER": "/opt/wrap"}
            function = self.function("", "23", Runtime="nodejs24.x", Environment={"Variables": variables})
            function["code_zip"] = archive({"app.mjs": NODE_CODE})
            found = self.invoke(function)["body"]
            self.assertEqual((found["word"], found["version"]), ("layer", "AWS_Lambda_nodejs24.x"))
            self.assertTrue(found["through"].endswith("/opt/wrap 3"), found)
            self.assertEqual(found["through"].startswith("/opt"), bool(options))

        self.in_each_sandbox(check)

    def chaos(self, exception: str, code: str = "", **settings: Any) -> dict[str, Any]:
        """Returns a function that the chaos handler makes fail, as an experiment configures it."""
        faults = [{"exception": {"type": exception, "message": "chaos"}}]
        orders = {"until": int(time.time() + 600) * 1000, "experiment": "e", "run": "r", "faults": faults}
        variables = {"SNAPBACK_HANDLER": "app.handler", "SNAPBACK_HANDLER_FAULTS": json.dumps(orders)}
        return self.function(code, "4", Environment={"Variables": variables}, **settings)

    def test_the_chaos_handler_runs_in_python_from_its_layer(self) -> None:
        def check(_: str) -> None:
            failed = self.invoke(self.chaos("LookupError", CODE, Handler="snapback_handler.bootstrap.handler"))
            self.assertEqual((failed["body"]["errorType"], failed["body"]["errorMessage"]), ("LookupError", "chaos"))
            self.assertIn("app.py", failed["body"]["stackTrace"][-1])

        self.in_each_sandbox(check)

    @unittest.skipUnless((managed_runtimes.ROOT / ".tools/runtimes/.installed").exists(), "not installed; run `make tools-runtimes` first")
    def test_the_chaos_handler_runs_in_node_js_from_its_layer(self) -> None:
        if not any(sandboxes()):
            self.skipTest("this machine allows no mount namespaces, and a handler's path is not translated")
        handler = "/opt/nodejs/snapback_handler/index.handler"
        function = self.chaos("RangeError", Runtime="nodejs24.x", Handler=handler)
        function["code_zip"] = archive({"app.mjs": "export const handler = async () => 'fine'\n"})
        failed = self.invoke(function)
        self.assertEqual((failed["body"]["errorType"], failed["body"]["errorMessage"]), ("RangeError", "chaos"))

    def test_a_wrapper_that_does_not_exist_fails_the_start(self) -> None:
        variables = {"AWS_LAMBDA_EXEC_WRAPPER": "/nowhere/wrap"}
        failed = self.invoke(self.function(Environment={"Variables": variables}))
        self.assertEqual(failed["body"]["errorType"], "Runtime.ExitError")
        self.assertIn("/nowhere/wrap: does not exist", failed["body"]["errorMessage"])

    def test_a_failed_initialization_keeps_its_type(self) -> None:
        failed = self.invoke(self.function("raise RuntimeError('no shop')"))
        self.assertEqual((failed["body"]["errorType"], failed["body"]["errorMessage"]), ("RuntimeError", "no shop"))

    def test_an_environment_also_serves_invocations_after_an_error(self) -> None:
        function = self.function(CODE + "\nprint('a new environment')\n")
        results = [self.invoke(function), self.invoke(function, **{"raise": "no"}), self.invoke(function)]
        self.assertEqual(["a new environment" in result["log"] for result in results], [True, False, False])
        self.assertEqual((results[1]["error"], results[1]["body"]["errorType"]), (True, "ValueError"))

    def test_a_change_lets_running_invocations_finish(self) -> None:
        before = self.function(Environment={"Variables": {"SHOP": "before"}})
        self.invoke(before)
        results: list[Any] = []
        running = threading.Thread(target=lambda: results.append(self.invoke(before, sleep=1)))
        running.start()
        self.wait_until(lambda: lambda_runtime.workers_in_use() == 1)
        lambda_runtime.invalidate_worker("orders", qualifier="$LATEST")
        after = self.function(Environment={"Variables": {"SHOP": "after"}})
        self.assertEqual(self.invoke(after)["body"]["environment"]["SHOP"], "after")
        running.join()
        self.assertEqual(results[0]["body"]["environment"]["SHOP"], "before")
        self.wait_until(lambda: len(self.environments()) == 1)

    def test_an_environment_of_another_configuration_is_not_used(self) -> None:
        # Without an invalidation, as when an invocation has read the configuration just before the change.
        self.invoke(self.function(Environment={"Variables": {"SHOP": "before"}}))
        after = self.function(Environment={"Variables": {"SHOP": "after"}})
        self.assertEqual(self.invoke(after)["body"]["environment"]["SHOP"], "after")
        self.assertEqual(len(self.environments()), 1)

    def test_each_environment_has_an_empty_tmp_that_ends_with_it(self) -> None:
        if not any(sandboxes()):
            self.skipTest("this machine allows no mount namespaces")
        name = f"snapback-lab-{uuid.uuid4()}"
        first = self.invoke(self.function(), write=f"/tmp/{name}")["body"]
        self.assertEqual(first["tmp"], [*unavoidable(), name])
        self.assertFalse(Path("/tmp", name).exists())
        self.assertEqual(self.invoke(self.function())["body"]["tmp"], unavoidable())

    def test_folders_can_be_entered_by_an_ordinary_user(self) -> None:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as given:
            given.writestr(zipfile.ZipInfo("shop/"), b"")
        with zipfile.ZipFile(io.BytesIO(managed_runtimes.package(buffer.getvalue(), []))) as packed:
            modes = {name: packed.getinfo(name).external_attr >> 16 for name in packed.namelist()}
        self.assertEqual(modes, {"task/": 0o40755, "opt/": 0o40755, "task/shop/": 0o40755, "bootstrap": 0o100755})

    def test_no_process_and_no_mount_is_left(self) -> None:
        def check(_: str) -> None:
            mounts = Path("/proc/self/mountinfo").read_text()
            self.invoke(self.function())
            processes = self.environments()
            self.assertEqual(len(processes), 1)
            lambda_runtime.reset()
            self.wait_until(lambda: self.environments() == [])
            self.assertEqual(Path("/proc/self/mountinfo").read_text(), mounts)

        self.in_each_sandbox(check)

    def environments(self) -> list[str]:
        listing = subprocess.run(["ps", "-ww", "-o", "command=", "--ppid", str(os.getpid())], capture_output=True, text=True)
        return [line for line in listing.stdout.splitlines() if "awslambdaric" in line]

    def wait_until(self, holds: Any) -> None:
        deadline = time.monotonic() + OUTSIDE_SECONDS
        while not holds():
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)


def unavoidable() -> list[str]:
    """Returns what /tmp has if the checkout is in it: the way to the checkout."""
    parts = managed_runtimes.ROOT.parts
    return [parts[2]] if parts[1] == "tmp" else []


if __name__ == "__main__":
    sys.exit(unittest.main())
