//! What AWS's errors mean to us.

use std::time::Duration;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use crate::ports::{AlarmError, FunctionError, LedgerError};

/// Seconds to hold where a 429 does not say how long.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// An error's code and text, and whether AWS answered at all.
pub(super) struct Answer {
    pub(super) code: String,
    pub(super) message: String,
    answered: bool,
    retry_after: Duration,
}

pub(super) fn answer<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> Answer {
    let SdkError::ServiceError(service) = error else {
        return Answer {
            code: kind(error).to_owned(),
            message: String::new(),
            answered: false,
            retry_after: RETRY_AFTER,
        };
    };
    // A gateway's 502 to 504 carries no code of the service's: the request may have reached it all the same.
    let known = service.err().code().filter(|_| service.raw().status().as_u16() < 500);
    Answer {
        code: service.err().code().unwrap_or("an unknown error").to_owned(),
        message: service.err().message().unwrap_or_default().to_owned(),
        answered: known.is_some(),
        retry_after: retry_after(service.raw()),
    }
}

/// The header of a 429, in whole seconds (lambda/latest/api/API_GetFunction, TooManyRequestsException).
fn retry_after(answer: &HttpResponse) -> Duration {
    let seconds = answer.headers().get("retry-after").and_then(|text| text.parse().ok());
    seconds.map_or(RETRY_AFTER, Duration::from_secs)
}

fn kind<E>(error: &SdkError<E, HttpResponse>) -> &'static str {
    match error {
        SdkError::ConstructionFailure(_) => "the request could not be built (are there credentials and a region?)",
        SdkError::TimeoutError(_) => "the call timed out",
        SdkError::DispatchFailure(failure) if failure.is_user() => {
            "the request could not be sent (are there credentials?)"
        }
        SdkError::DispatchFailure(_) => "the connection failed (is the endpoint right?)",
        _ => "the answer could not be read",
    }
}

impl Answer {
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

    /// The codes are those of each call's page in the Lambda API reference.
    pub(super) fn into_function_error(self) -> FunctionError {
        match self.code.as_str() {
            _ if !self.answered => FunctionError::Unclear(self.text()),
            "ResourceNotFoundException" => FunctionError::NotFound(self.message),
            "ResourceConflictException" | "ResourceInUseException" => FunctionError::Busy(self.message),
            "PreconditionFailedException" => FunctionError::Changed,
            _ if self.is_throttled() => FunctionError::Throttled(self.retry_after),
            _ if self.is_denied() => FunctionError::Denied(self.text()),
            _ if self.is_internal() => FunctionError::Unclear(self.text()),
            _ => FunctionError::Rejected(self.text()),
        }
    }

    pub(super) fn into_ledger_error(self) -> LedgerError {
        match self.code.as_str() {
            "TransactionConflictException" | "TransactionInProgressException" | "ReplicatedWriteConflictException" => {
                LedgerError::Conflict
            }
            _ if !self.answered || self.is_throttled() || self.is_internal() => LedgerError::Unavailable(self.text()),
            _ => LedgerError::Unusable(self.text()),
        }
    }

    pub(super) fn into_alarm_error(self) -> AlarmError {
        if !self.answered || self.is_throttled() || self.is_internal() {
            AlarmError::Unavailable(self.text())
        } else {
            AlarmError::Unusable(self.text())
        }
    }
}

pub(super) fn function_error<E: ProvideErrorMetadata>(error: SdkError<E, HttpResponse>) -> FunctionError {
    answer(&error).into_function_error()
}

pub(super) fn ledger_error<E: ProvideErrorMetadata>(error: SdkError<E, HttpResponse>) -> LedgerError {
    answer(&error).into_ledger_error()
}

pub(super) fn alarm_error<E: ProvideErrorMetadata>(error: SdkError<E, HttpResponse>) -> AlarmError {
    answer(&error).into_alarm_error()
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

    /// What AWS answers with this status and this code.
    fn answered(status: u16, code: &str) -> Answer {
        let failure = Failure(ErrorMetadata::builder().code(code).message("why").build());
        let status = StatusCode::try_from(status).unwrap_or_else(|e| unreachable!("{e}"));
        answer(&SdkError::service_error(failure, HttpResponse::new(status, SdkBody::empty())))
    }

    /// What an error of a call about a function means.
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
                    unreachable!("that is said of no error that AWS gives")
                }
            }
        }
    }

    /// A code, its status and its meaning.
    type Row = (&'static str, u16, Means);

    /// Errors that any call can meet: code, status, meaning (lambda/latest/api/CommonErrors; of the older pages, those
    /// that still occur). Only what was never carried out lets a lease go: an aborted or timed-out request may have been.
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
        ("a code of tomorrow's", 500, Means::Unclear),
    ];

    /// The errors that the pages of the calls list that go to Lambda: lambda/latest/api/API_NAME.
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

    /// What the pages of most reads list.
    const READ: &[Row] = &[
        ("InvalidParameterValueException", 400, Means::Rejected),
        ("ResourceNotFoundException", 404, Means::NotFound),
        ("ServiceException", 500, Means::Unclear),
        ("TooManyRequestsException", 429, Means::Throttled),
    ];

    /// What the pages of PutFunctionConcurrency and DeleteFunctionConcurrency list.
    const WRITE: &[Row] = &[
        ("InvalidParameterValueException", 400, Means::Rejected),
        ("ResourceConflictException", 409, Means::Busy),
        ("ResourceNotFoundException", 404, Means::NotFound),
        ("ServiceException", 500, Means::Unclear),
        ("TooManyRequestsException", 429, Means::Throttled),
    ];

    #[test]
    fn every_error_of_lambdas_pages_has_its_meaning() {
        let common = ("any call", &COMMON[..]);
        for (call, errors) in LAMBDA.into_iter().chain([common]) {
            for (code, status, means) in errors {
                let error = answered(*status, code).into_function_error();
                assert_eq!(Means::of(&error), *means, "{call}: {code}");
                assert_eq!(error.may_have_landed(), *means == Means::Unclear, "{call}: {code} keeps the lease");
            }
        }
    }

    /// Whatever its code says: behind a gateway's 5xx, the service may have had the request.
    #[test]
    fn no_5xx_lets_a_lease_go() {
        for code in ["ResourceNotFoundException", "TooManyRequestsException", "AccessDeniedException", "Unknown"] {
            for status in [500, 502, 503, 504] {
                assert!(answered(status, code).into_function_error().may_have_landed(), "{status} {code}");
            }
        }
    }

    #[test]
    fn a_request_without_an_answer_keeps_the_lease() {
        let timeout: SdkError<Failure, HttpResponse> = SdkError::timeout_error("slow");
        assert!(function_error(timeout).may_have_landed());
        let broken: SdkError<Failure, HttpResponse> = SdkError::response_error(
            "broken",
            HttpResponse::new(StatusCode::try_from(200).unwrap_or_else(|e| unreachable!("{e}")), SdkBody::empty()),
        );
        assert!(function_error(broken).may_have_landed());
    }

    /// amazondynamodb/latest/APIReference/API_NAME of GetItem, Query, Scan, UpdateItem, PutItem and TransactWriteItems, and
    /// CommonErrors there. An unmet condition and a cancelled transaction are read before this.
    #[test]
    fn every_error_of_dynamodbs_pages_has_its_meaning() {
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
            assert_eq!(answered(400, code).into_ledger_error(), LedgerError::Conflict, "{code}");
        }
        for (code, status) in unavailable {
            let error = answered(status, code).into_ledger_error();
            assert!(matches!(error, LedgerError::Unavailable(_)), "{code}: {error:?}");
        }
        for code in unusable {
            let error = answered(400, code).into_ledger_error();
            assert!(matches!(error, LedgerError::Unusable(_)), "{code}: {error:?}");
        }
    }

    /// AmazonCloudWatch/latest/APIReference/API_DescribeAlarms and API_GetMetricData list `InvalidNextToken` alone; the
    /// rest is common to all calls.
    #[test]
    fn every_error_of_cloudwatchs_pages_has_its_meaning() {
        assert!(matches!(answered(400, "InvalidNextToken").into_alarm_error(), AlarmError::Unusable(_)));
        for (code, status, means) in COMMON {
            let unavailable = matches!(answered(status, code).into_alarm_error(), AlarmError::Unavailable(_));
            assert_eq!(unavailable, matches!(means, Means::Unclear | Means::Throttled), "{code}");
        }
    }
}
