"""The account inside the emulator: where it answers, and the credentials that only it accepts."""

from __future__ import annotations

import functools
import os
import threading
from dataclasses import dataclass
from typing import Any

REGION = "us-east-1"


def forget_real_account() -> None:
    """Takes every AWS setting out of this process, and so out of the ones that it starts.

    The lab changes functions and deletes what it made. It must not be able to reach a real account, whatever
    profile, endpoint (AWS_ENDPOINT_URL_LAMBDA and its like go before AWS_ENDPOINT_URL) or role the shell has set.
    """
    for variable in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[variable]
    os.environ.update(
        AWS_CONFIG_FILE=os.devnull,
        AWS_SHARED_CREDENTIALS_FILE=os.devnull,
        AWS_EC2_METADATA_DISABLED="true",
        AWS_PAGER="",
    )
    # A proxy would be asked for 127.0.0.1 too.
    for variable in ("NO_PROXY", "no_proxy"):
        os.environ[variable] = ",".join(filter(None, [os.environ.get(variable, ""), "127.0.0.1"]))


@dataclass(frozen=True)
class Account:
    """An AWS account that lives in the emulator at `endpoint`."""

    endpoint: str

    def exports(self) -> dict[str, str]:
        """What a shell needs, so that every AWS tool in it talks to the emulator."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
        }

    def environment(self) -> dict[str, str]:
        """The environment of a process that works in this account."""
        return {**os.environ, **self.exports()}

    def client(self, service: str) -> Any:
        """The client of `service`. It calls once: a retried throttle would be traffic that nobody counts."""
        return client(self.endpoint, service)


@functools.cache
def boto_session() -> Any:
    # Here, so that `lab.py --help` does not wait for it.
    import boto3

    return boto3.session.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name=REGION)


# Only making clients is not safe in several threads.
MAKING = threading.Lock()


@functools.cache
def client(endpoint: str, service: str) -> Any:
    from botocore.config import Config

    config = Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=60)
    with MAKING:
        return boto_session().client(service, endpoint_url=endpoint, config=config)
