//! Which functions are snapback's own: no run may target them, and no restore may write to them.

use crate::model::function::{Observation, Tags};
use crate::model::names::FunctionArn;
use crate::model::settings::TASKS;

/// Whether a function has the name of one of the stack's own: `PREFIX-TASK`.
#[must_use]
pub fn is_named_as_own(prefix: &str, function: &FunctionArn) -> bool {
    let task = function.name().strip_prefix(prefix).and_then(|rest| rest.strip_prefix('-'));
    task.is_some_and(|task| TASKS.contains(&task))
}

/// Whether a restore must not write to this function: it has the name of one of the stack's own, or the tag that the
/// template gives to those of any stack. A record that names one was forged, for a guardrail refuses it as a target.
#[must_use]
pub fn is_own(prefix: Option<&str>, seen: &Observation) -> bool {
    let tagged =
        matches!(&seen.tags, Tags::Known(tags) if tags.get("snapback").is_some_and(|tag| tag == "control-plane"));
    tagged || prefix.is_some_and(|prefix| is_named_as_own(prefix, &seen.arn))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::testing::samples::observation;

    fn tagged(name: &str, tag: &str) -> Observation {
        let tags = Tags::Known(BTreeMap::from([("snapback".to_owned(), tag.to_owned())]));
        Observation { tags, ..observation(name) }
    }

    #[test]
    fn each_task_of_the_stack_is_its_own() {
        for task in TASKS {
            assert!(is_own(Some("chaos"), &observation(&format!("chaos-{task}"))), "{task}");
        }
        for other in ["chaos-checkout", "chaosreaper", "chaos-reaper-2", "my-chaos-reaper", "snapback-reaper"] {
            assert!(!is_own(Some("chaos"), &observation(other)), "{other}");
        }
    }

    #[test]
    fn the_templates_tag_marks_those_of_any_stack() {
        assert!(is_own(None, &tagged("other-reaper", "control-plane")));
        // A target whose owner adds such a tag during the run must still be restored.
        assert!(!is_own(Some("chaos"), &tagged("checkout", "target")));
        assert!(!is_own(None, &observation("checkout")));
    }
}
