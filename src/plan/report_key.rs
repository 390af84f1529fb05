//! The name of a run's page in the bucket for reports.

use crate::model::run::Run;

/// Returns the key of a run's page: `PREFIX/ACCOUNT/EXPERIMENT/RUN.html`; `None` for a run without functions.
///
/// Accounts and stacks may share a bucket, and runs of a schedule can have the same ID in each. So the key begins with the
/// stack's prefix and its account, and the stack's right to write ends there.
#[must_use]
pub fn report_key(prefix: &str, run: &Run) -> Option<String> {
    let account = run.functions.first()?.account();
    let experiment = run.experiment.as_ref().map_or("unknown", |experiment| experiment.name.as_str());
    Some(format!("{prefix}/{account}/{}/{}.html", plain(experiment), run.id))
}

/// Replaces all characters but letters, digits, hyphens and underscores, which need no encoding in a path and no handling
/// in a key (AmazonS3/latest/userguide/object-keys). Experiments whose names become the same share a folder; a run's ID
/// tells their pages apart.
fn plain(name: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_');
    name.chars().map(|letter| if is_plain(letter) { letter } else { '-' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::input::read_experiment;
    use crate::model::marker::stopped_marker;
    use crate::model::run::EndReason;
    use crate::model::time::Time;
    use crate::testing::samples::{experiment, faults, function_arn, run_id};

    fn key(name: &str) -> Option<String> {
        let mut run = stopped_marker(&run_id("nightly-1"), &EndReason::UserRequest.into(), Time(0));
        run.functions = vec![function_arn("checkout")];
        let mut written = experiment(&["checkout"], &faults()[..1]);
        written["name"] = name.into();
        run.experiment = read_experiment(&written).ok();
        report_key("snapback", &run)
    }

    #[test]
    fn a_key_has_only_plain_characters() {
        assert_eq!(key("checkout_2").as_deref(), Some("snapback/123456789012/checkout_2/nightly-1.html"));
        assert_eq!(key("../a b?é").as_deref(), Some("snapback/123456789012/---a-b--/nightly-1.html"));
    }

    #[test]
    fn a_run_without_functions_has_no_page() {
        let marker = stopped_marker(&run_id("nightly-1"), &EndReason::UserRequest.into(), Time(0));
        assert_eq!(report_key("snapback", &marker), None);
    }
}
