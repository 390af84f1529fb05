//! What AWS's errors mean to us.

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use crate::ports::{AlarmError, FunctionError, LedgerError};

/// Seconds to hold where a 429 does not say how long.
const RETRY_AFTER: u64 = 1;

/// An error's code and text, and whether AWS answered at all.
pub(super) struct Answer {
    pub(super) code: String,
    pub(super) message: String,
    answered: bool,
    retry_after: u64,
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
fn retry_after(answer: &HttpResponse) -> u64 {
    answer.headers().get("retry-after").and_then(|text| text.parse().ok()).unwrap_or(RETRY_AFTER)
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
            "TransactionConflictException" | "TransactionInProgressException" => LedgerError::Conflict,
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
