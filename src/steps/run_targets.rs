//! The targets of a run, with those whose record is lost.
//!
//! A run's list of functions and a function's lock both outlive a damaged target record. A function that the run names
//! and whose lock it holds was armed: without a readable record, nothing says what to restore, so the run must not be
//! called over. Every step that decides whether a run is over reads its targets here.

use futures_util::{StreamExt, TryStreamExt, stream};

use crate::model::names::FunctionArn;
use crate::model::run::{Run, RunStatus, TargetKey, TargetRecord, TargetStatus};
use crate::ports::{LedgerError, World};

use super::MAX_CONCURRENCY;
use super::error::StepError;
use super::retry::retry;

/// Every target of a run, in the order of their ARNs. One without a readable record is in the list as `Armed`, with
/// what is wrong as its restore error.
///
/// # Errors
/// When the ledger cannot be used.
pub async fn run_targets(world: &impl World, run: &Run) -> Result<Vec<TargetRecord>, StepError> {
    Ok(found_targets(world, run).await?.into_iter().map(|found| found.target).collect())
}

/// A target of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundTarget {
    /// The target.
    pub target: TargetRecord,
    /// Why it has no readable record.
    pub lost: Option<StepError>,
}

/// The same, with what is wrong with the ledger.
///
/// # Errors
/// When the ledger cannot be used.
pub async fn found_targets(world: &impl World, run: &Run) -> Result<Vec<FoundTarget>, StepError> {
    let listed = match retry(world, || world.targets(&run.id)).await {
        Err(LedgerError::Unreadable(_)) => return one_by_one(world, run).await,
        listed => listed?,
    };
    // No function of a run is locked before it runs, and its targets are written one after the other until then.
    if run.status == RunStatus::Pending {
        return Ok(listed.into_iter().map(FoundTarget::recorded).collect());
    }
    let is_missing = |function: &&FunctionArn| !listed.iter().any(|target| target.function == **function);
    let missing: Vec<FunctionArn> = run.functions.iter().filter(is_missing).cloned().collect();
    let lost = each(missing, |function| async move { lost(world, run.target_key(&function)).await }).await?;
    Ok(sorted(listed.into_iter().map(FoundTarget::recorded).chain(lost.into_iter().flatten()).collect()))
}

/// The same, with a read for each target, where one of the list cannot be read.
async fn one_by_one(world: &impl World, run: &Run) -> Result<Vec<FoundTarget>, StepError> {
    let read = |function: FunctionArn| async move {
        match retry(world, || world.target(run.target_key(&function))).await {
            Ok(Some(target)) => Ok(Some(FoundTarget::recorded(target))),
            Ok(None) => lost(world, run.target_key(&function)).await,
            Err(error @ LedgerError::Unreadable(_)) => {
                Ok(Some(FoundTarget::lost(run.target_key(&function), error.into())))
            }
            Err(error) => Err(error.into()),
        }
    };
    Ok(sorted(each(run.functions.clone(), read).await?.into_iter().flatten().collect()))
}

async fn each<T, F>(functions: Vec<FunctionArn>, read: impl Fn(FunctionArn) -> F) -> Result<Vec<T>, StepError>
where
    F: Future<Output = Result<T, StepError>>,
{
    stream::iter(functions).map(read).buffered(MAX_CONCURRENCY).try_collect().await
}

/// A function without a record that was armed.
async fn lost(world: &impl World, target: TargetKey<'_>) -> Result<Option<FoundTarget>, StepError> {
    match require_untouched(world, target).await {
        Ok(()) => Ok(None),
        Err(error @ StepError::NoTargetRecord { .. }) => Ok(Some(FoundTarget::lost(target, error))),
        Err(error) => Err(error),
    }
}

/// Checks that a run has not touched a function that has no record. A run that was stopped while it was being written
/// has functions like that, and has locked none of them. One that was armed stays locked until its target is over.
///
/// # Errors
/// `NoTargetRecord` when the run holds the function's lock.
pub(super) async fn require_untouched(world: &impl World, target: TargetKey<'_>) -> Result<(), StepError> {
    match holds_lock(world, target).await? {
        true => Err(StepError::NoTargetRecord { function: target.function.name().to_owned(), run: target.run.clone() }),
        false => Ok(()),
    }
}

/// Whether the run holds the function's lock.
pub(super) async fn holds_lock(world: &impl World, target: TargetKey<'_>) -> Result<bool, LedgerError> {
    let lock = retry(world, || world.lock(target.function)).await?;
    Ok(lock.is_some_and(|lock| lock.run.as_ref() == Some(target.run)))
}

impl FoundTarget {
    fn recorded(target: TargetRecord) -> Self {
        Self { target, lost: None }
    }

    fn lost(target: TargetKey<'_>, error: StepError) -> Self {
        let mut target = TargetRecord::new(target.run.clone(), target.function.clone());
        target.status = TargetStatus::Armed;
        target.restore_error = Some(error.to_string());
        Self { target, lost: Some(error) }
    }
}

fn sorted(mut targets: Vec<FoundTarget>) -> Vec<FoundTarget> {
    targets.sort_by(|one, other| one.target.function.cmp(&other.target.function));
    targets
}
