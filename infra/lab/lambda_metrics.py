"""Counts throttled requests as Lambda does: in Throttles, and neither in Invocations nor in Errors.

The emulator counts each of them twice, and as an error. See "Throttles" in
https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html.
"""

from __future__ import annotations

from typing import Any

from taking import taking


def change(service: Any, cloudwatch: Any) -> None:
    """Replaces the function that writes the metrics of an invocation."""
    emit = taking(service._emit_lambda_metrics, "function_name", "duration_ms", "error", "throttle")

    def emit_once(function_name: str, duration_ms: float, error: bool, throttle: bool) -> None:
        if not throttle:
            emit(function_name, duration_ms, error, throttle)
        # The emulator reports each throttled request without an error first, and a synchronous one again, as an error.
        elif not error:
            cloudwatch.record_metric("AWS/Lambda", "Throttles", 1, "Count", {"FunctionName": function_name})

    service._emit_lambda_metrics = emit_once
