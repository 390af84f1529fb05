"""Serves moto's DynamoDB on 127.0.0.1 for one test. It prints its port, and ends when its standard input ends.

Two additional requests keep thousands of short sequences fast: GET /items returns every item of the table in DynamoDB's JSON, and
DELETE /items empties the table.
"""

from __future__ import annotations

import functools
import json
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO

# moto must not search for an account or call another machine.
os.environ.update(AWS_ACCESS_KEY_ID="test", AWS_SECRET_ACCESS_KEY="test", AWS_DEFAULT_REGION="eu-west-1")

import moto.core.responses  # noqa: E402
from moto.core import DEFAULT_ACCOUNT_ID  # noqa: E402
from moto.core.request import Request, normalize_request  # noqa: E402
from moto.dynamodb.models import dynamodb_backends  # noqa: E402
from moto.dynamodb.responses import DynamoHandler  # noqa: E402
from werkzeug.exceptions import HTTPException  # noqa: E402

REGION = "eu-west-1"
TABLE = "ledger"
# moto searches its methods again for every request, which takes a quarter of its time.
moto.core.responses.method_names_from_class = functools.lru_cache(None)(moto.core.responses.method_names_from_class)
# moto's server also handles one request at a time.
ONE_AT_A_TIME = threading.Lock()


def table():
    return dynamodb_backends[DEFAULT_ACCOUNT_ID][REGION].tables[TABLE]


def create_table() -> None:
    dynamodb_backends[DEFAULT_ACCOUNT_ID][REGION].create_table(
        TABLE,
        schema=[
            {"AttributeName": "pk", "KeyType": "HASH"},
            {"AttributeName": "sk", "KeyType": "RANGE"},
        ],
        attr=[
            {"AttributeName": "pk", "AttributeType": "S"},
            {"AttributeName": "sk", "AttributeType": "S"},
        ],
        billing_mode="PAY_PER_REQUEST",
        throughput=None,
        global_indexes=None,
        indexes=None,
        streams=None,
        sse_specification=None,
        tags=[],
        deletion_protection_enabled=False,
        warm_throughput=None,
    )


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def respond(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        head = [f"HTTP/1.1 {status} -"]
        head += [f"{name}: {value}" for name, value in headers if name.lower() != "content-length"]
        head += [f"Content-Length: {len(body)}", "", ""]
        self.wfile.write("\r\n".join(head).encode() + body)

    def do_GET(self) -> None:
        with ONE_AT_A_TIME:
            items = [item.to_json()["Attributes"] for item in table().all_items()]
        self.respond(200, [], json.dumps(items).encode())

    def do_DELETE(self) -> None:
        with ONE_AT_A_TIME:
            table().items.clear()
        self.respond(200, [], b"")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        environ = {
            "REQUEST_METHOD": "POST",
            "PATH_INFO": "/",
            "QUERY_STRING": "",
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": str(self.server.server_address[1]),
            "SERVER_PROTOCOL": "HTTP/1.1",
            "CONTENT_LENGTH": str(len(body)),
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "wsgi.url_scheme": "http",
            "wsgi.input": BytesIO(body),
            "wsgi.errors": sys.stderr,
            "wsgi.version": (1, 0),
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        for name, value in self.headers.items():
            environ["HTTP_" + name.upper().replace("-", "_")] = value
        # Calls moto's handler directly, because its server's framework takes longer than the work.
        try:
            with ONE_AT_A_TIME:
                status, headers, content = DynamoHandler.dispatch(normalize_request(Request(environ)))
        except HTTPException as error:
            refused = error.get_response(environ)
            status, headers, content = refused.status_code, dict(refused.headers), refused.get_data()
        except Exception as error:  # An error of moto is not a response of DynamoDB.
            status, headers, content = 400, {}, json.dumps({"__type": "NotInMoto", "message": repr(error)})
        body = content.encode() if isinstance(content, str) else content
        self.respond(int(status), [(name, str(value)) for name, value in headers.items()], body)

    def log_message(self, *_: object) -> None:
        pass


def main() -> None:
    create_table()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
    # The test holds the other end, which is closed when the test ends or is killed.
    sys.stdin.read()


if __name__ == "__main__":
    main()
