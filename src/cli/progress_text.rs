//! What changes while a run is followed, in lines: each target where there are few, and counts where there are many.

use std::collections::BTreeMap;

use crate::model::run::{Run, RunStatus, TargetRecord, TargetStatus};
use crate::model::time::{Time, seconds_up, span_text};

use super::pen::Pen;
use super::report_text::status_tone;
use super::words::{grouped, named, targets};

/// The targets up to which each has its own lines.
const MAX_LISTED: usize = 5;

/// What was shown of the targets last, so that only changes are shown.
#[derive(Debug, Default)]
pub(super) struct ShownTargets {
    statuses: BTreeMap<String, TargetStatus>,
    waits: BTreeMap<String, String>,
    /// What most targets wait for, and since when.
    waiting: Option<(String, Time)>,
}

impl ShownTargets {
    /// Returns the targets whose status has changed since the last call.
    pub(super) fn changed<'r>(&mut self, records: &'r [TargetRecord]) -> Vec<&'r TargetRecord> {
        let mut changed = Vec::new();
        for record in records {
            if self.statuses.insert(record.function.to_string(), record.status) != Some(record.status) {
                changed.push(record);
            }
        }
        changed
    }

    /// Returns the lines about what has changed since the last call.
    pub(super) fn news(&mut self, records: &[TargetRecord], pen: Pen) -> Vec<String> {
        let changed = self.changed(records);
        self.lines(records, &changed, pen)
    }

    /// Returns the lines about these changed targets, and about what targets have begun to wait for.
    pub(super) fn lines(&mut self, records: &[TargetRecord], changed: &[&TargetRecord], pen: Pen) -> Vec<String> {
        let is_many = records.len() > MAX_LISTED;
        let mut lines = Vec::new();
        if is_many && !changed.is_empty() {
            lines.push(counted(records, pen));
        }
        let is_listed = |record: &&&TargetRecord| !is_many || is_exception(record.status);
        for record in changed.iter().filter(is_listed) {
            let status = pen.paint(status_tone(record.status), record.status.name());
            lines.push(format!("{} {status}", record.function.name()));
        }
        lines.extend(self.waits(records));
        lines
    }

    /// Returns what remains of a run, for the line that changes.
    pub(super) fn remaining(&mut self, run: &Run, records: &[TargetRecord], now: Time) -> String {
        let waiting = waiting(records);
        let since = self.waiting.take().filter(|(why, _)| Some(why) == waiting.as_ref());
        self.waiting = waiting.map(|why| since.unwrap_or((why, now)));
        let wait =
            self.waiting.as_ref().map(|(why, since)| format!("; {why} ({})", span_text(since.until(now).as_secs())));
        format!("{}{}", remaining(run, records, now), wait.unwrap_or_default())
    }

    /// Returns what targets have begun to wait for, those with the same reason together.
    fn waits(&mut self, records: &[TargetRecord]) -> Vec<String> {
        let mut begun: Vec<(&str, &str)> = Vec::new();
        for record in records {
            let name = record.function.name();
            match record.waiting_for.as_ref().filter(|_| !record.status.is_final()) {
                Some(why) if self.waits.get(name) != Some(why) => {
                    self.waits.insert(name.to_owned(), why.clone());
                    begun.push((name, why));
                }
                Some(_) => {}
                None => {
                    self.waits.remove(name);
                }
            }
        }
        let line = |(why, group): (&str, Vec<(&str, &str)>)| {
            let names: Vec<&str> = group.iter().map(|(name, _)| *name).collect();
            format!("{} {}: {why}", named(&names), if names.len() == 1 { "waits" } else { "wait" })
        };
        grouped(begun, |(_, why)| *why).into_iter().map(line).collect()
    }
}

/// Returns how far a run is: the time left, or the targets that are restored.
pub(super) fn remaining(run: &Run, records: &[TargetRecord], now: Time) -> String {
    let ended = records.iter().filter(|record| record.status.is_final()).count();
    match run.status {
        RunStatus::Running if run.ends_at.is_some() => format!("{} s left", seconds_up(now.until(run.expected_end()))),
        RunStatus::Stopping => format!("{ended} of {} restored", records.len()),
        status => status.name().to_owned(),
    }
}

/// Returns what targets wait for now, for the line that changes: the most frequent reason.
pub(super) fn waiting(records: &[TargetRecord]) -> Option<String> {
    let waiting = records.iter().filter(|record| !record.status.is_final());
    let mut groups = grouped(waiting.filter_map(|record| record.waiting_for.as_deref()), |why| *why);
    groups.sort_by_key(|(_, group)| std::cmp::Reverse(group.len()));
    let (why, group) = groups.first()?;
    let verb = if group.len() == 1 { "waits" } else { "wait" };
    Some(format!("{} {verb}: {why}", targets(group.len())))
}

fn is_exception(status: TargetStatus) -> bool {
    matches!(status, TargetStatus::Drifted | TargetStatus::Deleted)
}

/// Counts the targets of each status: `12 of 53 injected, 41 injecting`.
fn counted(records: &[TargetRecord], pen: Pen) -> String {
    let of = |status: TargetStatus| records.iter().filter(|record| record.status == status).count();
    let counts = TargetStatus::ALL.into_iter().rev().map(|status| (status, of(status))).filter(|(_, count)| *count > 0);
    let text = |(at, (status, count)): (usize, (TargetStatus, usize))| {
        let all = if at == 0 { format!(" of {}", records.len()) } else { String::new() };
        pen.paint(status_tone(status), &format!("{count}{all} {}", status.name()))
    };
    counts.enumerate().map(text).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::samples::{function_arn, run_id};

    fn records(count: usize, status: TargetStatus) -> Vec<TargetRecord> {
        let record = |number: usize| {
            let mut record = TargetRecord::new(run_id("r"), function_arn(&format!("f{number}")));
            record.status = status;
            record
        };
        (0..count).map(record).collect()
    }

    #[test]
    fn a_few_targets_are_listed_and_many_are_counted() {
        let mut shown = ShownTargets::default();
        assert_eq!(shown.news(&records(2, TargetStatus::Armed), Pen::PLAIN), ["f0 armed", "f1 armed"]);
        assert_eq!(shown.news(&records(2, TargetStatus::Armed), Pen::PLAIN), [""; 0]);
        for count in [53, 1000] {
            let mut shown = ShownTargets::default();
            let mut all = records(count, TargetStatus::Injecting);
            assert_eq!(shown.news(&all, Pen::PLAIN), [format!("{count} of {count} injecting")]);
            all[0].status = TargetStatus::Injected;
            let expected = format!("1 of {count} injected, {} injecting", count - 1);
            assert_eq!(shown.news(&all, Pen::PLAIN), [expected]);
            all.iter_mut().for_each(|record| record.status = TargetStatus::Restored);
            all[7].status = TargetStatus::Drifted;
            let expected = [format!("1 of {count} drifted, {} restored", count - 1), "f7 drifted".to_owned()];
            assert_eq!(shown.news(&all, Pen::PLAIN), expected);
        }
    }

    #[test]
    fn targets_that_wait_for_the_same_are_named_together_once() {
        let mut shown = ShownTargets::default();
        let mut all = records(53, TargetStatus::Armed);
        shown.news(&all, Pen::PLAIN);
        all.iter_mut().for_each(|record| record.waiting_for = Some("an update".to_owned()));
        assert_eq!(shown.news(&all, Pen::PLAIN), ["f0, f1, f2 and 50 more functions wait: an update"]);
        assert_eq!(waiting(&all).as_deref(), Some("53 targets wait: an update"));
        assert_eq!(shown.news(&all, Pen::PLAIN), [""; 0]);
        all.iter_mut().for_each(|record| record.status = TargetStatus::Restored);
        assert_eq!(waiting(&all), None);
    }
}
