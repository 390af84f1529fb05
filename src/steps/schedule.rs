//! Schedules many passes, few at a time, in two lanes: no target's first pass waits for another target's later one.

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
pub(super) enum Next {
    /// Nothing more.
    Over,
    /// Another pass after this time.
    After(Duration),
    /// Another pass, once every job has had its first one.
    AfterFirsts,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Lane {
    First,
    Later,
}

/// The jobs that are not under way.
struct Lanes<J> {
    first: VecDeque<J>,
    /// When the next pass of each is due; the number keeps the order of jobs that are due at the same time.
    later: BTreeMap<(Time, u64), J>,
    after_firsts: Vec<J>,
    numbers: u64,
    /// Those that are over, or that the budget has no more time for.
    done: Vec<J>,
    /// How many are under way in each lane.
    busy: [usize; 2],
}

/// Runs passes over every job until it is over or the budget is used up: [`MAX_CONCURRENCY`] first passes, in the order of the
/// jobs, and as many later ones, concurrently. `look` makes one pass, and is told whether other jobs still wait for their first.
/// Returns all jobs, in no particular order.
pub(super) async fn run<C, J, L, A>(clock: &C, jobs: Vec<J>, budget: Budget, look: L) -> Vec<J>
where
    C: Clock + Sync,
    L: Fn(J, bool) -> A,
    A: Future<Output = (J, Next)>,
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
        while let Some((lane, job)) = lanes.next(clock.now(), budget) {
            let look = look(job, !lanes.first.is_empty());
            under_way.push(async move { (lane, look.await) });
        }
        let ended = match (lanes.due(), under_way.is_empty()) {
            (None, true) => return lanes.done,
            (None, false) => under_way.next().await,
            (Some(due), true) => {
                clock.sleep(clock.now().until(due)).await;
                None
            }
            (Some(due), false) => match select(pin!(clock.sleep(clock.now().until(due))), under_way.next()).await {
                Either::Left(_) => None,
                Either::Right((ended, _)) => ended,
            },
        };
        if let Some((lane, (job, next))) = ended {
            lanes.busy[lane as usize] -= 1;
            lanes.put_back(job, next, clock.now(), budget);
        }
    }
}

impl<J> Lanes<J> {
    /// The next pass to begin, if its lane has room.
    fn next(&mut self, now: Time, budget: Budget) -> Option<(Lane, J)> {
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
        let due = self.due().is_some_and(|due| due <= now);
        let (_, job) = due.then(|| self.later.pop_first()).flatten()?;
        self.busy[Lane::Later as usize] += 1;
        Some((Lane::Later, job))
    }

    /// When the next later pass is due, if its lane has room.
    fn due(&self) -> Option<Time> {
        let room = self.busy[Lane::Later as usize] < MAX_CONCURRENCY;
        self.later.first_key_value().filter(|_| room).map(|((due, _), _)| *due)
    }

    fn put_back(&mut self, job: J, next: Next, now: Time, budget: Budget) {
        match next {
            Next::Over => self.done.push(job),
            Next::After(wait) => self.add_later(job, now + wait, budget),
            Next::AfterFirsts => self.after_firsts.push(job),
        }
    }

    fn add_later(&mut self, job: J, due: Time, budget: Budget) {
        if budget.allows(due) {
            self.numbers += 1;
            self.later.insert((due, self.numbers), job);
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

    fn budget(world: &SimWorld, seconds: u64) -> Budget {
        Budget { deadline: world.now() + Duration::from_secs(seconds) }
    }

    /// Every pass takes two seconds; two more passes follow the first.
    struct Jobs<'a> {
        world: &'a SimWorld,
        under_way: Cell<usize>,
        most: Cell<usize>,
        /// Which job was looked at, and for which time.
        begun: RefCell<Vec<(usize, u32)>>,
    }

    impl<'a> Jobs<'a> {
        fn new(world: &'a SimWorld) -> Self {
            Self { world, under_way: Cell::new(0), most: Cell::new(0), begun: RefCell::new(Vec::new()) }
        }

        async fn look(&self, (job, looks): (usize, u32), slow: usize) -> ((usize, u32), Next) {
            self.begun.borrow_mut().push((job, looks));
            self.under_way.set(self.under_way.get() + 1);
            self.most.set(self.most.get().max(self.under_way.get()));
            self.world.sleep(Duration::from_secs(if job == slow { 100 } else { 2 })).await;
            self.under_way.set(self.under_way.get() - 1);
            ((job, looks + 1), if looks == 2 { Next::Over } else { Next::After(Duration::from_secs(1)) })
        }
    }

    #[tokio::test]
    async fn few_looks_are_under_way_at_once_however_many_jobs_there_are() {
        let world = SimWorld::default();
        let jobs = Jobs::new(&world);
        let many = (0..1_000).map(|job| (job, 0)).collect();
        let done = run(&world, many, budget(&world, 10_000), |job, _| jobs.look(job, usize::MAX)).await;
        assert_eq!(jobs.most.get(), 2 * MAX_CONCURRENCY);
        let mut all: Vec<usize> = done.iter().map(|(job, _)| *job).collect();
        all.sort_unstable();
        assert_eq!(all, (0..1_000).collect::<Vec<_>>(), "none is lost, none comes twice");
        assert!(done.iter().all(|(_, looks)| *looks == 3));
        let firsts: Vec<usize> = jobs.begun.borrow().iter().filter(|(_, n)| *n == 0).map(|(job, _)| *job).collect();
        assert_eq!(firsts, (0..1_000).collect::<Vec<_>>(), "first looks are made in order");
    }

    #[tokio::test]
    async fn a_slow_look_keeps_none_waiting_but_itself() {
        let world = SimWorld::default();
        let jobs = Jobs::new(&world);
        let many = (0..32).map(|job| (job, 0)).collect();
        let began = world.now();
        let done = run(&world, many, budget(&world, 1_000), |job, _| jobs.look(job, 3)).await;
        assert_eq!(done.last(), Some(&(3, 3)));
        assert_eq!(
            world.now(),
            began + Duration::from_secs(3 * 100 + 2),
            "the slow one's own looks, and nobody else's"
        );
        let begun = jobs.begun.borrow();
        let second = begun.iter().position(|begun| *begun == (0, 1));
        let last_first = begun.iter().position(|begun| *begun == (31, 0));
        assert!(second < last_first, "later looks are made beside first ones");
    }

    #[tokio::test]
    async fn what_waits_for_the_first_looks_comes_behind_them() {
        let world = SimWorld::default();
        let begun = RefCell::new(Vec::new());
        let look = |(job, looks): (usize, u32), firsts_left: bool| {
            begun.borrow_mut().push((job, looks));
            async move { ((job, looks + 1), if firsts_left { Next::AfterFirsts } else { Next::Over }) }
        };
        let done = run(&world, (0..20).map(|job| (job, 0)).collect(), budget(&world, 60), look).await;
        assert_eq!(done.len(), 20);
        let begun = begun.borrow();
        let first_later = begun.iter().position(|(_, looks)| *looks > 0);
        assert!(first_later > begun.iter().position(|(job, _)| *job == 19), "{begun:?}");
    }

    #[tokio::test]
    async fn behind_the_budget_nothing_begins_and_nothing_is_lost() {
        let world = SimWorld::default();
        let jobs = Jobs::new(&world);
        let done =
            run(&world, (0..100).map(|job| (job, 0)).collect(), budget(&world, 7), |job, _| jobs.look(job, usize::MAX))
                .await;
        assert_eq!(done.len(), 100);
        assert_eq!(done.iter().filter(|(_, looks)| *looks == 0).count(), 100 - 3 * MAX_CONCURRENCY);
    }

    #[tokio::test]
    async fn a_first_look_may_begin_up_to_the_last_call() {
        let world = SimWorld::default();
        let reserve = INVOCATION_RESERVE.as_secs();
        for (seconds, looks) in [(reserve, 1), (reserve - 1, 0)] {
            let jobs = Jobs::new(&world);
            run(&world, vec![(0, 0)], budget(&world, seconds), |job, _| jobs.look(job, usize::MAX)).await;
            assert_eq!(jobs.begun.borrow().len(), looks, "{seconds} s before the end");
        }
    }
}
