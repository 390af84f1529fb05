//! Where invocations take place: each starts when it can, has its own clock, and may die or lose its answer.

use std::rc::Rc;
use std::time::Duration;

use crate::model::time::{Time, in_whole_seconds, whole_milliseconds};
use crate::steps::{Budget, MAX_CLOCK_SKEW};
use crate::testing::dice::Dice;
use crate::testing::schedule::{Reply, Schedule};
use crate::testing::worker::{Role, Worker};
use crate::testing::{SimWorld, State};

/// Milliseconds by which one clock may be ahead or late: two of them differ by no more than the bound.
const MAX_SKEW_MS: i64 = whole_milliseconds(MAX_CLOCK_SKEW) / 2;

/// What the one who invokes a function hears.
#[derive(Debug)]
pub enum Invoked<T> {
    /// Its result.
    Done(T),
    /// `Runtime.ExitError`: it died, and only Restore and Report are tried again after that.
    Crashed,
    /// Nothing: it was killed at its deadline, or its answer was lost.
    Silent,
}

/// The stage of a history.
#[derive(Clone)]
pub struct Stage<'w> {
    /// The world.
    pub world: &'w SimWorld,
    /// Its schedule.
    pub schedule: Rc<Schedule<'w>>,
    /// Of a hundred invocations, so many die on the way, and as many answers are lost.
    pub death_percent: u32,
}

/// What is drawn for an invocation.
struct Lot {
    start: i64,
    skew: i64,
    death: Option<i64>,
    /// Whether the runtime says that it died, or nobody says anything.
    crash: bool,
    silent: bool,
}

impl<'w> Stage<'w> {
    /// Something by chance.
    pub fn draw<T>(&self, draw: impl FnOnce(&mut Dice) -> T) -> T {
        self.world.with(|state| draw(&mut state.drive.get_or_insert_default().dice))
    }

    /// Milliseconds since the beginning.
    #[must_use]
    pub fn elapsed(&self) -> i64 {
        self.world.with(|state: &mut State| state.elapsed)
    }

    /// Writes into the journal.
    pub fn note(&self, line: impl FnOnce() -> String) {
        self.world.with(|state| {
            let elapsed = state.elapsed;
            if let Some(drive) = &mut state.drive {
                drive.note(elapsed, line);
            }
        });
    }

    /// A death that was drawn is a trouble; to run into one's own timeout is none that would excuse anything.
    fn remember_death(&self, drawn: bool) {
        self.world.with(|state| {
            let elapsed = state.elapsed;
            if let Some(drive) = state.drive.as_mut().filter(|_| drawn) {
                drive.died_at = elapsed;
            }
        });
    }

    /// Waits as a Wait state does: whole seconds.
    pub async fn wait(&self, wait: Duration) {
        self.sleep(whole_milliseconds(in_whole_seconds(wait))).await;
    }

    /// Lets so many milliseconds pass.
    pub async fn sleep(&self, milliseconds: i64) {
        crate::ports::Clock::sleep(self.world, Duration::from_millis(milliseconds.max(0).unsigned_abs())).await;
    }

    /// Waits until so many milliseconds after the beginning.
    pub async fn until(&self, elapsed: i64) {
        self.sleep(elapsed - self.elapsed()).await;
    }

    /// Waits until what the first run has done is undone, but not for ever.
    pub async fn first_is_over(&self) {
        let over = |state: &mut State| {
            let mut targets = state.targets.values().filter(|target| target.run.as_str() == "run-1").peekable();
            targets.peek().is_some() && targets.all(|target| target.status.is_final())
        };
        for _ in 0..1_000 {
            if self.world.with(over) {
                return;
            }
            self.sleep(100).await;
        }
    }

    /// Lets up to so many seconds pass.
    pub async fn jitter(&self, seconds: i64) {
        let milliseconds = self.draw(|dice| dice.between(1, seconds * 1000));
        self.sleep(milliseconds).await;
    }

    fn lot(&self, role: Role) -> Lot {
        let deaths = self.death_percent;
        self.draw(|dice| Lot {
            // Most start at once; some wait for a cold start, or because too many run.
            start: match dice.between(0, 99) {
                0..3 => dice.between(1_000, 20_000),
                3..13 => dice.between(5, 1_500),
                _ => dice.between(5, 60),
            },
            // Two clocks differ by no more than the bound.
            skew: dice.between(-MAX_SKEW_MS, MAX_SKEW_MS),
            // Most soon, for most are soon through.
            death: dice.percent(deaths).then(|| {
                let latest = Duration::from_secs(if dice.percent(60) { 3 } else { 60 });
                dice.between(0, whole_milliseconds(role.timeout().min(latest)))
            }),
            crash: dice.percent(50),
            silent: dice.percent(deaths),
        })
    }

    /// Invokes a function once. It goes on when the one who waits for it does not.
    pub async fn invoke<T: 'w, F: Future<Output = T> + 'w>(
        &self,
        role: Role,
        about: &str,
        call: &impl Fn(Worker<'w>, Budget) -> F,
    ) -> Invoked<T> {
        let lot = self.lot(role);
        self.sleep(lot.start).await;
        let deadline = self.world.with(|state| state.now()) + role.timeout();
        let name = format!("{role:?} of {about}");
        let slot: Reply<Invoked<T>> = Reply::default();
        let work = call(Worker::new(self.world, name.clone(), role, lot.skew), Budget { deadline: Time(deadline.0) });
        let (done, died) = (slot.clone(), slot.clone());
        let job = self.schedule.spawn(async move { done.fill(Invoked::Done(work.await)) });
        let stage = self.clone();
        let killer = self.schedule.spawn(async move {
            stage.sleep(lot.death.unwrap_or(whole_milliseconds(role.timeout()))).await;
            if stage.schedule.kill(job) {
                stage.note(|| format!("{name} dies"));
                stage.remember_death(lot.death.is_some());
            }
            died.fill(if lot.death.is_some() && lot.crash { Invoked::Crashed } else { Invoked::Silent });
        });
        let answer = slot.wait().await;
        self.schedule.kill(killer);
        if lot.silent { Invoked::Silent } else { answer }
    }
}
