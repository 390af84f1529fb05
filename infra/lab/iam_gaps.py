"""Names the gaps in how ministack evaluates IAM policies, and closes them.

ministack evaluates the policies of each caller (AUTH=true), but for some requests it asks for the wrong right, or for none. Each
gap is proven to exist before it is closed: with a newer ministack that no longer has it, the emulator does not start, and its
log names the gap. iam_tables.py does the same for the policies of tables, and iam_roles.py for what services do under a role.
Actions, resources and condition keys are those of
service-authorization/latest/reference/list_awslambda and list_amazoncloudwatch.
"""

from __future__ import annotations

import inspect
import json
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

REGION = "us-east-1"
ACCOUNT = "000000000000"
# Replaces each {name} of a path when a gap is tested.
SAMPLE = "sample"
ARN = f"arn:aws:lambda:{REGION}:{ACCOUNT}"
FUNCTION = f"{ARN}:function:{SAMPLE}"
MAPPING = f"{ARN}:event-source-mapping:{SAMPLE}"

# An action and a resource. The action None means that any caller may make the request.
Right = tuple[str | None, str]


class GapClosed(Exception):
    """A gap that this file describes does not exist in the installed ministack."""


@dataclass(frozen=True)
class Request:
    """A kind of request for which ministack asks for the wrong right."""

    method: str
    # As in the API reference; each {name} is one segment. {arn} is the resource; a request for an {operation} has none.
    path: str
    action: str
    # The right that ministack asks for, if the request is about SAMPLE.
    asked: Right
    service: str = "lambda"
    query: str = ""

    def matches(self, service: str, method: str, path: str, query: dict[str, Any]) -> re.Match[str] | None:
        if (service, method) != (self.service, self.method) or (self.query and self.query not in query):
            return None
        pattern = re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", self.path)
        return re.fullmatch(f"{pattern}/?", unquote(path))

    def sample(self) -> tuple[str, dict[str, Any]]:
        """Returns the path and the query of a request about SAMPLE."""
        return re.sub(r"{\w+}", SAMPLE, self.path), {self.query: [SAMPLE]} if self.query else {}


REQUESTS = (
    Request("GET", "/2018-10-31/layers", "GetLayerVersion", ("lambda:ListLayers", "*"), query="Arn"),
    Request(
        "GET",
        "/2019-09-30/functions/{function}/concurrency",
        "GetFunctionConcurrency",
        ("lambda:PutFunctionConcurrency", FUNCTION),
    ),
    Request(
        "DELETE",
        "/2017-10-31/functions/{function}/concurrency",
        "DeleteFunctionConcurrency",
        ("lambda:PutFunctionConcurrency", FUNCTION),
    ),
    Request(
        "GET",
        "/2021-07-20/functions/{function}/runtime-management-config",
        "GetRuntimeManagementConfig",
        ("lambda:GetFunction", FUNCTION),
    ),
    Request("GET", "/2016-08-19/account-settings", "GetAccountSettings", (None, "*")),
    Request("GET", "/2020-04-22/code-signing-configs/{arn}", "GetCodeSigningConfig", (None, "*")),
    Request(
        "GET",
        "/2015-03-31/event-source-mappings/{mapping}",
        "GetEventSourceMapping",
        ("lambda:ListEventSourceMappings", MAPPING),
    ),
    Request("PUT", "/2015-03-31/event-source-mappings/{mapping}", "UpdateEventSourceMapping", (None, MAPPING)),
    # AWS's clients send CloudWatch's calls as CBOR, in which only the path names the operation.
    Request("POST", "/service/GraniteServiceVersion20100801/operation/{operation}", "", (None, "*"), "monitoring"),
)


def close(actions: Any, evaluator: Any, tagging: Any, lambda_svc: Any) -> None:
    """Closes the gaps in these modules of ministack."""
    ask_for_the_right_action(actions)
    know_mappings(evaluator, tagging, lambda_svc)
    ask_for_further_rights(evaluator, lambda_svc)


def ask_for_the_right_action(actions: Any) -> None:
    """Replaces the functions that derive the action and the resource from a request."""
    action_of, resource_of = actions.extract_iam_action, actions.extract_resource_arn
    for request in REQUESTS:
        path, query = request.sample()
        call = (request.service, request.method, path, {}, b"", query)
        asked = (action_of(*call), resource_of(*call, REGION, ACCOUNT))
        prove(request.path, asked, request.asked)

    def find(service: str, method: str, path: str, query: dict[str, Any]) -> tuple[Request, dict[str, str]] | None:
        for request in REQUESTS:
            if found := request.matches(service, method, path, query):
                return request, found.groupdict()
        return None

    def extract_iam_action(
        service: str, method: str, path: str, headers: Any, body: bytes, query: dict[str, Any]
    ) -> str | None:
        if not (found := find(service, method, path, query)):
            return action_of(service, method, path, headers, body, query)
        request, names = found
        return f"{actions.SERVICE_TO_IAM_NAMESPACE[service]}:{request.action or names['operation']}"

    def extract_resource_arn(
        service: str, method: str, path: str, headers: Any, body: bytes, query: dict[str, Any], region: str, account: str
    ) -> str:
        if found := find(service, method, path, query):
            request, names = found
            if request.query:
                return str(query[request.query][0])
            if "arn" in names or "operation" in names:
                return names.get("arn", "*")
        return resource_of(service, method, path, headers, body, query, region, account)

    actions.extract_iam_action, actions.extract_resource_arn = extract_iam_action, extract_resource_arn


def know_mappings(evaluator: Any, tagging: Any, lambda_svc: Any) -> None:
    """Adds what conditions on a request about an event source mapping need: its tags, and lambda:FunctionArn."""
    enforce = evaluator.enforce
    lambda_svc._esms[SAMPLE] = {"Tags": {"a": "b"}}
    prove("the tags of an event source mapping", tagging.resource_tags(MAPPING), None)
    del lambda_svc._esms[SAMPLE]
    prove("lambda:FunctionArn", "functionarn" in str(evaluator.enforce.__code__.co_consts).lower(), False)

    def enforce_with_mapping(
        access_key: str,
        action: str,
        service: str,
        region: str,
        resource_arn: str = "*",
        service_context: dict[str, Any] | None = None,
    ) -> Any:
        mapping = lambda_svc._esms.get(resource_arn.rpartition(":event-source-mapping:")[2])
        if service == "lambda" and mapping:
            tags = {f"aws:ResourceTag/{name}": value for name, value in mapping.get("Tags", {}).items()}
            service_context = {**(service_context or {}), **tags, "lambda:FunctionArn": mapping.get("FunctionArn")}
        return enforce(access_key, action, service, region, resource_arn, service_context)

    evaluator.enforce = enforce_with_mapping


def ask_for_further_rights(evaluator: Any, lambda_svc: Any) -> None:
    """Shows tags with lambda:ListTags only (API_GetFunction), and attaches layers with lambda:GetLayerVersion only."""
    handle = lambda_svc.handle_request
    prove("lambda:ListTags of GetFunction", "ListTags" in inspect.getsource(lambda_svc._get_function), False)
    prove("lambda:GetLayerVersion of an update", "GetLayerVersion" in inspect.getsource(lambda_svc._update_config), False)
    function = re.compile(r"/2015-03-31/functions/([^/]+)(/configuration)?")

    def refusal(action: str, resource: str) -> str | None:
        key = evaluator._verified_key.get()
        denied = evaluator.enforce(key, action, "lambda", REGION, resource) if key else None
        if denied is None:
            return None
        reason = f"because no identity-based policy allows the {action} action"
        return f"User: {denied.principal_arn} is not authorized to perform: {action} on resource: {resource} {reason}"

    async def handle_request(method: str, path: str, headers: Any, body: bytes, query: Any) -> Any:
        found = function.fullmatch(unquote(path))
        if found and (method, found[2]) == ("PUT", "/configuration"):
            for layer in json.loads(body or b"{}").get("Layers") or []:
                if why := refusal("lambda:GetLayerVersion", layer):
                    return 403, {"x-amzn-errortype": "AccessDeniedException"}, json.dumps({"Message": why}).encode()
        response = await handle(method, path, headers, body, query)
        if found and (method, found[2], response[0]) == ("GET", None, 200):
            name = found[1].rpartition(":function:")[2].partition(":")[0]
            if why := refusal("lambda:ListTags", f"{ARN}:function:{name}"):
                shown = json.loads(response[2])
                shown.pop("Tags", None)
                shown["TagsError"] = {"ErrorCode": "AccessDeniedException", "Message": why}
                return response[0], response[1], json.dumps(shown).encode()
        return response

    lambda_svc.handle_request = handle_request


def prove(gap: str, found: object, expected: object) -> None:
    """Raises GapClosed unless ministack does what this file says that it does."""
    if found != expected:
        raise GapClosed(
            f"{gap}: this ministack evaluates it as {found}, not as {expected}; correct or remove the gap in {__file__}"
        )
