"""The six demos by number. Each has its own file."""

from __future__ import annotations

from typing import Callable

import demo_concurrency
import demo_dependency
import demo_deploy
import demo_handler
import demo_nobody
import demo_proxy
from stage import Stage

ALL: dict[int, Callable[[Stage], None]] = {
    1: demo_concurrency.run,
    2: demo_handler.run,
    3: demo_proxy.run,
    4: demo_nobody.run,
    5: demo_deploy.run,
    6: demo_dependency.run,
}
