"""The six demos by number. Each has its own file.

Demo 6 runs at the same time as demo 3, which has another function and another alarm. Its lines are printed in its turn.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Callable

import demo_concurrency
import demo_dependency
import demo_deploy
import demo_handler
import demo_nobody
import demo_proxy
from stage import Stage
from timeline import Later

RunDemo = Callable[[Stage], None]
ALL: dict[int, RunDemo] = {
    1: demo_concurrency.run,
    2: demo_handler.run,
    3: demo_proxy.run,
    4: demo_nobody.run,
    5: demo_deploy.run,
    6: demo_dependency.run,
}
# The demo that runs beside another one.
BESIDE = {demo_proxy.run: demo_dependency.run}


def run_all(stage: Stage, chosen: list[RunDemo]) -> None:
    finished: dict[RunDemo, Beside] = {}
    for demo in chosen:
        other = BESIDE.get(demo)
        if demo in finished:
            finished[demo].lines.show()
        elif other in chosen:
            finished[other] = Beside(stage, other)
            demo(stage)
            # Demo 4 stops what the other one needs.
            finished[other].finish()
        else:
            demo(stage)


class Beside:
    """A demo in a thread. If the lab fails, the emulator ends, and so the demo soon does."""

    def __init__(self, stage: Stage, demo: RunDemo) -> None:
        self.lines = Later(stage.timeline)
        self.stage = replace(stage, timeline=self.lines)
        self.failure: BaseException | None = None
        self.thread = threading.Thread(target=self.run, args=(demo,))
        self.thread.start()

    def run(self, demo: RunDemo) -> None:
        try:
            demo(self.stage)
        except BaseException as failure:
            self.failure = failure

    def finish(self) -> None:
        self.thread.join()
        if self.failure is not None:
            self.lines.show()
            raise self.failure
