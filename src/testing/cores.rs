//! Work on all cores.

/// Does the same work on every core at once, and returns what came of each.
///
/// # Panics
/// When one of them does: what panics is nothing that holds.
pub(super) fn on_all_cores<T: Send>(worker: impl Fn() -> T + Sync) -> Vec<T> {
    std::thread::scope(|scope| {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(&worker)).collect();
        let joined = workers.into_iter().map(|worker| worker.join());
        joined.map(|part| part.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    })
}
