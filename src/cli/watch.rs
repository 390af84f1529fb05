//! `status --watch`: follows one run that another command or a schedule has started. It never rolls the run back.

use std::time::Duration;

use crate::model::names::RunId;
use crate::model::time::span_text;
use crate::plan::outcome_text::status_text;
use crate::ports::{Clock, Ledger};
use crate::steps::error::StepError;
use crate::steps::retry::retry;
use crate::steps::run_targets::run_targets;

use super::arguments::Arguments;
use super::awaited::awaited;
use super::exit::Exit;
use super::output::Output;
use super::progress_text::ShownTargets;
use super::records::Records;
use super::screen::Screen;
use super::{Failure, report};

/// How often the run is read.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Shows what happens to a run until it is closed, and then its report. Ctrl-C ends the command and not the run.
pub(super) async fn watch(arguments: &Arguments, id: &RunId, output: &Output) -> Result<Exit, Failure> {
    let records = Records::open(arguments).await?;
    let world = &records.world;
    let mut screen = Screen::new(output);
    let (mut shown, mut last) = (ShownTargets::default(), Vec::new());
    loop {
        let Some(run) = retry(world, || world.run(id)).await? else {
            return Err(records.explained(id, StepError::NoSuchRun(id.clone()).into()).await);
        };
        let targets = run_targets(world, &run).await?;
        let at = span_text(run.created_at.until(world.now()).as_secs());
        let status = status_text(run.status, run.reason_text().as_deref());
        let lines: Vec<String> =
            [Some(format!("run {status}")), awaited(&run, &targets)].into_iter().flatten().collect();
        if !run.status.is_final() {
            let news = lines.iter().filter(|line| !last.contains(*line)).cloned();
            for line in news.collect::<Vec<_>>().into_iter().chain(shown.news(&targets, output.progress)) {
                screen.news(&format!("{at}: {line}"));
            }
        }
        if run.status.is_final() {
            screen.clear();
            return report::report(&records, id, output).await.map(|_| Exit::Success);
        }
        screen.live(&shown.remaining(&run, &targets, world.now()));
        last = lines;
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}
