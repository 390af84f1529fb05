"""Adds to the emulator what a stack of infra/fis.yaml and its roles use of AWS FIS and of SSM Automation.

CloudFormation creates documents and experiment templates. Callers start, read and stop automations and read FIS experiments, with
the rights of their roles. Nothing runs here: tests/fis runs the automations and plays FIS. Both sides share the files of a Store.

Shapes, errors and limits: systems-manager/latest/APIReference and fis/latest/APIReference. Actions and resources:
service-authorization/latest/reference/list_awssystemsmanager and list_awsfaultinjectionservice.
"""

from __future__ import annotations

import json
import os
import re
import sys
import types
import uuid
from pathlib import Path
from typing import Any, Callable

sys.path.insert(0, str(Path(__file__).parents[1]))

import runbook  # noqa: E402

# In the emulator's directory.
STORE = "fis"
REGION = "us-east-1"
ACCOUNT = "000000000000"
# API_StartAutomationExecution: the longest value of a parameter.
MAX_AUTOMATION_VALUE = 512
# API_CreateExperimentTemplateActionInput: the longest value of an action's parameter.
MAX_ACTION_VALUE = 1024
# Small, so that a reader that does not page misses some. FIS decides how many a page has.
PAGE = 2

Response = tuple[int, dict[str, str], bytes]


class Store:
    """Documents, templates, automations, requests to stop them, and FIS experiments: one file each."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory / STORE

    def put(self, kind: str, name: str, value: dict[str, Any]) -> None:
        folder = self.directory / kind
        folder.mkdir(parents=True, exist_ok=True)
        # Renamed, so that no reader sees half of it.
        half = folder / f".{uuid.uuid4()}"
        half.write_text(json.dumps(value))
        os.replace(half, folder / name)

    def get(self, kind: str, name: str) -> dict[str, Any] | None:
        try:
            return dict(json.loads((self.directory / kind / name).read_text()))
        except FileNotFoundError:
            return None

    def names(self, kind: str) -> list[str]:
        folder = self.directory / kind
        return sorted(each.name for each in folder.glob("[!.]*")) if folder.exists() else []

    def remove(self, kind: str, name: str) -> None:
        (self.directory / kind / name).unlink(missing_ok=True)


def install(app: Any, ssm: Any, actions: Any, evaluator: Any, provisioners: Any, directory: Path) -> None:
    store = Store(directory)
    create_resources(provisioners, store)
    know_resources(actions)
    # The emulator loads a service's module by this name.
    module = types.ModuleType("ministack.services.fis")
    module.handle_request = Experiments(store).handle  # type: ignore[attr-defined]
    sys.modules[module.__name__] = module
    app.SERVICE_HANDLERS["fis"] = app._lazy_handler("fis")
    ssm.handle_request = Automations(store, evaluator, ssm.handle_request).handle


# ----------------------------------------------------------------------------------------------- CloudFormation


def create_resources(provisioners: Any, store: Store) -> None:
    def document(_: str, properties: dict[str, Any], __: str) -> tuple[str, dict[str, Any]]:
        if (properties["DocumentType"], properties["DocumentFormat"]) != ("Automation", "YAML"):
            raise ValueError("the lab knows only automations in YAML")
        runbook.parse(properties["Content"])
        store.put("documents", properties["Name"], {"content": properties["Content"]})
        return properties["Name"], {}

    def template(_: str, properties: dict[str, Any], __: str) -> tuple[str, dict[str, Any]]:
        check_template(properties)
        name = f"EXT{uuid.uuid4().hex[:15]}"
        store.put("templates", name, properties)
        return name, {"Id": name}

    register(provisioners, "AWS::SSM::Document", document, lambda name, _: store.remove("documents", name))
    register(provisioners, "AWS::FIS::ExperimentTemplate", template, lambda name, _: store.remove("templates", name))


def register(provisioners: Any, kind: str, create: Callable[..., Any], delete: Callable[..., Any]) -> None:
    handlers = provisioners._RESOURCE_HANDLERS
    if kind in handlers:
        raise RuntimeError(f"this emulator knows {kind}; remove it from {__file__}")

    def update(name: str, _: Any, properties: dict[str, Any], stack: str) -> tuple[str, dict[str, Any]]:
        delete(name, properties)
        return tuple(create("", properties, stack))  # type: ignore[return-value]

    handlers[kind] = {"create": create, "update": update, "delete": delete}


def check_template(properties: dict[str, Any]) -> None:
    for name, action in properties["Actions"].items():
        for parameter, value in action["Parameters"].items():
            # The pattern of the API is [\S]+.
            if len(value) > MAX_ACTION_VALUE or re.search(r"\s", value):
                raise ValueError(f"{name}: {parameter} has more than {MAX_ACTION_VALUE} characters, or a blank")


# ----------------------------------------------------------------------------------------------------- requests


def know_resources(actions: Any) -> None:
    """Derives action and resource of the requests about FIS and automations, so that the caller's rights are evaluated."""
    resource_of = actions.extract_resource_arn

    def extract_resource_arn(
        service: str, method: str, path: str, headers: Any, body: bytes, query: Any, region: str, account: str
    ) -> str:
        if service == "fis":
            experiment = re.fullmatch(r"/experiments/([^/]+)", path)
            return f"arn:aws:fis:{region}:{account}:experiment/{experiment[1]}" if experiment else "*"
        if service == "ssm" and (asked := automation_resource(headers, body)):
            return f"arn:aws:ssm:{region}:{account}:{asked}"
        return str(resource_of(service, method, path, headers, body, query, region, account))

    actions.extract_resource_arn = extract_resource_arn
    actions.SERVICE_TO_IAM_NAMESPACE["fis"] = "fis"
    # The models that have the paths of its operations.
    actions._BOTOCORE_SERVICE_MAP["fis"] = ["fis"]


def automation_resource(headers: Any, body: bytes) -> str | None:
    operation = headers.get("x-amz-target", "").rpartition(".")[2]
    if operation == "StartAutomationExecution":
        return f"automation-definition/{document_name(json.loads(body)['DocumentName'])}:$DEFAULT"
    if operation in ("GetAutomationExecution", "StopAutomationExecution"):
        return f"automation-execution/{json.loads(body)['AutomationExecutionId']}"
    return None


def document_name(name_or_arn: str) -> str:
    return name_or_arn.rpartition("/")[2]


def respond(value: dict[str, Any]) -> Response:
    return 200, {"Content-Type": "application/x-amz-json-1.1"}, json.dumps(value).encode()


def refuse(kind: str, message: str, status: int = 400) -> Response:
    body = json.dumps({"__type": kind, "message": message}).encode()
    return status, {"Content-Type": "application/x-amz-json-1.1", "x-amzn-errortype": kind}, body


class Experiments:
    """The two operations of FIS that the automation role calls."""

    def __init__(self, store: Store) -> None:
        self.store = store

    async def handle(self, method: str, path: str, headers: Any, body: bytes, query: dict[str, Any]) -> Response:
        if (method, path) == ("GET", "/experiments"):
            return self.list(int((query.get("nextToken") or ["0"])[0]))
        if method == "GET" and (found := re.fullmatch(r"/experiments/([^/]+)", path)):
            experiment = self.store.get("experiments", found[1])
            if experiment is None:
                return refuse("ResourceNotFoundException", f"Experiment {found[1]} not found.", 404)
            return respond({"experiment": experiment})
        return refuse("ValidationException", f"the lab does not know {method} {path}")

    def list(self, start: int) -> Response:
        names = self.store.names("experiments")
        page = [self.store.get("experiments", name) or {} for name in names[start : start + PAGE]]
        summaries = [{key: each[key] for key in ("id", "arn", "experimentTemplateId", "state")} for each in page]
        more = {"nextToken": str(start + PAGE)} if start + PAGE < len(names) else {}
        return respond({"experiments": summaries, **more})


class Automations:
    """The operations on automations. `others` handles all other requests of SSM."""

    def __init__(self, store: Store, evaluator: Any, others: Callable[..., Any]) -> None:
        self.store = store
        self.evaluator = evaluator
        self.others = others

    async def handle(self, method: str, path: str, headers: Any, body: bytes, query: Any) -> Any:
        if automation_resource(headers, body) is None:
            return await self.others(method, path, headers, body, query)
        operation, request = headers["x-amz-target"].rpartition(".")[2], json.loads(body)
        if operation == "StartAutomationExecution":
            return self.start(document_name(request["DocumentName"]), request.get("Parameters", {}))
        identifier = request["AutomationExecutionId"]
        automation = self.store.get("automations", identifier)
        if automation is None:
            return refuse("AutomationExecutionNotFoundException", f"Automation execution {identifier} not found")
        if operation == "GetAutomationExecution":
            return respond({"AutomationExecution": automation})
        self.store.put("stops", identifier, {"type": request.get("Type", "Cancel")})
        return respond({})

    def start(self, name: str, parameters: dict[str, list[str]]) -> Response:
        document = self.store.get("documents", name)
        if document is None:
            return refuse("AutomationDefinitionNotFoundException", f"{name} not found")
        parsed = runbook.parse(document["content"])
        if problem := find_problem(parsed.parameters, parameters):
            return refuse("InvalidAutomationExecutionParametersException", problem)
        if denied := self.may_not_pass(parsed.assume_role):
            return denied
        identifier = str(uuid.uuid4())
        self.store.put("automations", identifier, {
            "AutomationExecutionId": identifier,
            "DocumentName": name,
            "ExecutedBy": self.evaluator.caller_arn(),
            "Parameters": parameters,
            "AutomationExecutionStatus": "Pending",
        })  # fmt: skip
        return respond({"AutomationExecutionId": identifier})

    def may_not_pass(self, role: str) -> Response | None:
        """Returns a refusal unless the caller may pass the document's role to SSM."""
        passed = {"iam:PassedToService": "ssm.amazonaws.com"}
        key = self.evaluator._verified_key.get()
        denied = self.evaluator.enforce(key, "iam:PassRole", "iam", REGION, role, passed) if key else None
        if denied is None:
            return None
        return refuse("AccessDeniedException", f"not authorized to perform: iam:PassRole on resource: {role}")


def find_problem(declared: dict[str, str], given: dict[str, list[str]]) -> str | None:
    """Returns why SSM refuses the parameters of an automation, or None."""
    if given.keys() != declared.keys():
        return f"parameters {sorted(given)} instead of {sorted(declared)}"
    for name, values in given.items():
        if any(len(value) > MAX_AUTOMATION_VALUE for value in values):
            return f"a value of {name} has more than {MAX_AUTOMATION_VALUE} characters"
        if len(values) != 1 or not re.fullmatch(declared[name], values[0]):
            return f"the value of {name} does not match {declared[name]}"
    return None
