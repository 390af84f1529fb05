"""What a function does to reach its dependency: clients of Python, and of Node.js and Java in processes of their own.

Each client fetches `http://HOST:PORT/` and returns `{"body": TEXT}` or `{"error": NAME}`, with the same names for all runtimes.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable

import urllib3

TIMEOUT_S = 1.5
ERRORS: list[tuple[type[BaseException], str]] = [
    (socket.gaierror, "unresolved"),
    (ConnectionRefusedError, "refused"),
    (ConnectionResetError, "reset"),
    (http.client.RemoteDisconnected, "reset"),
    (TimeoutError, "timeout"),
]


def fetch(client: str, host: str, port: int) -> dict[str, object]:
    began = time.monotonic()
    name, _, secure = client.partition("+")
    url = f"http{'s' if secure else ''}://{host}:{port}/"
    try:
        result: dict[str, object] = {"body": CLIENTS[name](url)} if name in CLIENTS else other_runtime(name, url)
    except Exception as failure:
        result = {"error": name_of(failure)}
    return result | {"ms": round((time.monotonic() - began) * 1000)}


def name_of(failure: BaseException | None) -> str:
    chain: list[BaseException] = []
    while failure is not None and failure not in chain:
        chain.append(failure)
        reason = getattr(failure, "reason", None)
        failure = reason if isinstance(reason, BaseException) else failure.__cause__ or failure.__context__
    found = [name for kind, name in ERRORS for one in chain if isinstance(one, kind)]
    return found[0] if found else repr(chain[0])


def with_urllib(url: str) -> str:
    with urllib.request.urlopen(url, timeout=TIMEOUT_S, context=trusting(url)) as response:
        return str(response.read(), "ascii")


def trusting(url: str) -> ssl.SSLContext | None:
    return ssl.create_default_context(cafile=os.environ["AUTHORITY"]) if url.startswith("https") else None


def with_urllib3(url: str) -> str:
    with urllib3.PoolManager(retries=False, timeout=TIMEOUT_S) as pool:
        return str(pool.request("GET", url).data, "ascii")


def with_http_client(url: str) -> str:
    connection = http.client.HTTPConnection(url.split("/")[2], timeout=TIMEOUT_S)
    connection.request("GET", "/")
    return str(connection.getresponse().read(), "ascii")


def with_blocking_socket(url: str) -> str:
    """A socket without a timeout, which blocks in connect(2)."""
    host, port = url.split("/")[2].split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.settimeout(TIMEOUT_S)
        connection.sendall(f"GET / HTTP/1.0\r\nHost: {host}\r\n\r\n".encode())
        return str(b"".join(iter(lambda: connection.recv(4096), b"")), "ascii").partition("\r\n\r\n")[2]


def with_asyncio(url: str) -> str:
    async def run() -> bytes:
        host, port = url.split("/")[2].split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(f"GET / HTTP/1.0\r\nHost: {host}\r\n\r\n".encode())
        answer = await reader.read()
        writer.close()
        return answer

    async def limited() -> bytes:
        return await asyncio.wait_for(run(), TIMEOUT_S)

    return str(asyncio.run(limited()), "ascii").partition("\r\n\r\n")[2]


CLIENTS: dict[str, Callable[[str], str]] = {
    "urllib": with_urllib,
    "urllib3": with_urllib3,
    "http.client": with_http_client,
    "socket": with_blocking_socket,
    "asyncio": with_asyncio,
}


def other_runtime(name: str, url: str) -> dict[str, object]:
    """Runs a client in a process that this one starts, and that inherits its environment."""
    runtime, _, kind = name.partition(".")
    command = {
        "node": [os.environ.get("NODE", "node"), f"{os.path.dirname(__file__)}/client.mjs"],
        "java": ["java", "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-cp", os.environ.get("JAVA_CLIENT", "."), "Client"],
    }[runtime]
    ran = subprocess.run([*command, kind, url], capture_output=True, text=True, timeout=30)
    if ran.returncode != 0:
        raise RuntimeError(ran.stderr)
    result: dict[str, object] = json.loads(ran.stdout)
    return result
