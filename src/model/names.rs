//! Names and ARNs, checked when they are read. The patterns are those of the Lambda API reference
//! (lambda/latest/api/API_GetFunction, API_PublishLayerVersion, API_Environment). Lengths are in characters, as AWS's
//! API references count them (a length constraint on a string counts Unicode code points:
//! smithy.io/2.0/spec/constraint-traits); where only ASCII is allowed, a byte is one.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::text::{is_control, is_qualifier, shorten, shorten_name};

/// Declares a string newtype. Its `parse` function returns what is wrong and what to write instead.
macro_rules! text_type {
    ($(#[$doc:meta])* $name:ident, $parse:path) => {
        text_type!($(#[$doc])* $name, $parse, shorten);
    };
    ($(#[$doc:meta])* $name:ident, $parse:path, $show:path) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The text as it was written.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = String;

            fn try_from(text: String) -> Result<Self, String> {
                $parse(&text).map_err(|wrong| format!("`{}` {wrong}", $show(&text)))?;
                Ok(Self(text))
            }
        }

        impl TryFrom<&str> for $name {
            type Error = String;

            fn try_from(text: &str) -> Result<Self, String> {
                Self::try_from(text.to_owned())
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

pub(super) use text_type;

text_type!(
    /// A target as a user names it: function name, `name:qualifier`, partial or full ARN, qualified or not.
    FunctionName,
    check_function_name
);
text_type!(
    /// The unqualified ARN of a function, as `GetFunction` gives it; the identity of a target.
    FunctionArn,
    check_function_arn
);
text_type!(
    /// The ARN of one layer version.
    LayerVersionArn,
    check_layer_version
);
text_type!(
    /// A CloudWatch alarm, metric or composite, by name or ARN.
    AlarmName,
    check_alarm
);
text_type!(
    /// The name of an environment variable that Lambda lets a function have.
    VariableName,
    check_variable,
    shorten_name
);
text_type!(
    /// Why a user moved the safety lever, or started or ended a run: one line.
    LeverReason,
    check_lever_reason
);
text_type!(
    /// A function's handler.
    Handler,
    check_handler
);
text_type!(
    /// The name of an experiment.
    ExperimentName,
    check_experiment_name
);
text_type!(
    /// A run: the name of its Step Functions execution.
    RunId,
    check_run_id
);
text_type!(
    /// The identifier of an event source mapping.
    MappingId,
    check_mapping
);
text_type!(
    /// The path of an executable that wraps the runtime, as `AWS_LAMBDA_EXEC_WRAPPER` takes it.
    WrapperPath,
    check_wrapper
);

impl FunctionName {
    /// The qualifier (a version, an alias or `$LATEST`), where there is one.
    #[must_use]
    pub fn qualifier(&self) -> Option<&str> {
        split_qualifier(&self.0).1
    }

    /// The name or ARN without its qualifier.
    #[must_use]
    pub fn unqualified(&self) -> &str {
        split_qualifier(&self.0).0
    }
}

impl FunctionArn {
    /// The account that the function belongs to.
    #[must_use]
    pub fn account(&self) -> &str {
        self.0.split(':').nth(4).unwrap_or_default()
    }

    /// The function's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.rsplit(':').next().unwrap_or(&self.0)
    }

    /// The unqualified ARN out of one that may carry a qualifier.
    ///
    /// # Errors
    /// When the text is not a function ARN.
    pub fn unqualified(text: &str) -> Result<Self, String> {
        Self::try_from(split_qualifier(text).0)
    }
}

/// The type of resource of Lambda's own layers.
const AWS_LAYER: &str = "awslayer";

impl LayerVersionArn {
    /// The layer without its version. Lambda refuses two versions of one layer on a function.
    #[must_use]
    pub fn layer(&self) -> &str {
        if self.is_lambdas_own() {
            return &self.0;
        }
        self.0.rsplit_once(':').map_or(&*self.0, |(layer, _)| layer)
    }

    /// Whether it is one of Lambda's own layers, which AWS's API does not describe.
    #[must_use]
    pub fn is_lambdas_own(&self) -> bool {
        self.0.split(':').nth(5) == Some(AWS_LAYER)
    }
}

impl AlarmName {
    /// The alarm's name, also where the ARN was given: `DescribeAlarms` takes names only.
    #[must_use]
    pub fn name(&self) -> &str {
        name_in_alarm_arn(&self.0).unwrap_or(&self.0)
    }

    /// Whether the full ARN was given. A name may begin with `arn:`, too: it is one where no ARN can be read.
    #[must_use]
    pub fn is_arn(&self) -> bool {
        name_in_alarm_arn(&self.0).is_some()
    }
}

/// `name:qualifier`, `arn:...:function:name:qualifier` and `account:function:name:qualifier` all carry the qualifier
/// one field after the name.
fn split_qualifier(text: &str) -> (&str, Option<&str>) {
    let name_at = text.rfind("function:").map_or(0, |at| at + "function:".len());
    match text[name_at..].find(':') {
        Some(colon) => (&text[..name_at + colon], Some(&text[name_at + colon + 1..])),
        None => (text, None),
    }
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())
}

fn check_function_name(text: &str) -> Result<(), String> {
    let (base, qualifier) = split_qualifier(text);
    let parts: Vec<&str> = base.split(':').collect();
    let named = match parts.as_slice() {
        [name] => is_word(name) && name.len() <= 64,
        [account, "function", name] => is_account(account) && is_word(name) && name.len() <= 64,
        _ => check_function_arn(base).is_ok(),
    };
    let qualified = qualifier.is_none_or(is_qualifier);
    if named && qualified {
        return Ok(());
    }
    Err("is not a function; write its name (up to 64 letters, digits, - and _) or its ARN, with :qualifier where it matters".into())
}

fn check_function_arn(text: &str) -> Result<(), String> {
    let parts: Vec<&str> = text.split(':').collect();
    match parts.as_slice() {
        ["arn", partition, "lambda", region, account, "function", name]
            if partition.starts_with("aws")
                && is_word(region)
                && is_account(account)
                && is_word(name)
                && name.len() <= 64 =>
        {
            Ok(())
        }
        _ => Err("is not a function ARN; write arn:aws:lambda:REGION:ACCOUNT:function:NAME".into()),
    }
}

fn check_layer_version(text: &str) -> Result<(), String> {
    let parts: Vec<&str> = text.split(':').collect();
    match parts.as_slice() {
        ["arn", partition, "lambda", region, account, "layer", name, version]
            if partition.starts_with("aws")
                && is_word(region)
                && is_account(account)
                && is_word(name)
                && version.parse::<u32>().is_ok_and(|v| v > 0) =>
        {
            Ok(())
        }
        // Lambda's own layer of 2019, which some functions still show (aws/aws-sam-cli, release 0.16.1). It has neither
        // Region, account nor version.
        ["arn", partition, "lambda", "", "", AWS_LAYER, name] if partition.starts_with("aws") && is_word(name) => {
            Ok(())
        }
        _ => Err("is not a layer version ARN; write arn:aws:lambda:REGION:ACCOUNT:layer:NAME:VERSION".into()),
    }
}

/// The name in an alarm's ARN (AmazonCloudWatch/latest/monitoring/iam-access-control-overview-cw); `None` where the
/// text is not one. A name may contain colons.
fn name_in_alarm_arn(text: &str) -> Option<&str> {
    let parts: Vec<&str> = text.splitn(7, ':').collect();
    match parts.as_slice() {
        ["arn", partition, "cloudwatch", region, account, "alarm", name]
            if partition.starts_with("aws") && is_word(region) && is_account(account) && !name.is_empty() =>
        {
            Some(name)
        }
        _ => None,
    }
}

/// An alarm's name has 1 to 255 characters of UTF-8 and no ASCII control characters; blanks at either end are part of
/// it (AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm). snapback also refuses what could make a plan show
/// another alarm than the one that is meant.
fn check_alarm(text: &str) -> Result<(), String> {
    let name = name_in_alarm_arn(text).unwrap_or(text);
    if (1..=255).contains(&name.chars().count()) && !name.contains(is_control) {
        return Ok(());
    }
    Err("is not an alarm; write its name (1 to 255 printable characters) or \
         arn:aws:cloudwatch:REGION:ACCOUNT:alarm:NAME"
        .into())
}

/// This limit is snapback's own: a reason is shown in one line.
fn check_lever_reason(text: &str) -> Result<(), String> {
    if text.trim().is_empty() || text.chars().count() > 256 || text.contains(is_control) {
        return Err("is not a reason; write 1 to 256 printable characters".into());
    }
    Ok(())
}

/// Reserved by the Lambda runtime (lambda/latest/dg/configuration-envvars). A function may set the wrapper, the
/// time zone, the locale, `PATH` and the like, which are defined but not reserved.
const RESERVED_VARIABLES: [&str; 17] = [
    "_HANDLER",
    "_X_AMZN_TRACE_ID",
    "AWS_DEFAULT_REGION",
    "AWS_REGION",
    "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_LAMBDA_INITIALIZATION_TYPE",
    "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_ACCESS_KEY",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_LAMBDA_RUNTIME_API",
    "LAMBDA_TASK_ROOT",
];

fn check_variable(text: &str) -> Result<(), String> {
    let mut bytes = text.bytes();
    let first =
        bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_' && RESERVED_VARIABLES.contains(&text));
    if !first || text.len() < 2 || !bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return Err(
            "is not a variable name; write a letter, then letters, digits and _, at least two characters in all".into(),
        );
    }
    if RESERVED_VARIABLES.contains(&text) || text == "LAMBDA_RUNTIME_DIR" {
        return Err("is reserved by Lambda, which would refuse it; use another variable".into());
    }
    Ok(())
}

fn check_handler(text: &str) -> Result<(), String> {
    if text.is_empty() || text.chars().count() > 128 || text.contains(|c: char| c.is_whitespace() || is_control(c)) {
        return Err(
            "is not a handler; write 1 to 128 printable characters without white space, such as app.handler".into()
        );
    }
    Ok(())
}

fn check_experiment_name(text: &str) -> Result<(), String> {
    if text.trim().is_empty() || text.chars().count() > 128 || text.contains(is_control) {
        return Err("is not a name; write 1 to 128 printable characters".into());
    }
    Ok(())
}

/// Step Functions gives an execution a name of 1 to 80 characters
/// (step-functions/latest/apireference/API_StartExecution).
fn check_run_id(text: &str) -> Result<(), String> {
    if !is_word(text) || text.len() > 80 {
        return Err("is not a run; write 1 to 80 letters, digits, - and _".into());
    }
    Ok(())
}

fn check_mapping(text: &str) -> Result<(), String> {
    let lengths: Vec<usize> = text.split('-').map(str::len).collect();
    if lengths != [8, 4, 4, 4, 12] || !text.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-') {
        return Err("is not an event source mapping; write its UUID, or ALL".into());
    }
    Ok(())
}

fn check_wrapper(text: &str) -> Result<(), String> {
    if !text.starts_with('/') || text.len() > 512 || text.contains(|c: char| c.is_whitespace() || is_control(c)) {
        return Err("is not the path of a wrapper; write an absolute path, such as /opt/chaos-wrapper".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_qualifier_in_every_form() {
        let arn = "arn:aws:lambda:eu-west-1:123456789012:function:checkout";
        for (text, base, qualifier) in [
            ("checkout", "checkout", None),
            ("checkout:live", "checkout", Some("live")),
            ("checkout:$LATEST", "checkout", Some("$LATEST")),
            ("checkout:$LATEST.PUBLISHED", "checkout", Some("$LATEST.PUBLISHED")),
            (arn, arn, None),
            (&format!("{arn}:7"), arn, Some("7")),
            ("123456789012:function:checkout:7", "123456789012:function:checkout", Some("7")),
        ] {
            let name = FunctionName::try_from(text);
            let parts = name.as_ref().map(|name| (name.unqualified(), name.qualifier()));
            assert_eq!(parts, Ok((base, qualifier)), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_function() {
        for text in [
            "",
            "two words",
            "arn:aws:lambda:eu-west-1:12:function:x",
            "arn:aws:s3:::bucket",
            "a:b:c:d",
            "x:no/qualifier",
        ] {
            assert!(FunctionName::try_from(text).is_err(), "{text}");
        }
        assert!(FunctionName::try_from("x".repeat(65)).is_err());
    }

    #[test]
    fn lambdas_own_layer_is_one_without_a_version() {
        let own = LayerVersionArn::try_from("arn:aws:lambda:::awslayer:AmazonLinux1803");
        let own = own.unwrap_or_else(|wrong| unreachable!("{wrong}"));
        assert!(own.is_lambdas_own());
        assert_eq!(own.layer(), own.as_str());
        for text in ["arn:aws:lambda:eu-west-1::awslayer:A", "arn:aws:lambda:::awslayer:", "arn:aws:s3:::awslayer:A"] {
            assert!(LayerVersionArn::try_from(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_alarm_arn_gives_its_name() {
        let arn = AlarmName::try_from("arn:aws:cloudwatch:eu-west-1:123456789012:alarm:checkout: errors");
        assert_eq!(arn.as_ref().map(AlarmName::name), Ok("checkout: errors"));
    }

    #[test]
    fn an_alarm_name_is_what_cloudwatch_takes() {
        for text in [
            "決".repeat(86),
            "決".repeat(255),
            " blanks at both ends ".to_owned(),
            " ".to_owned(),
            "arn: of what?".to_owned(),
            "arn:aws:sns:eu-west-1:123456789012:topic".to_owned(),
            "arn:aws:cloudwatch:eu-west-1:123456789012:alarms:errors".to_owned(),
        ] {
            let alarm = AlarmName::try_from(text.clone());
            assert_eq!(alarm.as_ref().map(|alarm| (alarm.name(), alarm.is_arn())), Ok((&*text, false)), "{text}");
        }
        let arn = format!("arn:aws-cn:cloudwatch:cn-north-1:123456789012:alarm: {}", "決".repeat(254));
        let alarm = AlarmName::try_from(arn.clone());
        assert_eq!(alarm.as_ref().map(AlarmName::name), Ok(&arn[arn.len() - 763..]));
        for text in [
            "決".repeat(256),
            String::new(),
            "two\nlines".to_owned(),
            "a\u{7f}".to_owned(),
            "a\u{1b}[2J".to_owned(),
            "a\u{202e}b".to_owned(),
            format!("{arn}決"),
        ] {
            assert!(AlarmName::try_from(text.clone()).is_err(), "{text}");
        }
    }

    #[test]
    fn an_experiment_name_and_a_handler_are_printable() {
        for text in ["a\u{1b}[2J", "a\u{202e}b", "a\u{2028}b", "a\u{85}b"] {
            assert!(ExperimentName::try_from(text).is_err() && Handler::try_from(text).is_err(), "{text:?}");
        }
        assert!(ExperimentName::try_from("grüße 決 \u{1f600}").is_ok());
    }

    #[test]
    fn a_lever_reason_is_one_line() {
        assert!(LeverReason::try_from("決".repeat(256)).is_ok());
        for text in ["", " ", "two\nlines", "a\u{202e}b", &"x".repeat(257)] {
            assert!(LeverReason::try_from(text).is_err(), "{text}");
        }
    }

    #[test]
    fn reserved_variables_are_refused() {
        for text in ["AWS_LAMBDA_RUNTIME_API", "_HANDLER", "1A", "A", "A-B", ""] {
            assert!(VariableName::try_from(text).is_err(), "{text}");
        }
        assert!(VariableName::try_from("AWS_LAMBDA_EXEC_WRAPPER").is_ok());
    }
}
