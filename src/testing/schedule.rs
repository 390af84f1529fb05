//! A schedule of tasks in simulated time: whoever is due next goes on, and time moves on to it. One thread, no waiting.

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

/// Tasks that go on side by side in one world.
pub struct Schedule<'w> {
    world: &'w SimWorld,
    jobs: Rc<RefCell<BTreeMap<u64, Job<'w>>>>,
    next: RefCell<u64>,
    ready: Ready,
}

struct Bell {
    job: u64,
    ready: Ready,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        if let Ok(mut ready) = self.ready.lock() {
            ready.push_back(self.job);
        }
    }
}

impl<'w> Schedule<'w> {
    /// Of a world that lives by a schedule (it has a [`super::drive::Drive`]).
    #[must_use]
    pub fn new(world: &'w SimWorld) -> Self {
        Self { world, jobs: Rc::default(), next: RefCell::default(), ready: Ready::default() }
    }

    /// Begins a task.
    pub fn spawn(&self, job: impl Future<Output = ()> + 'w) -> u64 {
        let mut next = self.next.borrow_mut();
        *next += 1;
        self.jobs.borrow_mut().insert(*next, Box::pin(job));
        self.ring(*next);
        *next
    }

    fn ring(&self, job: u64) {
        if let Ok(mut ready) = self.ready.lock() {
            ready.push_back(job);
        }
    }

    /// Ends a task where it stands, if it has not ended: what it has sent may land yet.
    pub fn kill(&self, job: u64) -> bool {
        let killed = self.jobs.borrow_mut().remove(&job);
        killed.is_some()
    }

    /// Ends all tasks.
    pub fn end(&self) {
        let jobs = std::mem::take(&mut *self.jobs.borrow_mut());
        drop(jobs);
    }

    /// Goes on until nothing is left to do, or `over` says so.
    pub fn run(&self, over: impl Fn() -> bool) {
        while !over() {
            let next = self.ready.lock().ok().and_then(|mut ready| ready.pop_front());
            match next {
                Some(job) => self.go_on(job),
                None if self.pass() => {}
                None => return,
            }
        }
    }

    fn go_on(&self, number: u64) {
        let Some(mut job) = self.jobs.borrow_mut().remove(&number) else { return };
        let waker = Waker::from(Arc::new(Bell { job: number, ready: Arc::clone(&self.ready) }));
        if job.as_mut().poll(&mut Context::from_waker(&waker)) == Poll::Pending {
            self.jobs.borrow_mut().insert(number, job);
        }
        self.world.with(Monitor::check);
    }

    /// Lets time pass until somebody is due.
    fn pass(&self) -> bool {
        let waker = self.world.with(|state| {
            let ((until, _), waker) = state.drive.as_mut()?.timers.pop_first()?;
            state.advance((until - state.elapsed).max(0));
            Some(waker)
        });
        waker.map(Waker::wake).is_some()
    }
}

/// The answer of a task to the one who waits for it.
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
    /// Gives the answer, if there is none yet.
    pub fn fill(&self, answer: T) {
        let waker = {
            let mut slot = self.0.borrow_mut();
            slot.0.get_or_insert(answer);
            slot.1.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Waits for the answer.
    pub async fn wait(self) -> T {
        std::future::poll_fn(|context| {
            let mut slot = self.0.borrow_mut();
            match slot.0.take() {
                Some(answer) => Poll::Ready(answer),
                None => {
                    slot.1 = Some(context.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }
}
