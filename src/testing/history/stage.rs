//! Invocations in a history: each starts after a delay, has its own clock, and may die or lose its response.

use std::rc::Rc;
use std::time::Duration;

use crate::model::time::{Time, in_whole_seconds, whole_milliseconds};
use crate::steps::{Budget, MAX_CLOCK_SKEW};
use crate::testing::dice::Dice;
use crate::testing::schedule::{Reply, Schedule};
use crate::testing::worker::{Role, Worker};
use crate::testing::{SimWorld, State};

/// How far a clock may be ahead or behind, in milliseconds. Two clocks differ by at most the bound.
const MAX_SKEW_MS: i64 = whole_milliseconds(MAX_CLOCK_SKEW) / 2;

/// What the caller of a function learns.
#[derive(Debug)]
pub enum Invoked<T> {
    /// The function returned this result.
    Done(T),
    /// The invocation died and Lambda reported `Runtime.ExitError`. Only Restore and Report are retried after that.
    Crashed,
    /// No response: the invocation was killed at its deadline, or its response was lost.
    Silent,
}

/// The world of a history, and its schedule.
#[derive(Clone)]
pub struct Stage<'w> {
    /// The world.
    pub world: &'w SimWorld,
    /// The world's schedule.
    pub schedule: Rc<Schedule<'w>>,
    /// How many invocations in a hundred die. As many responses are lost.
    pub death_percent: u32,
}

/// The random part of an invocation.
struct Luck {
    /// Time until it starts, in milliseconds.
    start_ms: i64,
    /// How far its clock is ahead, in milliseconds.
    skew_ms: i64,
    /// Time from its start to its death, in milliseconds.
    death_ms: Option<i64>,
    /// Whether Lambda reports a death to the caller.
    death_is_reported: bool,
    /// Whether the response is lost.
    response_is_lost: bool,
}

impl<'w> Stage<'w> {
    /// Draws something from the history's dice.
    pub fn draw<T>(&self, draw: impl FnOnce(&mut Dice) -> T) -> T {
        self.world.with(|state| draw(&mut state.drive.get_or_insert_default().dice))
    }

    /// The simulated time since the beginning, in milliseconds.
    #[must_use]
    pub fn elapsed(&self) -> i64 {
        self.world.with(|state: &mut State| state.elapsed)
    }

    /// Adds a line to the journal, if there is one.
    pub fn note(&self, line: impl FnOnce() -> String) {
        self.world.with(|state| {
            let elapsed = state.elapsed;
            if let Some(drive) = &mut state.drive {
                drive.note(elapsed, line);
            }
        });
    }

    /// Records the time of a death that was drawn. It postpones the latest end of the runs; a timeout does not, because
    /// an invocation has to respect its own time limit.
    fn record_death(&self, drawn: bool) {
        self.world.with(|state| {
            let elapsed = state.elapsed;
            if let Some(drive) = state.drive.as_mut().filter(|_| drawn) {
                drive.died_at = elapsed;
            }
        });
    }

    /// Waits as a Wait state does, in whole seconds.
    pub async fn wait(&self, wait: Duration) {
        self.sleep(whole_milliseconds(in_whole_seconds(wait))).await;
    }

    /// Waits for this many milliseconds.
    pub async fn sleep(&self, milliseconds: i64) {
        crate::ports::Clock::sleep(self.world, Duration::from_millis(milliseconds.max(0).unsigned_abs())).await;
    }

    /// Waits until this many milliseconds after the beginning.
    pub async fn sleep_until(&self, elapsed_ms: i64) {
        self.sleep(elapsed_ms - self.elapsed()).await;
    }

    /// Waits until the targets of the first run have ended, for at most a hundred seconds.
    pub async fn first_run_ended(&self) {
        let ended = |state: &mut State| {
            let mut targets = state.targets.values().filter(|target| target.run.as_str() == "run-1").peekable();
            targets.peek().is_some() && targets.all(|target| target.status.is_final())
        };
        for _ in 0..1_000 {
            if self.world.with(ended) {
                return;
            }
            self.sleep(100).await;
        }
    }

    /// Waits for a random time of at most this many seconds.
    pub async fn jitter(&self, seconds: i64) {
        let milliseconds = self.draw(|dice| dice.between(1, seconds * 1000));
        self.sleep(milliseconds).await;
    }

    fn draw_luck(&self, role: Role) -> Luck {
        let deaths = self.death_percent;
        self.draw(|dice| Luck {
            // Most invocations start immediately. Some wait for a cold start, or because too many are running.
            start_ms: match dice.between(0, 99) {
                0..3 => dice.between(1_000, 20_000),
                3..13 => dice.between(5, 1_500),
                _ => dice.between(5, 60),
            },
            skew_ms: dice.between(-MAX_SKEW_MS, MAX_SKEW_MS),
            // Most deaths are early, because most invocations are short.
            death_ms: dice.percent(deaths).then(|| {
                let latest = Duration::from_secs(if dice.percent(60) { 3 } else { 60 });
                dice.between(0, whole_milliseconds(role.timeout().min(latest)))
            }),
            death_is_reported: dice.percent(50),
            response_is_lost: dice.percent(deaths),
        })
    }

    /// Invokes a function once. It keeps running if the caller is dropped.
    pub async fn invoke<T: 'w, F: Future<Output = T> + 'w>(
        &self,
        role: Role,
        subject: &str,
        call: &impl Fn(Worker<'w>, Budget) -> F,
    ) -> Invoked<T> {
        let luck = self.draw_luck(role);
        self.sleep(luck.start_ms).await;
        let deadline = self.world.with(|state| state.now()) + role.timeout();
        let name = format!("{role:?} of {subject}");
        let reply: Reply<Invoked<T>> = Reply::default();
        let work =
            call(Worker::new(self.world, name.clone(), role, luck.skew_ms), Budget { deadline: Time(deadline.0) });
        let (done, died) = (reply.clone(), reply.clone());
        let job = self.schedule.spawn(async move { done.fill(Invoked::Done(work.await)) });
        let stage = self.clone();
        let killer = self.schedule.spawn(async move {
            stage.sleep(luck.death_ms.unwrap_or(whole_milliseconds(role.timeout()))).await;
            if stage.schedule.kill(job) {
                stage.note(|| format!("{name} dies"));
                stage.record_death(luck.death_ms.is_some());
            }
            let reported = luck.death_ms.is_some() && luck.death_is_reported;
            died.fill(if reported { Invoked::Crashed } else { Invoked::Silent });
        });
        let response = reply.wait().await;
        self.schedule.kill(killer);
        if luck.response_is_lost { Invoked::Silent } else { response }
    }
}
