"""The server that functions depend on. It speaks HTTP and HTTPS, and the part of DynamoDB's protocol that lists tables."""

from __future__ import annotations

import asyncio
import itertools
import json
import socket
import ssl
import subprocess
import threading
from pathlib import Path

# A response is long enough to be slow at a few KB per second.
PADDING = "." * 1000


class Site:
    """Responds to each request with the number of its connection. Listens at all addresses of both families."""

    def __init__(self, tls: Path | None = None):
        self.context: ssl.SSLContext | None = None
        if tls is not None:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(tls / "cert.pem", tls / "key.pem")
        self.numbers = itertools.count(1)
        self.listener = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True, backlog=1024)
        self.port: int = self.listener.getsockname()[1]
        threading.Thread(target=asyncio.run, args=(self.listen(),), daemon=True).start()

    async def listen(self) -> None:
        server = await asyncio.start_server(self.serve, sock=self.listener, ssl=self.context, backlog=1024)
        await server.serve_forever()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = next(self.numbers)
        try:
            is_open = True
            while is_open:
                is_open = await self.respond(number, reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            # A client that breaks its connection is what the tests want.
            pass
        finally:
            writer.close()

    @staticmethod
    async def respond(number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Responds to one request. Returns whether the client keeps the connection."""
        request, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower().splitlines()
        headers = dict(line.split(": ", 1) for line in lines if line)
        await reader.readexactly(int(headers.get("content-length", 0)))
        text = f"connection {number} {PADDING}"
        body = json.dumps({"TableNames": [text]}) if request.startswith("post") else text
        # Some clients close a connection after a few seconds, unless the server tells them that it stays open.
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.0\r\nKeep-Alive: timeout=60\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write((head + body).encode())
        await writer.drain()
        return headers.get("connection") != "close"


def make_certificate(folder: Path, names: list[str]) -> None:
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1"]
    command += ["-subj", "/CN=dependencies", "-addext", "subjectAltName=" + ",".join(f"DNS:{name}" for name in names)]
    command += ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    subprocess.run(command, check=True, capture_output=True)
