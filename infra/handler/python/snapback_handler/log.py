"""What the handler writes to the function's log: metrics, and why it does not inject."""

from snapback_handler import environ, time, to_json, write

# Up to this size, one write to a pipe is atomic (POSIX, PIPE_BUF on Linux).
MAX_LINE_BYTES = 4096


def line(message):
    """Writes one message to standard error."""
    write_whole(2, ("snapback-handler: %s\n" % message).encode("utf-8", "backslashreplace"))


def metric(orders, fault, delay_ms, request):
    """Writes the metrics of an injected fault in CloudWatch's embedded metric format, as the proxy does."""
    function = environ.get("AWS_LAMBDA_FUNCTION_NAME", "")
    for properties in ({"FunctionName": function, "RequestId": request}, {}):
        written = to_json(document(orders, fault, delay_ms, properties)).encode() + b"\n"
        if len(written) <= MAX_LINE_BYTES:
            write_whole(1, written)
            return


def write_whole(descriptor, written):
    try:
        # Not through sys.stdout or sys.stderr, which a function may have replaced: one line is one write.
        write(descriptor, written)
    except OSError:
        pass


def document(orders, fault, delay_ms, properties):
    metrics = [{"Name": "InjectedFaults", "Unit": "Count"}, {"Name": "InjectedDelay", "Unit": "Milliseconds"}]
    directive = {"Namespace": "snapback", "Dimensions": [["Experiment", "Run", "Fault"]], "Metrics": metrics}
    return {
        "_aws": {"Timestamp": int(time() * 1000), "CloudWatchMetrics": [directive]},
        "Experiment": orders.experiment,
        "Run": orders.run,
        "Fault": fault,
        "InjectedFaults": 1,
        "InjectedDelay": delay_ms,
        **{name: value for name, value in properties.items() if value},
    }
