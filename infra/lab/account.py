"""The account inside the emulator: its endpoint, and the credentials that only it accepts.

The emulator evaluates IAM policies, so the lab works as an administrator, whom the account's root user creates.
"""

from __future__ import annotations

import functools
import os
import threading
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

REGION = "us-east-1"
# The access key of ministack's root user. Its secret is new for each emulator.
ROOT = "test"
ADMINISTRATOR = "lab-administrator"


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
class Credentials:
    """The access key of a user."""

    key_id: str
    secret: str = field(repr=False)


@dataclass(frozen=True)
class Account:
    """An AWS account that lives in the emulator at `endpoint`, as the user with these credentials."""

    endpoint: str
    credentials: Credentials

    @property
    def port(self) -> int:
        return urlsplit(self.endpoint).port or 0

    def exports(self) -> dict[str, str]:
        """Returns the variables with which every AWS tool in a shell talks to the emulator."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.credentials.key_id,
            "AWS_SECRET_ACCESS_KEY": self.credentials.secret,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
        }

    def environment(self) -> dict[str, str]:
        """Returns the environment of a process that works in this account."""
        return {**os.environ, **self.exports()}

    def client(self, service: str) -> Any:
        """Returns the client of `service`. It does not retry, because retries would be requests that the lab does not count."""
        return client(self, service)


def create_administrator(root: Account) -> Credentials:
    """Creates the user as whom the lab works, and returns the user's credentials."""
    iam = root.client("iam")
    iam.create_user(UserName=ADMINISTRATOR)
    iam.attach_user_policy(UserName=ADMINISTRATOR, PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")
    key = iam.create_access_key(UserName=ADMINISTRATOR)["AccessKey"]
    return Credentials(key["AccessKeyId"], key["SecretAccessKey"])


@functools.cache
def boto_session(credentials: Credentials) -> Any:
    # Imported here, so that `lab.py --help` does not wait for it.
    import boto3

    return boto3.session.Session(
        aws_access_key_id=credentials.key_id, aws_secret_access_key=credentials.secret, region_name=REGION
    )


# Creating clients is not thread-safe; using them is.
CREATION = threading.Lock()


@functools.cache
def client(account: Account, service: str) -> Any:
    from botocore.config import Config

    config = Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=60)
    with CREATION:
        return boto_session(account.credentials).client(service, endpoint_url=account.endpoint, config=config)
