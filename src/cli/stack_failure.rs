//! Why the stack cannot be reached: one message for each cause, with the place in which it was looked for.

use std::ffi::OsString;
use std::time::Duration;

use crate::aws::{SdkConfig, StackError, caller};
use crate::model::text::shorten;
use crate::steps::error::StepErrorKind;

use super::Failure;
use super::arguments::Arguments;
use super::exit::Exit;

/// How long an error waits to learn the account.
const ACCOUNT_TIMEOUT: Duration = Duration::from_secs(2);

/// Checks the form of a Region's name, such as `eu-west-1` or `us-gov-east-1`: with any other text, a host is looked for that
/// does not exist.
pub(super) fn check_region(region: &str) -> Result<(), String> {
    let parts: Vec<&str> = region.split('-').collect();
    let is_word = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase());
    let is_number = |part: &str| matches!(part.len(), 1 | 2) && part.bytes().all(|byte| byte.is_ascii_digit());
    match parts.split_last() {
        Some((number, words)) if words.len() >= 2 && words.iter().all(is_word) && is_number(number) => Ok(()),
        _ => Err(format!(
            "`{}` is not an AWS Region; write one such as eu-west-1, as --region or AWS_REGION",
            shorten(region)
        )),
    }
}

/// Checks the endpoints that the environment names (sdkref/latest/guide/feature-ss-endpoints). AWS's library ignores one that
/// it cannot read, so a command that was meant for a laboratory would reach an account.
pub(super) fn check_endpoints(variables: impl Iterator<Item = (OsString, OsString)>) -> Result<(), String> {
    for (name, url) in variables {
        let (Some(name), url) = (name.to_str(), url.to_string_lossy()) else { continue };
        if name.starts_with("AWS_ENDPOINT_URL") && !url.is_empty() && !is_url(&url) {
            return Err(format!(
                "{name} is `{}`, which is not a URL; write one such as http://127.0.0.1:4566, or unset it to reach AWS",
                shorten(without_credentials(&url))
            ));
        }
    }
    Ok(())
}

fn is_url(text: &str) -> bool {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let has_host = host.is_some_and(|host| !host.is_empty() && !host.starts_with(['/', ':', '?', '#']));
    has_host && !text.contains(char::is_whitespace)
}

/// A URL without a name and a password before its host.
fn without_credentials(url: &str) -> &str {
    url.rsplit_once('@').map_or(url, |(_, host)| host)
}

/// Explains why the stack cannot be read.
pub(super) async fn unreadable(arguments: &Arguments, config: &SdkConfig, error: StackError) -> Failure {
    let name = &arguments.stack;
    let place = place(config, None);
    let unreadable =
        |error: &str, why: String| Failure::new(error, format!("the stack {name} in {place} cannot be read: {why}"));
    match error {
        StackError::NotFound => {
            let found = tokio::time::timeout(ACCOUNT_TIMEOUT, caller(config)).await;
            let account = found.ok().and_then(Result::ok).map(|(_, account)| account);
            let place = self::place(config, account.as_deref());
            let fix = "name yours with --stack and its Region with --region, or deploy it: make deploy";
            Failure::new("StackNotFound", format!("there is no stack {name} in {place}; {fix}"))
        }
        StackError::Denied(why) => {
            let fix = "your credentials need cloudformation:DescribeStacks on it";
            unreadable("AccessDenied", format!("access denied: {why}; {fix}"))
        }
        StackError::InvalidCredentials(why) => {
            let fix = "log in again, or name another profile with --profile";
            Failure {
                exit: Exit::Invalid,
                ..unreadable("InvalidCredentials", format!("AWS does not accept the credentials: {why}; {fix}"))
            }
        }
        StackError::Refused(why) => unreadable("StackNotFound", format!("{why}; remove the cause, and try again")),
        StackError::NoCredentials => Failure::new("NoCredentials", no_credentials(arguments)),
        StackError::NoResponse(why) => {
            let fix = match config.endpoint_url() {
                Some(_) => "start what should listen at this endpoint, or correct AWS_ENDPOINT_URL",
                None => "check the network, and that the Region exists",
            };
            unreadable("Unavailable", format!("{why}; {fix}"))
        }
    }
}

/// Adds where the ledger was looked for to a failure of it: the table that was named, and the endpoint of the environment.
pub(super) fn with_place(failure: Failure, table: Option<&str>) -> Failure {
    let set = |name: &&str| std::env::var(*name).is_ok_and(|url| !url.is_empty());
    let endpoint = ["AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL"].into_iter().find(set);
    let endpoint = endpoint.and_then(|name| Some((name, std::env::var(name).ok()?)));
    placed(failure, table, endpoint.as_ref().map(|(name, url)| (*name, url.as_str())))
}

fn placed(failure: Failure, table: Option<&str>, endpoint: Option<(&str, &str)>) -> Failure {
    let is = |kind: StepErrorKind| failure.error == kind.name() && failure.cause.starts_with("the ledger ");
    let place = match (table, endpoint) {
        (Some(table), _) if is(StepErrorKind::LedgerUnusable) => {
            format!("the table is `{}`; correct --table, or name its Region with --region", shorten(table))
        }
        (_, Some((name, url))) if is(StepErrorKind::Unavailable) => {
            format!("{name} is {}; correct it, or start what should listen there", shorten(without_credentials(url)))
        }
        _ => return failure,
    };
    Failure { cause: format!("{}; {place}", failure.cause), ..failure }
}

fn no_credentials(arguments: &Arguments) -> String {
    match &arguments.profile {
        Some(profile) => format!(
            "the AWS profile `{profile}` has no usable credentials; see: aws sts get-caller-identity --profile {profile}"
        ),
        None => "no AWS credentials were found; name a profile with --profile, or log in".to_owned(),
    }
}

/// Region, account and endpoint, as far as each is known.
fn place(config: &SdkConfig, account: Option<&str>) -> String {
    let region = config.region().map(ToString::to_string).unwrap_or_default();
    let account = account.map(|account| format!(" of account {account}")).unwrap_or_default();
    let endpoint = config.endpoint_url().map(|url| format!(" (endpoint {})", shorten(without_credentials(url))));
    format!("Region {region}{account}{}", endpoint.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_has_the_form_of_one() {
        for region in
            ["eu-west-1", "us-gov-east-1", "ap-southeast-7", "us-isob-east-1", "eusc-de-east-1", "me-central-12"]
        {
            assert_eq!(check_region(region), Ok(()), "{region}");
        }
        for region in ["mars", "", "eu-west", "eu-west-", "EU-WEST-1", "eu_west_1", "eu-west-1a", "eu-west-1 "] {
            assert!(check_region(region).is_err(), "{region}");
        }
    }

    #[test]
    fn a_failure_of_the_ledger_names_the_table_or_the_endpoint() {
        let endpoint = Some(("AWS_ENDPOINT_URL", "http://ana:hunter2@127.0.0.1:1"));
        let cause = |error: &str, cause: &str| placed(Failure::new(error, cause), Some("nope"), endpoint).cause;
        assert_eq!(
            cause("LedgerUnusable", "the ledger cannot be used: x"),
            "the ledger cannot be used: x; the table is `nope`; correct --table, or name its Region with --region"
        );
        assert_eq!(
            cause("Unavailable", "the ledger is unavailable: x"),
            "the ledger is unavailable: x; AWS_ENDPOINT_URL is 127.0.0.1:1; correct it, or start what should listen there"
        );
        for (error, text) in [("Unavailable", "the stack cannot be read"), ("Refused", "the ledger is full")] {
            assert_eq!(cause(error, text), text);
        }
    }

    #[test]
    fn an_endpoint_is_a_url_and_its_password_is_not_shown() {
        let check = |url: &str| check_endpoints([("AWS_ENDPOINT_URL_SFN".into(), url.into())].into_iter());
        for url in ["http://127.0.0.1:4566", "https://vpce-1.lambda.eu-west-1.vpce.amazonaws.com/", ""] {
            assert_eq!(check(url), Ok(()), "{url}");
        }
        for url in ["nonsense", "http://", "localhost:4566", "ftp://x", "http://:4566", "http://a b"] {
            assert!(check(url).is_err_and(|wrong| wrong.starts_with("AWS_ENDPOINT_URL_SFN is `")), "{url}");
        }
        assert!(check("ftp://ana:hunter2@x").is_err_and(|wrong| !wrong.contains("hunter2")));
    }
}
