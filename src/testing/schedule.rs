//! The executor of a history: it polls jobs on one thread, and advances simulated time to the next timer when no job is
//! ready.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use super::SimWorld;
use super::history::monitor::Monitor;

type Job<'w> = Pin<Box<dyn Future<Output = ()> + 'w>>;
type Ready = Arc<Mutex<VecDeque<u64>>>;

/// The concurrent jobs of one world.
pub struct Schedule<'w> {
    world: &'w SimWorld,
    jobs: Rc<RefCell<BTreeMap<u64, Job<'w>>>>,
    next: RefCell<u64>,
    ready: Ready,
}

/// Wakes a job by putting it in the queue of ready jobs.
struct JobWaker {
    job: u64,
    ready: Ready,
}

impl Wake for JobWaker {
    fn wake(self: Arc<Self>) {
        if let Ok(mut ready) = self.ready.lock() {
            ready.push_back(self.job);
        }
    }
}

impl<'w> Schedule<'w> {
    /// Creates the schedule of a world that has a [`super::drive::Drive`].
    #[must_use]
    pub fn new(world: &'w SimWorld) -> Self {
        Self { world, jobs: Rc::default(), next: RefCell::default(), ready: Ready::default() }
    }

    /// Adds a job. Returns its number.
    pub fn spawn(&self, job: impl Future<Output = ()> + 'w) -> u64 {
        let mut next = self.next.borrow_mut();
        *next += 1;
        self.jobs.borrow_mut().insert(*next, Box::pin(job));
        self.make_ready(*next);
        *next
    }

    fn make_ready(&self, job: u64) {
        if let Ok(mut ready) = self.ready.lock() {
            ready.push_back(job);
        }
    }

    /// Drops a job, if it has not ended. A call that it has sent may still land. Returns whether it was running.
    pub fn kill(&self, job: u64) -> bool {
        let killed = self.jobs.borrow_mut().remove(&job);
        killed.is_some()
    }

    /// Drops all jobs.
    pub fn end(&self) {
        let jobs = std::mem::take(&mut *self.jobs.borrow_mut());
        drop(jobs);
    }

    /// Runs the jobs until none can continue, or `is_over` returns true.
    pub fn run(&self, is_over: impl Fn() -> bool) {
        while !is_over() {
            let next = self.ready.lock().ok().and_then(|mut ready| ready.pop_front());
            match next {
                Some(job) => self.poll_job(job),
                None if self.advance_to_next_timer() => {}
                None => return,
            }
        }
    }

    /// Polls a job once, and checks the invariants after it.
    fn poll_job(&self, number: u64) {
        let Some(mut job) = self.jobs.borrow_mut().remove(&number) else { return };
        let waker = Waker::from(Arc::new(JobWaker { job: number, ready: Arc::clone(&self.ready) }));
        if job.as_mut().poll(&mut Context::from_waker(&waker)) == Poll::Pending {
            self.jobs.borrow_mut().insert(number, job);
        }
        self.world.with(Monitor::check_locks_and_reasons);
    }

    /// Advances time to the earliest timer and wakes its job. Returns false if there is no timer.
    fn advance_to_next_timer(&self) -> bool {
        let waker = self.world.with(|state| {
            let ((until, _), waker) = state.drive.as_mut()?.timers.pop_first()?;
            state.advance((until - state.elapsed).max(0));
            Some(waker)
        });
        waker.map(Waker::wake).is_some()
    }
}

/// The reply of one job to another job that waits for it.
#[derive(Debug)]
pub struct Reply<T>(Rc<RefCell<(Option<T>, Option<Waker>)>>);

impl<T> Clone for Reply<T> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<T> Default for Reply<T> {
    fn default() -> Self {
        Self(Rc::new(RefCell::new((None, None))))
    }
}

impl<T> Reply<T> {
    /// Sets the reply, if it is not set yet.
    pub fn fill(&self, reply: T) {
        let waker = {
            let mut slot = self.0.borrow_mut();
            slot.0.get_or_insert(reply);
            slot.1.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Waits for the reply.
    pub async fn wait(self) -> T {
        std::future::poll_fn(|context| {
            let mut slot = self.0.borrow_mut();
            match slot.0.take() {
                Some(reply) => Poll::Ready(reply),
                None => {
                    slot.1 = Some(context.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }
}
