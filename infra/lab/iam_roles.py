"""Makes the emulator's services act under the roles and permissions that an account gives them.

ministack evaluates the requests that reach it. What its services do for an account, they do without asking: a state machine
invokes functions, a schedule starts executions, a rule invokes functions, a function writes its log. Here each of these asks
first, with ministack's own evaluation of the policies. The functions that are replaced must take the parameters that this
file expects; otherwise the emulator does not start.
"""

from __future__ import annotations

import contextlib
import contextvars
import logging
from typing import Any, Callable, Iterator

from taking import taking

LOG = logging.getLogger("lab")
# The role of the execution whose task runs.
EXECUTION_ROLE: contextvars.ContextVar[str] = contextvars.ContextVar("execution_role", default="")


class Denied(Exception):
    """A role may not do what a service would do with it."""


class Roles:
    """Asks ministack's `evaluator` for the rights of a role."""

    def __init__(self, evaluator: Any, region: Callable[[], str]) -> None:
        self.evaluator = evaluator
        self.region = region

    def ask(self, role: str, session: str, action: str, resource: str) -> None:
        """Raises Denied unless the role allows the action; the text is that of AWS."""
        account, name = role.split(":")[4], role.rsplit("/", 1)[-1]
        principal = f"arn:aws:sts::{account}:assumed-role/{name}/{session}"
        context = self.context(principal, "AssumedRole", account, action, resource)
        if self.evaluator.evaluate(context, self.evaluator._gather_role_policies(name, account)).decision != "Allow":
            raise Denied(
                f"User: {principal} is not authorized to perform: {action} on resource: {resource} "
                f"because no identity-based policy allows the {action} action"
            )

    def ask_function(self, service: str, policy: Any, function: str, source: str) -> None:
        """Raises Denied unless the function's own policy lets the service invoke it for `source`."""
        account = function.split(":")[4]
        action = "lambda:InvokeFunction"
        context = self.context(service, "Service", account, action, function)
        context.service_context = {"aws:sourcearn": source, "aws:sourceaccount": account}
        if self.evaluator.evaluate_resource_policy(policy, context, service=service).decision != "Allow":
            raise Denied(f"{service} is not authorized to perform: {action} on resource: {function} for {source}")

    def context(self, principal: str, kind: str, account: str, action: str, resource: str) -> Any:
        return self.evaluator.EvalContext(
            principal_arn=principal,
            principal_type=kind,
            principal_account=account,
            action=action,
            resource_arn=resource,
            region=self.region(),
            secure_transport=True,
        )


def install(roles: Roles, stepfunctions: Any, eventbridge: Any, lambda_svc: Any) -> None:
    run_executions_under_their_role(roles, stepfunctions, lambda_svc)
    deliver_with_permission(roles, eventbridge, lambda_svc)
    write_logs_under_the_role(roles, lambda_svc)


def run_executions_under_their_role(roles: Roles, stepfunctions: Any, lambda_svc: Any) -> None:
    """Invocations ask for lambda:InvokeFunction, and a Distributed Map for states:StartExecution."""
    execute = taking(stepfunctions._execute_task, "state_def", "raw_input", "execution", "ctx")
    call = taking(stepfunctions._call_lambda, "func_ref", "event")
    run_map = taking(
        stepfunctions._run_distributed_map, "state_def", "raw_input", "effective", "iterator", "execution", "ctx"
    )

    def machine_of(execution: dict[str, Any]) -> Any:
        # A batch is an execution of the machine's name, a slash and a label.
        return stepfunctions._state_machines[execution["stateMachineArn"].partition("/")[0]]

    def execute_task(state_def: Any, raw_input: Any, execution: Any, ctx: Any) -> Any:
        with under(machine_of(execution)["roleArn"]):
            return execute(state_def, raw_input, execution, ctx)

    def call_lambda(func_ref: str, event: Any) -> Any:
        function = func_ref if func_ref.startswith("arn:") else lambda_svc._func_arn(func_ref)
        try:
            roles.ask(EXECUTION_ROLE.get(), "execution", "lambda:InvokeFunction", function)
        except Denied as denied:
            # The error's name and text are those of an optimized integration in AWS (inferred from reports by its users).
            cause = f"{denied} (Service: AWSLambda; Status Code: 403; Error Code: AccessDeniedException)"
            raise stepfunctions._ExecutionError("Lambda.AWSLambdaException", cause) from None
        return call(func_ref, event)

    def run_distributed_map(
        state_def: Any, raw_input: Any, effective: Any, iterator: Any, execution: Any, ctx: Any
    ) -> Any:
        machine = machine_of(execution)
        try:
            roles.ask(machine["roleArn"], "execution", "states:StartExecution", machine["stateMachineArn"])
        except Denied as denied:
            raise stepfunctions._ExecutionError("States.Permissions", str(denied)) from None
        return run_map(state_def, raw_input, effective, iterator, execution, ctx)

    stepfunctions._execute_task = execute_task
    stepfunctions._call_lambda = call_lambda
    stepfunctions._run_distributed_map = run_distributed_map


def deliver_with_permission(roles: Roles, eventbridge: Any, lambda_svc: Any) -> None:
    """A rule needs the function's permission, and a schedule its target's role. What is denied is not delivered."""
    invoke = taking(eventbridge._invoke_target, "target", "event", "rule", "view")

    def invoke_target(target: dict[str, Any], event: Any, rule: dict[str, Any], view: Any = None) -> None:
        arn = target.get("Arn", "")
        service = arn.split(":")[2]
        try:
            if service == "lambda":
                function, _, _ = lambda_svc._get_func_record_for_ref(arn)
                policy = (function or {}).get("policy")
                roles.ask_function("events.amazonaws.com", policy, arn, rule.get("Arn", ""))
            elif service == "states":
                roles.ask(target.get("RoleArn", ""), "scheduler", "states:StartExecution", arn)
        except Denied as denied:
            LOG.warning("not delivered: %s", denied)
            return
        invoke(target, event, rule, view)

    eventbridge._invoke_target = invoke_target


def write_logs_under_the_role(roles: Roles, lambda_svc: Any) -> None:
    """A function whose role may not write to its log group has no log, and runs on."""
    emit = taking(
        lambda_svc._emit_lambda_logs, "func", "request_id", "log_text", "error", "duration_ms", "log_source"
    )

    def emit_lambda_logs(func: dict[str, Any], *arguments: Any, **options: Any) -> None:
        config = func.get("config") or func
        group = (config.get("LoggingConfig") or {}).get("LogGroup") or f"/aws/lambda/{config['FunctionName']}"
        _, _, _, region, account, _ = config["FunctionArn"].split(":", 5)
        stream = f"arn:aws:logs:{region}:{account}:log-group:{group}:log-stream:lab"
        try:
            for action in ("logs:CreateLogStream", "logs:PutLogEvents"):
                roles.ask(config["Role"], config["FunctionName"], action, stream)
        except Denied as denied:
            LOG.warning("not logged: %s", denied)
            return
        emit(func, *arguments, **options)

    lambda_svc._emit_lambda_logs = emit_lambda_logs


@contextlib.contextmanager
def under(role: str) -> Iterator[None]:
    token = EXECUTION_ROLE.set(role)
    try:
        yield
    finally:
        EXECUTION_ROLE.reset(token)
