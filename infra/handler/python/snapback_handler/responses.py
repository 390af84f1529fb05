"""The fault `response`: its settings, and what becomes of the function's own response. Loaded only if there is one."""

from snapback_handler import config, loads


def read(left, after):
    """Reads the settings of a `response` fault."""
    status, headers = config.take(left, "statusCode", config.STATUS, None), config.take(left, "headers", config.HEADERS, {})
    body, raw = config.take(left, "body", config.TEXT, None), config.take(left, "raw", config.TEXT, None)
    is_http = status is not None or bool(headers) or body is not None
    if is_http == (raw is not None) or (is_http and status is None and not after):
        raise ValueError("it does not have exactly one form of a response")
    if any(type(value) is not str for value in headers.values()):
        raise ValueError("a header is not text")
    if raw is not None:
        loads(raw, parse_constant=config.refuse)
    return {"status": status, "headers": headers, "body": body, "raw": raw}


def whole_response(settings):
    if settings["raw"] is not None:
        return loads(settings["raw"])
    return merged({"statusCode": 200, "headers": {}, "body": "", "isBase64Encoded": False}, settings)


def merged(own, settings):
    """Replaces the parts of a response that the fault gives. One that is not in HTTP form is replaced as a whole."""
    if settings["raw"] is not None or not isinstance(own, dict) or "statusCode" not in own:
        return whole_response(settings)
    result = dict(own)
    if settings["status"] is not None:
        result["statusCode"] = settings["status"]
    if settings["body"] is not None:
        result.update(body=settings["body"], isBase64Encoded=False)
    headers = settings["headers"]
    has_lists = isinstance(own.get("multiValueHeaders"), dict)
    if headers and has_lists:
        result["multiValueHeaders"] = replaced(own["multiValueHeaders"], {name: [value] for name, value in headers.items()})
    if headers and (isinstance(own.get("headers"), dict) or not has_lists):
        result["headers"] = replaced(own.get("headers"), headers)
    return result


def replaced(own, headers):
    names = {name.lower() for name in headers}
    kept = own.items() if isinstance(own, dict) else ()
    return {**{name: value for name, value in kept if str(name).lower() not in names}, **headers}
