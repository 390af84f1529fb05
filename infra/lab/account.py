"""The account inside the emulator: its endpoint, and the credentials that only it accepts."""

from __future__ import annotations

import functools
import os
import threading
from dataclasses import dataclass
from typing import Any

REGION = "us-east-1"


def clear_aws_settings() -> None:
    """Removes every AWS setting from this process, and so from the processes that it starts.

    The lab changes functions and deletes what it made, so it must never reach a real account. The shell can have set a profile, a
    role or an endpoint, of which AWS_ENDPOINT_URL_LAMBDA and the like take precedence over AWS_ENDPOINT_URL.
    """
    for variable in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[variable]
    os.environ.update(
        AWS_CONFIG_FILE=os.devnull,
        AWS_SHARED_CREDENTIALS_FILE=os.devnull,
        AWS_EC2_METADATA_DISABLED="true",
        AWS_PAGER="",
    )
    # Without this, requests to 127.0.0.1 would go through the shell's HTTP proxy.
    for variable in ("NO_PROXY", "no_proxy"):
        os.environ[variable] = ",".join(filter(None, [os.environ.get(variable, ""), "127.0.0.1"]))


@dataclass(frozen=True)
class Account:
    """An AWS account that lives in the emulator at `endpoint`."""

    endpoint: str

    def exports(self) -> dict[str, str]:
        """Returns the variables with which every AWS tool in a shell talks to the emulator."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
        }

    def environment(self) -> dict[str, str]:
        """Returns the environment of a process that works in this account."""
        return {**os.environ, **self.exports()}

    def client(self, service: str) -> Any:
        """Returns the client of `service`. It does not retry, because retries would be requests that the lab does not count."""
        return client(self.endpoint, service)


@functools.cache
def boto_session() -> Any:
    # Imported here, so that `lab.py --help` does not wait for it.
    import boto3

    return boto3.session.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name=REGION)


# Creating clients is not thread-safe; using them is.
CREATION = threading.Lock()


@functools.cache
def client(endpoint: str, service: str) -> Any:
    from botocore.config import Config

    config = Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=60)
    with CREATION:
        return boto_session().client(service, endpoint_url=endpoint, config=config)
