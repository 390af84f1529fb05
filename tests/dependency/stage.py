"""A function behind the proxy, with the Runtime API as the test plays it."""

from __future__ import annotations

import http.server
import json
import os
import platform
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
TARGET = ROOT / os.environ.get("CARGO_TARGET_DIR", "target")
MACHINE = platform.machine()
PROXY = TARGET / f"{MACHINE}-unknown-linux-musl" / "layer" / "snapback-proxy"
SHIM = TARGET / f"{MACHINE}-unknown-linux-gnu" / "layer" / "libsnapback_shim.so"
HERE = Path(__file__).resolve().parent
PATIENCE_S = 60
# Variables that the function gets from the test.
PASSED_ON = {"PATH", "NODE", "NODE_PACKAGES", "JAVA_CLIENT", "AUTHORITY"}


class Quiet(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, *_: object) -> None:
        """A function that is killed breaks its connection."""


class Layer:
    """A folder with the proxy and its shim, as in /opt."""

    def __init__(self, shim: Path | None = SHIM):
        for built in (PROXY, SHIM):
            if not built.exists():
                raise FileNotFoundError(f"{built} is missing; run `make layer`")
        self.folder = Path(tempfile.mkdtemp(prefix="layer-"))
        shutil.copy2(PROXY, self.folder / "snapback-proxy")
        if shim is not None:
            shutil.copy2(shim, self.folder / "snapback-shim.so")

    def close(self) -> None:
        shutil.rmtree(self.folder)


class Function:
    """A function behind the proxy. Its Runtime API is this process."""

    def __init__(self, layer: Layer, faults: list, lasts_s: float = 600, **variables: str):
        self.events: queue.Queue = queue.Queue()
        self.results: queue.Queue = queue.Queue()
        self.count = 0
        self.api = Quiet(("127.0.0.1", 0), self.handler())
        threading.Thread(target=self.api.serve_forever, daemon=True).start()
        self.log = tempfile.TemporaryFile("w+")
        config = {"until": int((time.time() + lasts_s) * 1000), "experiment": "e", "run": "r", "faults": faults}
        environment = {name: value for name, value in os.environ.items() if name in PASSED_ON}
        environment |= {"AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{self.api.server_port}", "SNAPBACK_FAULTS": json.dumps(config)}
        command = [str(layer.folder / "snapback-proxy"), sys.executable, str(HERE / "runtime.py")]
        self.process = subprocess.Popen(
            command, env=environment | variables, stdout=self.log, stderr=self.log, start_new_session=True
        )

    def handler(self) -> type[http.server.BaseHTTPRequestHandler]:
        function = self

        class Api(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                request, body = function.events.get()
                self.respond(200, body, ("Lambda-Runtime-Aws-Request-Id", request))

            def do_POST(self) -> None:
                function.results.put(self.rfile.read(int(self.headers["Content-Length"])))
                self.respond(202, b"")

            def respond(self, status: int, body: bytes, *headers: tuple[str, str]) -> None:
                self.send_response(status)
                for name, value in (("Content-Length", str(len(body))), *headers):
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        return Api

    def invoke(self, event: dict):
        self.count += 1
        self.events.put((f"request-{self.count}", json.dumps(event).encode()))
        try:
            return json.loads(self.results.get(timeout=PATIENCE_S))
        except queue.Empty:
            raise AssertionError(f"no result; the log:\n{self.output()}") from None

    def fetch(self, client: str, name: str, port: int) -> str:
        """Returns the error with which a client fails, or `body`."""
        case = {"id": 0, "client": client, "key": "-", "url": f"http://{name}:{port}/"}
        [result] = self.invoke({"do": "fetch", "fetch": [case]})
        return result.get("error", "body")

    def run(self, *commands: list[str]) -> list[dict]:
        return self.invoke({"do": "run", "run": commands})

    def output(self) -> str:
        self.log.seek(0)
        return self.log.read()

    def metrics(self) -> list[tuple[str, str]]:
        lines = [json.loads(line) for line in self.output().splitlines() if line.startswith('{"')]
        return [(line["RequestId"], line["Host"]) for line in lines if line["Fault"] == "dependency"]

    def __enter__(self) -> Function:
        return self

    def __exit__(self, *_: object) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.api.shutdown()
        self.api.server_close()
        self.log.close()
