"""What the handler writes to the function's log: metrics, and why it does not inject."""

import json
import os
import sys
import time

# Up to this size, one write to a pipe is atomic (POSIX, PIPE_BUF on Linux).
MAX_LINE_BYTES = 4096


def line(message):
    """Writes one message to standard error."""
    sys.stderr.write("snapback-handler: %s\n" % message)


def metric(orders, fault, delay_ms, request):
    """Writes the metrics of an injected fault in CloudWatch's embedded metric format, as the proxy does."""
    function = os.environ.get("AWS_LAMBDA_FUNCTION_NAME", "")
    for properties in ({"FunctionName": function, "RequestId": request}, {}):
        text = json.dumps(document(orders, fault, delay_ms, properties), separators=(",", ":")) + "\n"
        written = text.encode()
        if len(written) <= MAX_LINE_BYTES:
            try:
                # Not through sys.stdout, which a function may have replaced: one line is one write.
                os.write(1, written)
            except OSError:
                pass
            return


def document(orders, fault, delay_ms, properties):
    metrics = [{"Name": "InjectedFaults", "Unit": "Count"}, {"Name": "InjectedDelay", "Unit": "Milliseconds"}]
    directive = {"Namespace": "snapback", "Dimensions": [["Experiment", "Run", "Fault"]], "Metrics": metrics}
    return {
        "_aws": {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [directive]},
        "Experiment": orders.experiment,
        "Run": orders.run,
        "Fault": fault,
        "InjectedFaults": 1,
        "InjectedDelay": delay_ms,
        **{name: value for name, value in properties.items() if value},
    }
