"""Demo 2: the responses before, during and after the run prove that the chaos handler runs."""

from __future__ import annotations

from functions import PAYMENT
from runner import Run
from stage import COMPLETED, Demo, Stage, show_response

DEMO = Demo(
    "demo 2: a chaos handler from a layer replaces the function's handler",
    "demo-2-handler.json",
    PAYMENT,
    COMPLETED,
    frozenset({
        "Configuration.Handler",
        "Configuration.Layers[2].Arn",
        "Configuration.Timeout",
        "Configuration.MemorySize",
        "Configuration.Environment.Variables.CHAOS_DEADLINE_MS",
        "Configuration.Environment.Variables.CHAOS_ORIGINAL_HANDLER",
    }),
)  # fmt: skip


def run(stage: Stage) -> None:
    stage.timeline.title(DEMO.title)
    before = show_response(stage, DEMO.target, "before")
    with Run(stage, DEMO) as run:
        during = show_response(stage, DEMO.target, "during") if run.wait_for_fault() else {}
        run.finish()
    after = show_response(stage, DEMO.target, "after")
    run.check_outcome()
    stage.check(during.get("statusCode") == 503 and "headers" in during, "during it, the chaos handler responded")
    stage.check(during.get("body") == before["body"], "it had called the function's handler")
    stage.check(after == before, "after it, the function's handler responds as before")
