//! Turns AWS's errors into the errors of the ports.
//!
//! A write that may have landed is `Unclear` and keeps its lease. Only an error with which AWS refuses the request is
//! anything else.

use std::time::Duration;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use crate::ports::{AlarmError, FunctionError, LedgerError};

/// The time to wait after a 429 without a `Retry-After` header.
const DEFAULT_RETRY_AFTER: Duration = Duration::from_secs(1);

/// The rights that an update of a function's configuration can need: on the function, on its layers, and on the key of its
/// environment (service-authorization/latest/reference/list_awslambda, lambda/latest/dg/configuration-envvars-encryption).
const UPDATE_ACTIONS: [&str; 6] = [
    "lambda:UpdateFunctionConfiguration",
    "lambda:GetLayerVersion",
    "kms:Decrypt",
    "kms:Encrypt",
    "kms:GenerateDataKey",
    "kms:CreateGrant",
];

/// The error of a call, without the SDK's types.
pub(super) struct CallError {
    pub(super) code: String,
    pub(super) message: String,
    /// Whether the service itself refused the request, so that it was not carried out.
    pub(super) is_refusal: bool,
    retry_after: Duration,
}

pub(super) fn call_error<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> CallError {
    let SdkError::ServiceError(service) = error else {
        return CallError {
            code: describe_failure(error).to_owned(),
            message: String::new(),
            is_refusal: false,
            retry_after: DEFAULT_RETRY_AFTER,
        };
    };
    // A gateway's 502 to 504 has no error code of the service. The request may have reached the service anyway.
    let refusal = service.err().code().filter(|_| service.raw().status().as_u16() < 500);
    CallError {
        code: service.err().code().map_or_else(|| without_code(service.raw()), str::to_owned),
        message: service.err().message().unwrap_or_default().to_owned(),
        is_refusal: refusal.is_some(),
        retry_after: retry_after(service.raw()),
    }
}

/// Describes a response that is not AWS's: a gateway's, or that of another server at the endpoint.
pub(super) fn without_code(response: &HttpResponse) -> String {
    format!("HTTP status {} without an error code of AWS (is the endpoint right?)", response.status().as_u16())
}

/// Reads the header of a 429, which is in whole seconds (lambda/latest/api/API_GetFunction, TooManyRequestsException).
fn retry_after(response: &HttpResponse) -> Duration {
    let seconds = response.headers().get("retry-after").and_then(|text| text.parse().ok());
    seconds.map_or(DEFAULT_RETRY_AFTER, Duration::from_secs)
}

fn describe_failure<E>(error: &SdkError<E, HttpResponse>) -> &'static str {
    match error {
        SdkError::ConstructionFailure(_) => "the request could not be built (are there credentials and a Region?)",
        SdkError::TimeoutError(_) => "the call timed out",
        SdkError::DispatchFailure(failure) if failure.is_user() => {
            "the request could not be sent (are there credentials?)"
        }
        SdkError::DispatchFailure(_) => "the connection failed (is the endpoint right?)",
        _ => "the response could not be read",
    }
}

impl CallError {
    fn is_throttled(&self) -> bool {
        ["Throttl", "TooManyRequests", "RequestLimitExceeded", "ProvisionedThroughputExceeded", "SlowDown"]
            .iter()
            .any(|part| self.code.contains(part))
    }

    fn is_denied(&self) -> bool {
        [
            "AccessDenied",
            "NotAuthorized",
            "UnrecognizedClient",
            "InvalidClientToken",
            "ExpiredToken",
            "InvalidSignature",
        ]
        .iter()
        .any(|part| self.code.contains(part))
    }

    fn is_internal(&self) -> bool {
        [
            "ServiceException",
            "InternalServer",
            "InternalFailure",
            "ServiceUnavailable",
            "InternalError",
            "RequestTimeout",
            "RequestAborted",
            "EC2",
        ]
        .iter()
        .any(|part| self.code.contains(part))
    }

    pub(super) fn text(&self) -> String {
        if self.message.is_empty() { self.code.clone() } else { format!("{}: {}", self.code, self.message) }
    }

    /// Replaces the message of an update that sends environment variables: a validation error quotes the invalid value.
    /// If a right is missing, its name stays.
    pub(super) fn withhold_message(&mut self) {
        if self.message.is_empty() {
            return;
        }
        const WITHHELD: &str = "AWS's message is withheld, because it can quote environment variables";
        self.message = match self.is_access_denied() {
            true => format!("the caller may not perform {} ({WITHHELD})", self.denied_action()),
            false => format!("({WITHHELD})"),
        };
    }

    fn is_access_denied(&self) -> bool {
        ["AccessDenied", "NotAuthorized"].iter().any(|part| self.code.contains(part))
    }

    /// Returns the right that an update of the configuration lacks. Only a name of this list leaves the message.
    fn denied_action(&self) -> &'static str {
        let is_named = |action: &&&str| self.message.contains(&format!("not authorized to perform: {action}"));
        UPDATE_ACTIONS.iter().find(is_named).copied().unwrap_or(UPDATE_ACTIONS[0])
    }

    /// The codes are from each call's page in the Lambda API reference.
    pub(super) fn into_function_error(self) -> FunctionError {
        match self.code.as_str() {
            _ if !self.is_refusal => FunctionError::Unclear(self.text()),
            "ResourceNotFoundException" => FunctionError::NotFound(self.message),
            "ResourceConflictException" | "ResourceInUseException" => FunctionError::Busy(self.message),
            "PreconditionFailedException" => FunctionError::Changed,
            _ if self.is_throttled() => FunctionError::Throttled(self.retry_after),
            _ if self.is_denied() => FunctionError::Denied(without_session(&self.text())),
            _ if self.is_internal() => FunctionError::Unclear(self.text()),
            _ => FunctionError::Rejected(self.text()),
        }
    }

    pub(super) fn into_ledger_error(self) -> LedgerError {
        match self.code.as_str() {
            "TransactionConflictException" | "TransactionInProgressException" | "ReplicatedWriteConflictException" => {
                LedgerError::Conflict
            }
            _ if !self.is_refusal || self.is_throttled() || self.is_internal() => LedgerError::Unavailable(self.text()),
            _ => LedgerError::Unusable(self.text()),
        }
    }

    pub(super) fn into_alarm_error(self) -> AlarmError {
        if !self.is_refusal || self.is_throttled() || self.is_internal() {
            AlarmError::Unavailable(self.text())
        } else {
            AlarmError::Unusable(self.text())
        }
    }
}

/// Removes the session from the caller's ARN (IAM/latest/UserGuide/reference_identifiers). The functions that restore share
/// a role, and each has its own session: with it, one cause would have several texts, and an event for each.
fn without_session(text: &str) -> String {
    const ASSUMED_ROLE: &str = ":assumed-role/";
    let session = text.find(ASSUMED_ROLE).map(|at| at + ASSUMED_ROLE.len()).and_then(|role| {
        let begin = role + text[role..].find('/')?;
        let end = text[begin..].find(char::is_whitespace).map_or(text.len(), |length| begin + length);
        Some((begin, end))
    });
    match session {
        Some((begin, end)) => format!("{}{}", &text[..begin], &text[end..]),
        None => text.to_owned(),
    }
}

pub(super) fn function_error<E: ProvideErrorMetadata>(error: SdkError<E, HttpResponse>) -> FunctionError {
    call_error(&error).into_function_error()
}

pub(super) fn ledger_error<E: ProvideErrorMetadata>(error: SdkError<E, HttpResponse>) -> LedgerError {
    call_error(&error).into_ledger_error()
}

pub(super) fn alarm_error<E: ProvideErrorMetadata>(error: SdkError<E, HttpResponse>) -> AlarmError {
    call_error(&error).into_alarm_error()
}

#[cfg(test)]
mod tests {
    use aws_smithy_runtime_api::http::StatusCode;
    use aws_smithy_types::body::SdkBody;
    use aws_smithy_types::error::ErrorMetadata;

    use super::*;

    #[derive(Debug)]
    struct Failure(ErrorMetadata);

    impl ProvideErrorMetadata for Failure {
        fn meta(&self) -> &ErrorMetadata {
            &self.0
        }
    }

    /// Returns the error for a response with this status and this code.
    fn response(status: u16, code: &str) -> CallError {
        let failure = Failure(ErrorMetadata::builder().code(code).message("why").build());
        let status = StatusCode::try_from(status).unwrap_or_else(|e| unreachable!("{e}"));
        call_error(&SdkError::service_error(failure, HttpResponse::new(status, SdkBody::empty())))
    }

    /// The meaning of an error of a call about a function.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Means {
        NotFound,
        Busy,
        Changed,
        Throttled,
        Denied,
        Rejected,
        Unclear,
    }

    impl Means {
        fn of(error: &FunctionError) -> Self {
            match error {
                FunctionError::NotFound(_) => Self::NotFound,
                FunctionError::Busy(_) => Self::Busy,
                FunctionError::Changed => Self::Changed,
                FunctionError::Throttled(_) => Self::Throttled,
                FunctionError::Denied(_) => Self::Denied,
                FunctionError::Rejected(_) => Self::Rejected,
                FunctionError::Unclear(_) => Self::Unclear,
                FunctionError::Unreadable(_) | FunctionError::OtherRegion { .. } => {
                    unreachable!("no response of AWS becomes this error")
                }
            }
        }
    }

    /// A code, its status and its meaning.
    type Row = (&'static str, u16, Means);

    /// The errors of any call (lambda/latest/api/CommonErrors, and of its older versions those that still occur). An
    /// aborted or timed-out request may have been carried out, so it is unclear.
    const COMMON: [Row; 21] = [
        ("AccessDeniedException", 403, Means::Denied),
        ("ExpiredTokenException", 403, Means::Denied),
        ("IncompleteSignature", 403, Means::Rejected),
        ("InternalFailure", 500, Means::Unclear),
        ("InvalidClientTokenId", 403, Means::Denied),
        ("InvalidSignatureException", 403, Means::Denied),
        ("MalformedHttpRequestException", 400, Means::Rejected),
        ("MissingAuthenticationToken", 403, Means::Rejected),
        ("NotAuthorized", 401, Means::Denied),
        ("OptInRequired", 403, Means::Rejected),
        ("RequestAbortedException", 400, Means::Unclear),
        ("RequestEntityTooLargeException", 413, Means::Rejected),
        ("RequestExpired", 400, Means::Rejected),
        ("RequestTimeoutException", 408, Means::Unclear),
        ("ServiceUnavailable", 503, Means::Unclear),
        ("ThrottlingException", 400, Means::Throttled),
        ("TooManyRequestsException", 429, Means::Throttled),
        ("UnknownOperationException", 404, Means::Rejected),
        ("UnrecognizedClientException", 403, Means::Denied),
        ("ValidationError", 400, Means::Rejected),
        ("ACodeOfTomorrow", 500, Means::Unclear),
    ];

    /// The errors on the page of each call to Lambda: lambda/latest/api/API_NAME.
    const LAMBDA: [(&str, &[Row]); 14] = [
        ("GetFunction", READ),
        ("PutFunctionConcurrency", WRITE),
        ("DeleteFunctionConcurrency", WRITE),
        (
            "UpdateFunctionConfiguration",
            &[
                ("CodeSigningConfigNotFoundException", 404, Means::Rejected),
                ("CodeVerificationFailedException", 400, Means::Rejected),
                ("InvalidCodeSignatureException", 400, Means::Rejected),
                ("InvalidParameterValueException", 400, Means::Rejected),
                ("PreconditionFailedException", 412, Means::Changed),
                ("ResourceConflictException", 409, Means::Busy),
                ("ResourceNotFoundException", 404, Means::NotFound),
                ("ServiceException", 500, Means::Unclear),
                ("TooManyRequestsException", 429, Means::Throttled),
            ],
        ),
        (
            "UpdateEventSourceMapping",
            &[
                ("InvalidParameterValueException", 400, Means::Rejected),
                ("ResourceConflictException", 409, Means::Busy),
                ("ResourceInUseException", 400, Means::Busy),
                ("ResourceNotFoundException", 404, Means::NotFound),
                ("ServiceException", 500, Means::Unclear),
                ("TooManyRequestsException", 429, Means::Throttled),
            ],
        ),
        ("GetEventSourceMapping", READ),
        ("ListEventSourceMappings", READ),
        ("ListAliases", READ),
        ("ListVersionsByFunction", READ),
        ("GetLayerVersionByArn", READ),
        (
            "GetFunctionCodeSigningConfig",
            &[
                ("CodeSigningConfigNotFoundException", 404, Means::Rejected),
                ("InvalidParameterValueException", 400, Means::Rejected),
                ("ResourceNotFoundException", 404, Means::NotFound),
                ("ServiceException", 500, Means::Unclear),
                ("TooManyRequestsException", 429, Means::Throttled),
            ],
        ),
        (
            "GetCodeSigningConfig",
            &[
                ("InvalidParameterValueException", 400, Means::Rejected),
                ("ResourceNotFoundException", 404, Means::NotFound),
                ("ServiceException", 500, Means::Unclear),
            ],
        ),
        ("ListTags", READ),
        (
            "GetAccountSettings",
            &[("ServiceException", 500, Means::Unclear), ("TooManyRequestsException", 429, Means::Throttled)],
        ),
    ];

    /// The errors on the pages of most reads.
    const READ: &[Row] = &[
        ("InvalidParameterValueException", 400, Means::Rejected),
        ("ResourceNotFoundException", 404, Means::NotFound),
        ("ServiceException", 500, Means::Unclear),
        ("TooManyRequestsException", 429, Means::Throttled),
    ];

    /// The errors on the pages of PutFunctionConcurrency and DeleteFunctionConcurrency.
    const WRITE: &[Row] = &[
        ("InvalidParameterValueException", 400, Means::Rejected),
        ("ResourceConflictException", 409, Means::Busy),
        ("ResourceNotFoundException", 404, Means::NotFound),
        ("ServiceException", 500, Means::Unclear),
        ("TooManyRequestsException", 429, Means::Throttled),
    ];

    #[test]
    fn every_documented_lambda_error_has_its_meaning() {
        let common = ("any call", &COMMON[..]);
        for (call, errors) in LAMBDA.into_iter().chain([common]) {
            for (code, status, means) in errors {
                let error = response(*status, code).into_function_error();
                assert_eq!(Means::of(&error), *means, "{call}: {code}");
                assert_eq!(error.may_have_landed(), *means == Means::Unclear, "{call}: {code} keeps the lease");
            }
        }
    }

    #[test]
    fn a_denied_update_of_variables_names_only_the_right() {
        let denied = |code: &str, message: &str| {
            let mut error = response(403, code);
            message.clone_into(&mut error.message);
            error.withhold_message();
            error.into_function_error().to_string()
        };
        let withheld = "(AWS's message is withheld, because it can quote environment variables)";
        for (message, action) in [
            ("User: u is not authorized to perform: lambda:GetLayerVersion on resource: r", "lambda:GetLayerVersion"),
            ("User: u is not authorized to perform: lambda:UpdateFunctionConfiguration on s3cret", UPDATE_ACTIONS[0]),
            ("s3cret", "lambda:UpdateFunctionConfiguration"),
        ] {
            let expected =
                format!("access denied: AccessDeniedException: the caller may not perform {action} {withheld}");
            assert_eq!(denied("AccessDeniedException", message), expected);
        }
        assert_eq!(
            denied("InvalidParameterValueException", "s3cret is too long"),
            format!("refused by AWS: InvalidParameterValueException: {withheld}")
        );
        assert_eq!(denied("ExpiredTokenException", "x"), format!("access denied: ExpiredTokenException: {withheld}"));
    }

    #[test]
    fn a_refused_restore_has_one_text_for_every_function_of_a_role() {
        let text = |session: &str| {
            let mut error = response(403, "AccessDeniedException");
            error.message =
                format!("User: arn:aws:sts::1:assumed-role/Undo{session} is not authorized to perform: l:A on f");
            error.into_function_error().to_string()
        };
        let expected = "access denied: AccessDeniedException: User: arn:aws:sts::1:assumed-role/Undo is not authorized to \
                        perform: l:A on f";
        assert_eq!((text("/snapback-reaper").as_str(), text("/snapback-restore").as_str()), (expected, expected));
        assert_eq!(without_session("arn:aws:sts::1:assumed-role/Undo/x"), "arn:aws:sts::1:assumed-role/Undo");
        assert_eq!(without_session("User: arn:aws:iam::1:user/ana is"), "User: arn:aws:iam::1:user/ana is");
    }

    /// Regardless of the code: after a gateway's 5xx, the service may have received the request.
    #[test]
    fn a_5xx_never_shortens_a_lease() {
        for code in ["ResourceNotFoundException", "TooManyRequestsException", "AccessDeniedException", "Unknown"] {
            for status in [500, 502, 503, 504] {
                assert!(response(status, code).into_function_error().may_have_landed(), "{status} {code}");
            }
        }
    }

    #[test]
    fn a_response_that_is_not_of_aws_is_described_by_its_status() {
        for status in [302, 404, 500, 502] {
            let failure = Failure(ErrorMetadata::builder().build());
            let raw = StatusCode::try_from(status).map(|status| HttpResponse::new(status, SdkBody::from("<html>")));
            let raw = raw.unwrap_or_else(|e| unreachable!("{e}"));
            let error = ledger_error(SdkError::service_error(failure, raw)).to_string();
            let why = format!("HTTP status {status} without an error code of AWS (is the endpoint right?)");
            assert_eq!(error, format!("the ledger is unavailable: {why}"));
        }
    }

    #[test]
    fn a_request_without_a_response_keeps_its_lease() {
        let timeout: SdkError<Failure, HttpResponse> = SdkError::timeout_error("slow");
        assert!(function_error(timeout).may_have_landed());
        let broken: SdkError<Failure, HttpResponse> = SdkError::response_error(
            "broken",
            HttpResponse::new(StatusCode::try_from(200).unwrap_or_else(|e| unreachable!("{e}")), SdkBody::empty()),
        );
        assert!(function_error(broken).may_have_landed());
    }

    /// The errors are from amazondynamodb/latest/APIReference: API_GetItem, API_Query, API_Scan, API_UpdateItem,
    /// API_PutItem, API_TransactWriteItems and CommonErrors. A failed condition and a canceled transaction are handled
    /// before.
    #[test]
    fn every_documented_dynamodb_error_has_its_meaning() {
        let conflict =
            ["TransactionConflictException", "TransactionInProgressException", "ReplicatedWriteConflictException"];
        let unavailable = [
            ("InternalServerError", 500),
            ("ProvisionedThroughputExceededException", 400),
            ("RequestLimitExceeded", 400),
            ("ThrottlingException", 400),
            ("ServiceUnavailable", 503),
            ("InternalFailure", 500),
            ("RequestTimeoutException", 408),
            ("RequestAbortedException", 400),
        ];
        let unusable = [
            "ResourceNotFoundException",
            "ItemCollectionSizeLimitExceededException",
            "IdempotentParameterMismatchException",
            "InvalidEndpointException",
            "ValidationException",
            "AccessDeniedException",
            "UnrecognizedClientException",
            "ExpiredTokenException",
            "MissingAuthenticationToken",
        ];
        for code in conflict {
            assert_eq!(response(400, code).into_ledger_error(), LedgerError::Conflict, "{code}");
        }
        for (code, status) in unavailable {
            let error = response(status, code).into_ledger_error();
            assert!(matches!(error, LedgerError::Unavailable(_)), "{code}: {error:?}");
        }
        for code in unusable {
            let error = response(400, code).into_ledger_error();
            assert!(matches!(error, LedgerError::Unusable(_)), "{code}: {error:?}");
        }
    }

    /// AmazonCloudWatch/latest/APIReference/API_DescribeAlarms and API_GetMetricData list only `InvalidNextToken`. The
    /// others are common to all calls.
    #[test]
    fn every_documented_cloudwatch_error_has_its_meaning() {
        assert!(matches!(response(400, "InvalidNextToken").into_alarm_error(), AlarmError::Unusable(_)));
        for (code, status, means) in COMMON {
            let unavailable = matches!(response(status, code).into_alarm_error(), AlarmError::Unavailable(_));
            assert_eq!(unavailable, matches!(means, Means::Unclear | Means::Throttled), "{code}");
        }
    }
}
