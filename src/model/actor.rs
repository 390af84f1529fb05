//! Who started a run, who ended it, and who moved the safety lever.
//!
//! All of it is what the sender states. Nothing checks it: CloudTrail's events are the proof.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::names::{LeverReason, text_type};
use super::text::{is_control, shorten};

/// The longest ARN and the longest URL, in characters: as long as AWS's longest ARNs
/// (IAM/latest/APIReference/API_SimulatePrincipalPolicy). Both are stored with the run, which every step reads.
const MAX_CHARACTERS: usize = 2048;

/// What follows the way in which a user acts, if it is a timeout of the user's command that acts.
const TIMEOUT: &str = ", --timeout";

/// What a schedule states about itself: the way in which its runs start.
pub const VIA_SCHEDULE: &str = "schedule";

text_type!(
    /// The ARN of a user, a role, a schedule, an alarm or another resource that acts.
    ActorArn,
    check_arn
);
text_type!(
    /// What was used to act, in a few words, such as `command line`.
    Via,
    check_via
);
text_type!(
    /// The URL of a page for users. It has no credentials.
    PageUrl,
    check_url,
    shorten_url
);

/// Who did something, as the sender states it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Actor {
    /// The ARN of the user, the role, the schedule, the alarm or the FIS experiment; absent if it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caller: Option<ActorArn>,
    /// What was used, such as `command line`, `schedule`, `FIS` or `GitHub Actions`.
    pub via: Via,
    /// The page of the pipeline's job, if there is one: a URL without credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<PageUrl>,
    /// Why, in the user's own words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<LeverReason>,
}

impl Via {
    /// One of snapback's own texts.
    #[must_use]
    pub(crate) fn known(text: &'static str) -> Self {
        debug_assert!(check_via(text).is_ok());
        Self(text.to_owned())
    }
}

impl Actor {
    /// Snapback itself, which ends a run when its duration has elapsed or its steady state deviates.
    #[must_use]
    pub fn snapback() -> Self {
        Self { caller: None, via: Via::known("snapback"), url: None, reason: None }
    }

    /// A user who has moved the safety lever and is not known.
    #[must_use]
    pub(crate) fn unnamed_lever() -> Self {
        Self { via: Via::known("safety lever"), ..Self::snapback() }
    }

    /// The timeout of this actor's command.
    #[must_use]
    pub fn by_timeout(&self) -> Self {
        let via = Via::try_from(format!("{}{TIMEOUT}", self.via)).unwrap_or_else(|_| self.via.clone());
        Self { via, ..self.clone() }
    }

    /// Whether it is the timeout of a command.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        self.via.as_str().ends_with(TIMEOUT)
    }

    /// An alarm, by its ARN.
    #[must_use]
    pub fn alarm(arn: &str) -> Self {
        // The ARN comes from CloudWatch. If it is not one that is known here, the reason for the end has the name.
        Self { caller: ActorArn::try_from(arn).ok(), via: Via::known("alarm"), url: None, reason: None }
    }
}

/// An ARN has six parts (IAM/latest/UserGuide/reference-arns). The last one may have colons and, for an alarm, blanks.
fn check_arn(text: &str) -> Result<(), String> {
    check_length(text)?;
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    match parts.as_slice() {
        ["arn", partition, service, _, _, resource]
            if partition.starts_with("aws")
                && !service.is_empty()
                && !resource.is_empty()
                && !text.contains(is_control) =>
        {
            Ok(())
        }
        _ => Err("is not an ARN; write one, such as arn:aws:iam::123456789012:user/ana".into()),
    }
}

/// This limit is snapback's own: it is shown in one line with the caller.
fn check_via(text: &str) -> Result<(), String> {
    if text.trim().is_empty() || text.chars().count() > 64 || text.contains(is_control) {
        return Err("is not 1 to 64 printable characters, such as `command line`".into());
    }
    Ok(())
}

fn check_url(text: &str) -> Result<(), String> {
    if has_credentials(text) {
        return Err("has credentials before its host; write it without them".into());
    }
    check_length(text)?;
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    if host.is_none_or(|host| host.is_empty() || host.starts_with(['/', '?', '#'])) {
        return Err("is not a URL of a page; write one that begins with https:// or http://".into());
    }
    // RFC 3986, section 2: everything else is percent-encoded.
    if !text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte)) {
        return Err("has a character that no URL has; write it as % and two hexadecimal digits".into());
    }
    Ok(())
}

fn check_length(text: &str) -> Result<(), String> {
    match text.chars().count() > MAX_CHARACTERS {
        true => Err(format!("is longer than {MAX_CHARACTERS} characters; write a shorter one")),
        false => Ok(()),
    }
}

/// Whether something stands before the host: a name and a password (RFC 3986, section 3.2.1).
fn has_credentials(url: &str) -> bool {
    let authority = url.split_once("//").map_or(url, |(_, rest)| rest);
    authority.split(['/', '?', '#']).next().is_some_and(|authority| authority.contains('@'))
}

/// Shortens a URL for an error message, and hides one that has credentials.
fn shorten_url(url: &str) -> String {
    if has_credentials(url) { "http(hidden)".to_owned() } else { shorten(url) }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.caller {
            None if *self == Self::snapback() => return f.write_str("snapback itself"),
            None => write!(f, "an unknown caller, via {}", self.via)?,
            Some(caller) => write!(f, "{caller}, via {}", self.via)?,
        }
        if let Some(url) = &self.url {
            write!(f, " ({url})")?;
        }
        match &self.reason {
            Some(reason) => write!(f, "; reason: {reason}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::model::input::read;

    fn displayed(actor: &Value) -> String {
        read::<Actor>(actor).map_or_else(|wrong| wrong.to_string(), |actor| actor.to_string())
    }

    #[test]
    fn an_actor_is_one_line() {
        let ana = "arn:aws:sts::123456789012:assumed-role/Admin/ana";
        for (actor, expected) in [
            (json!({ "caller": ana, "via": "command line" }), format!("{ana}, via command line")),
            (
                json!({ "caller": ana, "via": "GitHub Actions", "url": "https://github.com/o/r/actions/runs/1" }),
                format!("{ana}, via GitHub Actions (https://github.com/o/r/actions/runs/1)"),
            ),
            (
                json!({ "caller": ana, "via": "command line", "reason": "game day 7" }),
                format!("{ana}, via command line; reason: game day 7"),
            ),
            (json!({ "via": "command line" }), "an unknown caller, via command line".to_owned()),
            (json!(Actor::snapback()), "snapback itself".to_owned()),
            (
                json!(Actor::alarm("arn:aws:cloudwatch:eu-west-1:123456789012:alarm:Ärger im Haus")),
                "arn:aws:cloudwatch:eu-west-1:123456789012:alarm:Ärger im Haus, via alarm".to_owned(),
            ),
            (json!(Actor::alarm("errors")), "an unknown caller, via alarm".to_owned()),
        ] {
            assert_eq!(displayed(&actor), expected);
        }
    }

    #[test]
    fn a_run_that_a_timeout_has_ended_was_not_stopped_by_a_user() {
        use crate::model::run::{EndReason, RunEnding};
        let ana = Actor { via: Via::known("command line"), ..Actor::alarm("arn:aws:iam::123456789012:user/ana") };
        let reason = |by: Actor| {
            let ending = RunEnding::by(EndReason::UserRequest, Some(by));
            let id = crate::model::names::RunId::try_from("r").unwrap_or_else(|wrong| unreachable!("{wrong}"));
            crate::model::marker::stopped_marker(&id, &ending, crate::model::time::Time(0)).reason_text()
        };
        assert_eq!(ana.by_timeout().via.as_str(), "command line, --timeout");
        assert_eq!(reason(ana.by_timeout()).as_deref(), Some("stopped by the timeout of the command that started it"));
        assert_eq!(reason(ana).as_deref(), Some("stopped by a user"));
        let long =
            Actor { via: Via::try_from("v".repeat(64)).unwrap_or_else(|e| unreachable!("{e}")), ..Actor::snapback() };
        assert_eq!(long.by_timeout(), long, "there is no room for more");
    }

    #[test]
    fn each_wrong_field_is_one_error() {
        let via = |via: &str| json!({ "via": via });
        let url = |url: &str| json!({ "via": "v", "url": url });
        let caller = |caller: &str| json!({ "via": "v", "caller": caller });
        for (actor, expected) in [
            (json!({}), "`via` is missing; add it"),
            (json!({ "via": 1 }), "via: `1` is a number; write text, in quotes"),
            (json!({ "via": "v", "who": "ana" }), "`who` is not a known field; write one of caller, via, url, reason"),
            (via(""), "via: `` is not 1 to 64 printable characters, such as `command line`"),
            (via("  "), "via: `  ` is not 1 to 64 printable characters, such as `command line`"),
            (via("a\nb"), "via: `a\\nb` is not 1 to 64 printable characters, such as `command line`"),
            (caller("ana"), "caller: `ana` is not an ARN; write one, such as arn:aws:iam::123456789012:user/ana"),
            (
                caller("arn:aws:iam::123456789012:"),
                "caller: `arn:aws:iam::123456789012:` is not an ARN; write one, such as arn:aws:iam::123456789012:user/ana",
            ),
            (
                url("ftp://x/y"),
                "url: `ftp://x/y` is not a URL of a page; write one that begins with https:// or http://",
            ),
            (
                url("https://x/a b"),
                "url: `https://x/a b` has a character that no URL has; write it as % and two hexadecimal digits",
            ),
            (
                url("https://x/\"a"),
                "url: `https://x/\"a` has a character that no URL has; write it as % and two hexadecimal digits",
            ),
        ] {
            assert_eq!(displayed(&actor), expected);
        }
        assert_eq!(displayed(&via(&"v".repeat(65))).matches("is not 1 to 64").count(), 1);
        let long = format!("https://x/{}", "a".repeat(2048));
        assert!(displayed(&url(&long)).ends_with("is longer than 2048 characters; write a shorter one"));
        let long = format!("arn:aws:iam::123456789012:user/{}", "a".repeat(2048));
        assert!(displayed(&caller(&long)).ends_with("is longer than 2048 characters; write a shorter one"));
    }

    #[test]
    fn a_url_with_credentials_is_refused_and_not_shown() {
        for url in ["https://ana:secret@x/job/1", "http://secret@x", "https://secret@x?a=/"] {
            let wrong = displayed(&json!({ "via": "v", "url": url }));
            assert_eq!(wrong, "url: `http(hidden)` has credentials before its host; write it without them");
        }
        assert_eq!(
            displayed(&json!({ "via": "v", "url": "https://x/@me" })),
            "an unknown caller, via v (https://x/@me)"
        );
    }
}
