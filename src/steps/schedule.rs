//! Schedules the passes over many jobs, with limited concurrency, in two lanes: one for first passes and one for later
//! ones. So no target's first pass waits for another target's later one.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::{Either, select};
use futures_util::stream::FuturesUnordered;

use crate::model::time::Time;
use crate::ports::Clock;

use super::{Budget, MAX_CONCURRENCY};

/// What happens to a job after a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NextPass {
    /// The job has ended.
    Never,
    /// Make another pass after this time.
    After(Duration),
    /// Make another pass after every job has had its first one.
    AfterFirsts,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Lane {
    First,
    Later,
}

/// The jobs without a pass in progress.
struct Lanes<J> {
    first: VecDeque<J>,
    /// The waiting jobs, by the time of their next pass. The number keeps the order of jobs with the same time.
    later: BTreeMap<(Time, u64), J>,
    after_firsts: Vec<J>,
    numbers: u64,
    /// The jobs that have ended, or for which the budget has no time left.
    done: Vec<J>,
    /// The number of passes in progress in each lane.
    busy: [usize; 2],
}

/// Runs passes over every job until it is over or the budget is used up: [`MAX_CONCURRENCY`] first passes, in the order
/// of the jobs, and as many later ones, concurrently. `pass` makes one pass, and is told whether other jobs still wait
/// for their first. Returns all jobs, in no particular order.
pub(super) async fn run<C, J, P, A>(clock: &C, jobs: Vec<J>, budget: Budget, pass: P) -> Vec<J>
where
    C: Clock + Sync,
    P: Fn(J, bool) -> A,
    A: Future<Output = (J, NextPass)>,
{
    let mut lanes = Lanes {
        first: jobs.into(),
        later: BTreeMap::new(),
        after_firsts: Vec::new(),
        numbers: 0,
        done: Vec::new(),
        busy: [0; 2],
    };
    let mut under_way = FuturesUnordered::new();
    loop {
        while let Some((lane, job)) = lanes.take_next(clock.now(), budget) {
            let pass = pass(job, !lanes.first.is_empty());
            under_way.push(async move { (lane, pass.await) });
        }
        let ended = match (lanes.next_later_at(), under_way.is_empty()) {
            (None, true) => return lanes.done,
            (None, false) => under_way.next().await,
            (Some(at), true) => {
                clock.sleep(clock.now().until(at)).await;
                None
            }
            (Some(at), false) => match select(pin!(clock.sleep(clock.now().until(at))), under_way.next()).await {
                Either::Left(_) => None,
                Either::Right((ended, _)) => ended,
            },
        };
        if let Some((lane, (job, next))) = ended {
            lanes.busy[lane as usize] -= 1;
            lanes.requeue_or_finish(job, next, clock.now(), budget);
        }
    }
}

impl<J> Lanes<J> {
    /// Takes the job whose pass begins next, if its lane has room.
    fn take_next(&mut self, now: Time, budget: Budget) -> Option<(Lane, J)> {
        if now > budget.last_call() {
            // The next invocation takes these.
            self.done.extend(self.first.drain(..));
        }
        if self.first.is_empty() {
            for job in std::mem::take(&mut self.after_firsts) {
                self.add_later(job, now, budget);
            }
        }
        if self.busy[Lane::First as usize] < MAX_CONCURRENCY
            && let Some(job) = self.first.pop_front()
        {
            self.busy[Lane::First as usize] += 1;
            return Some((Lane::First, job));
        }
        self.next_later_at().filter(|at| *at <= now)?;
        let (_, job) = self.later.pop_first()?;
        self.busy[Lane::Later as usize] += 1;
        Some((Lane::Later, job))
    }

    /// When the next later pass begins, if its lane has room.
    fn next_later_at(&self) -> Option<Time> {
        let has_room = self.busy[Lane::Later as usize] < MAX_CONCURRENCY;
        self.later.first_key_value().filter(|_| has_room).map(|((at, _), _)| *at)
    }

    fn requeue_or_finish(&mut self, job: J, next: NextPass, now: Time, budget: Budget) {
        match next {
            NextPass::Never => self.done.push(job),
            NextPass::After(wait) => self.add_later(job, now + wait, budget),
            NextPass::AfterFirsts => self.after_firsts.push(job),
        }
    }

    fn add_later(&mut self, job: J, at: Time, budget: Budget) {
        if budget.allows(at) {
            self.numbers += 1;
            self.later.insert((at, self.numbers), job);
        } else {
            self.done.push(job);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::INVOCATION_RESERVE;
    use super::*;
    use crate::testing::SimWorld;
    use std::cell::{Cell, RefCell};

    fn budget(world: &SimWorld, span: Duration) -> Budget {
        Budget { deadline: world.now() + span }
    }

    /// Every pass takes two seconds; two more passes follow the first.
    struct Jobs<'a> {
        world: &'a SimWorld,
        under_way: Cell<usize>,
        most: Cell<usize>,
        /// Each pass that has begun: the job, and how many passes it had before.
        begun: RefCell<Vec<(usize, u32)>>,
    }

    impl<'a> Jobs<'a> {
        fn new(world: &'a SimWorld) -> Self {
            Self { world, under_way: Cell::new(0), most: Cell::new(0), begun: RefCell::new(Vec::new()) }
        }

        async fn pass(&self, (job, passes): (usize, u32), slow: usize) -> ((usize, u32), NextPass) {
            self.begun.borrow_mut().push((job, passes));
            self.under_way.set(self.under_way.get() + 1);
            self.most.set(self.most.get().max(self.under_way.get()));
            self.world.sleep(Duration::from_secs(if job == slow { 100 } else { 2 })).await;
            self.under_way.set(self.under_way.get() - 1);
            ((job, passes + 1), if passes == 2 { NextPass::Never } else { NextPass::After(Duration::from_secs(1)) })
        }
    }

    #[tokio::test]
    async fn each_lane_makes_few_passes_concurrently() {
        let world = SimWorld::default();
        let jobs = Jobs::new(&world);
        let many = (0..1_000).map(|job| (job, 0)).collect();
        let done =
            run(&world, many, budget(&world, Duration::from_secs(10_000)), |job, _| jobs.pass(job, usize::MAX)).await;
        assert_eq!(jobs.most.get(), 2 * MAX_CONCURRENCY);
        let mut all: Vec<usize> = done.iter().map(|(job, _)| *job).collect();
        all.sort_unstable();
        assert_eq!(all, (0..1_000).collect::<Vec<_>>(), "none is lost, none comes twice");
        assert!(done.iter().all(|(_, passes)| *passes == 3));
        let firsts: Vec<usize> = jobs.begun.borrow().iter().filter(|(_, n)| *n == 0).map(|(job, _)| *job).collect();
        assert_eq!(firsts, (0..1_000).collect::<Vec<_>>(), "first passes are made in order");
    }

    #[tokio::test]
    async fn a_slow_pass_delays_only_its_own_job() {
        let world = SimWorld::default();
        let jobs = Jobs::new(&world);
        let many = (0..32).map(|job| (job, 0)).collect();
        let began = world.now();
        let done = run(&world, many, budget(&world, Duration::from_secs(1_000)), |job, _| jobs.pass(job, 3)).await;
        assert_eq!(done.last(), Some(&(3, 3)));
        assert_eq!(world.now(), began + Duration::from_secs(3 * 100 + 2), "only the slow job's own passes");
        let begun = jobs.begun.borrow();
        let second = begun.iter().position(|begun| *begun == (0, 1));
        let last_first = begun.iter().position(|begun| *begun == (31, 0));
        assert!(second < last_first, "later passes are made concurrently with first ones");
    }

    #[tokio::test]
    async fn a_pass_after_the_first_ones_follows_all_of_them() {
        let world = SimWorld::default();
        let begun = RefCell::new(Vec::new());
        let pass = |(job, passes): (usize, u32), firsts_left: bool| {
            begun.borrow_mut().push((job, passes));
            async move { ((job, passes + 1), if firsts_left { NextPass::AfterFirsts } else { NextPass::Never }) }
        };
        let done =
            run(&world, (0..20).map(|job| (job, 0)).collect(), budget(&world, Duration::from_secs(60)), pass).await;
        assert_eq!(done.len(), 20);
        let begun = begun.borrow();
        let first_later = begun.iter().position(|(_, passes)| *passes > 0);
        assert!(first_later > begun.iter().position(|(job, _)| *job == 19), "{begun:?}");
    }

    #[tokio::test]
    async fn after_the_budget_no_pass_begins_and_no_job_is_lost() {
        let world = SimWorld::default();
        let jobs = Jobs::new(&world);
        let done =
            run(&world, (0..100).map(|job| (job, 0)).collect(), budget(&world, Duration::from_secs(7)), |job, _| {
                jobs.pass(job, usize::MAX)
            })
            .await;
        assert_eq!(done.len(), 100);
        assert_eq!(done.iter().filter(|(_, passes)| *passes == 0).count(), 100 - 3 * MAX_CONCURRENCY);
    }

    #[tokio::test]
    async fn a_first_pass_may_begin_up_to_the_last_call() {
        let world = SimWorld::default();
        let reserve = INVOCATION_RESERVE.as_secs();
        for (seconds, passes) in [(reserve, 1), (reserve - 1, 0)] {
            let jobs = Jobs::new(&world);
            run(&world, vec![(0, 0)], budget(&world, Duration::from_secs(seconds)), |job, _| {
                jobs.pass(job, usize::MAX)
            })
            .await;
            assert_eq!(jobs.begun.borrow().len(), passes, "{seconds} s before the end");
        }
    }
}
