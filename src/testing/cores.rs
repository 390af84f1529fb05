//! Parallel work on all cores.

/// Runs a worker on every core, and returns the result of each.
///
/// # Panics
/// If a worker panics.
pub(super) fn on_all_cores<T: Send>(worker: impl Fn() -> T + Sync) -> Vec<T> {
    std::thread::scope(|scope| {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(&worker)).collect();
        let joined = workers.into_iter().map(|worker| worker.join());
        joined.map(|part| part.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    })
}
