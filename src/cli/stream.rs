//! What `run --json` prints: one JSON object a line as things happen, and the report last.

use serde::Serialize;

use crate::model::run::{RunStatus, TargetStatus};

/// One line, but the last.
#[derive(Serialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct RunLine<'a> {
    /// When the command has seen it; RFC 3339.
    pub(super) at: String,
    /// The run.
    pub(super) run_id: &'a str,
    #[serde(flatten)]
    pub(super) event: RunEvent<'a>,
}

/// What happened.
#[derive(Serialize, schemars::JsonSchema)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub(super) enum RunEvent<'a> {
    /// The execution was started. This is the first line.
    Started {
        /// The execution's ARN.
        execution_arn: &'a str,
    },
    /// The run has this status.
    Status {
        /// The status.
        status: RunStatus,
        /// Why the run has ended or ends.
        reason: Option<String>,
    },
    /// A target has this status.
    Target {
        /// The function's name.
        function: &'a str,
        /// Its ARN.
        arn: String,
        /// The status.
        status: TargetStatus,
    },
    /// An alarm of the stop conditions has this state.
    Alarm {
        /// The alarm's name.
        alarm: &'a str,
        /// Whether it is in ALARM.
        in_alarm: bool,
    },
    /// The faults are in place.
    Observing {
        /// The end of the duration; RFC 3339.
        until: String,
    },
    /// Everything is restored, and the run is not closed yet.
    Waiting {
        /// What it waits for, in one sentence.
        message: &'a str,
    },
    /// The command rolls the run back.
    RollingBack {
        /// Whether the command's timeout is the reason; else it is a signal.
        has_timed_out: bool,
    },
}
