"""What a function does to reach its dependency: clients of Python, and of Node.js, Java and Ruby in processes of their own.

A case is `{"id", "client", "key", "url"}`. Its client fetches the URL, on a new connection if the key is `-`, otherwise on the
one that stays open under this key. The result is `{"id", "ms", "body": TEXT}` or `{"id", "ms", "error": NAME}`, with the same
names of errors for all runtimes.

A process of another runtime reads a line `ID CLIENT KEY URL` for each case, and writes `ID MS body|error TEXT` when it has
the result. It has its timeout in TIMEOUT_MS, and the certificates that it trusts in AUTHORITY.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import http.client
import os
import queue
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

TIMEOUT_S = int(os.environ.get("TIMEOUT_MS", 5000)) / 1000
# A client that has no result after this time has forgotten its timeout.
PATIENCE_S = 30
THREADS = 48
HERE = Path(__file__).resolve().parent


class Client(Protocol):
    def get(self) -> str: ...

    def close(self) -> None: ...


def authority() -> str:
    return os.environ["AUTHORITY"]


@cache
def trust() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=authority())


def trust_for(url: str) -> ssl.SSLContext | None:
    return trust() if url.startswith("https") else None


class Urllib:
    def __init__(self, url: str):
        self.url = url

    def get(self) -> str:
        with urllib.request.urlopen(self.url, timeout=TIMEOUT_S, context=trust_for(self.url)) as response:
            return str(response.read(), "ascii")

    def close(self) -> None:
        pass


class Urllib3:
    def __init__(self, url: str):
        import urllib3

        self.url, self.pool = url, urllib3.PoolManager(retries=False, timeout=TIMEOUT_S, ca_certs=authority())

    def get(self) -> str:
        return str(self.pool.request("GET", self.url).data, "ascii")

    def close(self) -> None:
        self.pool.clear()


class Requests:
    def __init__(self, url: str):
        import requests

        self.url, self.session = url, requests.Session()
        self.session.verify = authority()

    def get(self) -> str:
        return self.session.get(self.url, timeout=TIMEOUT_S).text

    def close(self) -> None:
        self.session.close()


class Httpx:
    def __init__(self, url: str):
        import httpx

        self.url, self.client = url, httpx.Client(timeout=TIMEOUT_S, verify=trust())

    def get(self) -> str:
        return self.client.get(self.url).text

    def close(self) -> None:
        self.client.close()


class HttpClient:
    def __init__(self, url: str):
        place = urlsplit(url).netloc
        secure = trust_for(url)
        self.connection = (
            http.client.HTTPSConnection(place, timeout=TIMEOUT_S, context=secure)
            if secure
            else http.client.HTTPConnection(place, timeout=TIMEOUT_S)
        )

    def get(self) -> str:
        self.connection.request("GET", "/")
        return str(self.connection.getresponse().read(), "ascii")

    def close(self) -> None:
        self.connection.close()


class BlockingSocket:
    """A socket that blocks in connect(2). Only the kernel's own timeout ends that."""

    def __init__(self, url: str):
        self.url, self.connection = url, None

    def connect(self) -> socket.socket:
        host, port = urlsplit(self.url).hostname, urlsplit(self.url).port
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        connection = socket.socket(family, kind, protocol)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(TIMEOUT_S * 1000))
        connection.connect(address)
        connection.settimeout(TIMEOUT_S)
        secure = trust_for(self.url)
        return secure.wrap_socket(connection, server_hostname=host) if secure else connection

    def get(self) -> str:
        self.connection = self.connection or self.connect()
        self.connection.sendall(f"GET / HTTP/1.1\r\nHost: {urlsplit(self.url).netloc}\r\n\r\n".encode())
        response = http.client.HTTPResponse(self.connection)
        response.begin()
        return str(response.read(), "ascii")

    def close(self) -> None:
        if self.connection:
            self.connection.close()


class Asyncio:
    """All of them share one loop, in its own thread."""

    LOOP = asyncio.new_event_loop()

    def __init__(self, url: str):
        self.url, self.streams = url, None

    def get(self) -> str:
        return asyncio.run_coroutine_threadsafe(asyncio.wait_for(self.exchange(), TIMEOUT_S), self.LOOP).result()

    async def exchange(self) -> str:
        place = urlsplit(self.url)
        self.streams = self.streams or await asyncio.open_connection(place.hostname, place.port, ssl=trust_for(self.url))
        reader, writer = self.streams
        writer.write(f"GET / HTTP/1.1\r\nHost: {place.netloc}\r\n\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        return (await reader.readexactly(int(head.partition("Content-Length: ")[2].split()[0]))).decode()

    def close(self) -> None:
        if self.streams:
            self.LOOP.call_soon_threadsafe(self.streams[1].close)


class Boto3:
    LOCK = threading.Lock()

    def __init__(self, url: str):
        import boto3
        from botocore.config import Config

        config = Config(connect_timeout=TIMEOUT_S, read_timeout=TIMEOUT_S, retries={"total_max_attempts": 1})
        keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "eu-central-1"}
        # boto3's default session is not made for several threads.
        with self.LOCK:
            self.client = boto3.client("dynamodb", endpoint_url=url, verify=authority(), config=config, **keys)

    def get(self) -> str:
        return self.client.list_tables()["TableNames"][0]

    def close(self) -> None:
        self.client.close()


threading.Thread(target=Asyncio.LOOP.run_forever, daemon=True).start()

CLIENTS: dict[str, Callable[[str], Client]] = {
    "urllib": Urllib,
    "urllib3": Urllib3,
    "requests": Requests,
    "httpx": Httpx,
    "http.client": HttpClient,
    "socket": BlockingSocket,
    "asyncio": Asyncio,
    "boto3": Boto3,
}
ERRORS: list[tuple[type[BaseException], str]] = [
    (ConnectionRefusedError, "refused"),
    # The first one is a kind of ConnectionResetError, but the stream has ended.
    (http.client.RemoteDisconnected, "ended"),
    (asyncio.IncompleteReadError, "ended"),
    (ssl.SSLEOFError, "ended"),
    (ConnectionResetError, "reset"),
    (BrokenPipeError, "reset"),
    (TimeoutError, "timeout"),
    (asyncio.TimeoutError, "timeout"),
    (concurrent.futures.TimeoutError, "timeout"),
]
kept: dict[str, Client] = {}


# Older ones report a reset while they read through TLS as the end of the stream (python/cpython#115628).
TELLS_RESET_OF_TLS = sys.version_info >= (3, 12, 3)
# urllib3 hides a reset that it meets while it sends, and then finds the end. This client sends a head and a body.
HIDES_RESET = {"python.boto3"}


def name_of(failure: BaseException, case: dict) -> str:
    name = name_in(chain_of(failure))
    hides = case["client"] in HIDES_RESET or (case["url"].startswith("https") and not TELLS_RESET_OF_TLS)
    return "reset" if name == "ended" and hides else name


def chain_of(failure: BaseException | None) -> list[BaseException]:
    chain: list[BaseException] = []
    while failure is not None and failure not in chain:
        chain.append(failure)
        reason = getattr(failure, "reason", None)
        failure = reason if isinstance(reason, BaseException) else failure.__cause__ or failure.__context__
    return chain


def name_in(chain: list[BaseException]) -> str:
    for one in chain:
        if isinstance(one, socket.gaierror):
            return {socket.EAI_NONAME: "notFound", socket.EAI_AGAIN: "tryAgain"}.get(one.errno or 0, repr(one))
        if type(one).__name__ == "RemoteProtocolError" and "disconnected" in str(one):
            return "ended"
    found = [name for kind, name in ERRORS for one in chain if isinstance(one, kind)]
    return found[0] if found else repr(chain)


def fetch(case: dict) -> dict:
    """Fetches with a client of Python."""
    began = time.monotonic()
    key, make = case["key"], CLIENTS[case["client"].partition(".")[2]]
    client = None
    try:
        client = kept.get(key) or make(case["url"])
        began = time.monotonic()
        result = {"body": client.get()}
        if key != "-":
            kept[key] = client
    except Exception as failure:
        result = {"error": name_of(failure, case)}
    finally:
        took = round((time.monotonic() - began) * 1000)
        if client and kept.get(key) is not client:
            client.close()
    return result | {"id": case["id"], "ms": took}


class Runtime:
    """A process of another runtime, which inherits the environment of this one."""

    def __init__(self, name: str):
        command = {
            "node": [os.environ.get("NODE", "node"), str(HERE / "client.mjs")],
            "java": ["java", "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-cp", os.environ.get("JAVA_CLIENT", "."), "Client"],
            "ruby": ["ruby", str(HERE / "client.rb")],
        }[name]
        environment = os.environ | {"TIMEOUT_MS": str(round(TIMEOUT_S * 1000)), "NODE_EXTRA_CA_CERTS": authority()}
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)

        self.lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.lines.put(line.rstrip("\n"))

    def fetch(self, cases: list[dict]) -> list[dict]:
        assert self.process.stdin
        for case in cases:
            print(case["id"], case["client"].partition(".")[2], case["key"], case["url"], file=self.process.stdin)
        self.process.stdin.flush()
        end, results = time.monotonic() + PATIENCE_S, []
        while len(results) < len(cases):
            try:
                number, took, outcome, text = self.lines.get(timeout=max(0, end - time.monotonic())).split(" ", 3)
            except queue.Empty:
                return results
            results.append({"id": int(number), "ms": int(took), outcome: text})
        return results


runtime = cache(Runtime)


def fetch_all(cases: list[dict]) -> list[dict]:
    """Fetches concurrently, with all clients. Those that do not end have no result."""
    groups: dict[str, list[dict]] = {}
    for case in cases:
        groups.setdefault(case["client"].partition(".")[0], []).append(case)
    python = groups.pop("python", [])
    with ThreadPoolExecutor() as others:
        pool = ThreadPoolExecutor(THREADS)
        found = [others.submit(runtime(name).fetch, group) for name, group in groups.items()]
        done, _ = concurrent.futures.wait([pool.submit(fetch, case) for case in python], PATIENCE_S)
        pool.shutdown(wait=False)
        return [*(future.result() for future in done), *(result for one in found for result in one.result())]
