//! The safety lever, as output shows it.

use serde::Serialize;

use crate::model::actor::Actor;
use crate::model::run::Lever;

use super::output::Output;
use super::pen::Tone;

/// The safety lever, as JSON output has it.
#[derive(Serialize, schemars::JsonSchema)]
pub(super) struct LeverView<'a> {
    /// Whether it lets nothing start.
    engaged: bool,
    /// Since when; RFC 3339, as every time in the output.
    since: String,
    /// Why it was moved.
    reason: &'a str,
    /// Who moved it; null if that is not known.
    by: Option<&'a Actor>,
}

impl<'a> LeverView<'a> {
    pub(super) fn of(lever: &'a Lever) -> Self {
        Self { engaged: lever.engaged, since: lever.since.to_string(), reason: &lever.reason, by: lever.by.as_ref() }
    }
}

/// Prints whether the safety lever is engaged. One that was never moved is disengaged.
pub(super) fn show_lever(lever: Option<&Lever>, output: &Output) {
    match lever {
        Some(Lever { engaged: true, since, reason, .. }) => {
            let text = format!("the safety lever has been engaged since {since} (reason: {reason}); no run starts");
            output.print_sentences(&output.paint(Tone::Bad, &text));
        }
        Some(Lever { since, .. }) => {
            output
                .print_sentences(&format!("the safety lever has been disengaged since {since}; experiments may start"));
        }
        None => output.print_sentences("the safety lever is disengaged; experiments may start"),
    }
    if let Some(actor) = lever.and_then(|lever| lever.by.as_ref()) {
        output.print_sentences(&format!("  moved by {actor}"));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::time::Time;

    #[test]
    fn the_lever_is_shown_with_a_date() {
        let lever = Lever { engaged: true, since: Time(0), reason: "a test".to_owned(), by: Some(Actor::snapback()) };
        let by = json!({ "via": "snapback" });
        let expected = json!({ "engaged": true, "since": "1970-01-01T00:00:00Z", "reason": "a test", "by": by });
        assert_eq!(serde_json::to_value(LeverView::of(&lever)).ok(), Some(expected));
    }
}
