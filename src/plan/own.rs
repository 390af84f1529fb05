//! Recognizes snapback's own functions. No run may target them, and no restore may write to them.

use crate::model::function::{Observation, Tags};
use crate::model::names::FunctionArn;
use crate::model::settings::TASKS;

/// Whether a function is named like one of the stack's own functions: `PREFIX-TASK`.
#[must_use]
pub fn is_named_as_own(prefix: &str, function: &FunctionArn) -> bool {
    let task = function.name().strip_prefix(prefix).and_then(|rest| rest.strip_prefix('-'));
    task.is_some_and(|task| TASKS.contains(&task))
}

/// The reason for which a restore must not write to a function. A guardrail refuses such a target before a run begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnFunction {
    /// It is named like one of the stack's own functions, so a record that names it was forged.
    Named,
    /// It has the tag that the template gives to the functions of every stack. It belongs to another stack and the
    /// record was forged, or it is a target that got the tag during the run.
    Tagged,
}

/// Returns whether a function is one of snapback's own, and what shows it.
#[must_use]
pub fn own_function(prefix: Option<&str>, seen: &Observation) -> Option<OwnFunction> {
    if prefix.is_some_and(|prefix| is_named_as_own(prefix, &seen.arn)) {
        return Some(OwnFunction::Named);
    }
    let tagged =
        matches!(&seen.tags, Tags::Known(tags) if tags.get("snapback").is_some_and(|tag| tag == "control-plane"));
    tagged.then_some(OwnFunction::Tagged)
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
            let own = own_function(Some("chaos"), &tagged(&format!("chaos-{task}"), "control-plane"));
            assert_eq!(own, Some(OwnFunction::Named), "{task}");
        }
        for other in ["chaos-checkout", "chaosreaper", "chaos-reaper-2", "my-chaos-reaper", "snapback-reaper"] {
            assert_eq!(own_function(Some("chaos"), &observation(other)), None, "{other}");
        }
    }

    #[test]
    fn the_templates_tag_marks_those_of_any_stack() {
        assert_eq!(own_function(None, &tagged("other-reaper", "control-plane")), Some(OwnFunction::Tagged));
        // A target whose owner adds such a tag during the run must still be restored.
        assert_eq!(own_function(Some("chaos"), &tagged("checkout", "target")), None);
        assert_eq!(own_function(None, &observation("checkout")), None);
    }
}
