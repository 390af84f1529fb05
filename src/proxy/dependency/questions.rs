//! Answers the shim's questions.

use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::model::invocation::{Breakage, Unresolvable};
use crate::proxy::log::log_line;

use super::breakages::Breakages;
use super::destinations::{Destinations, Target};
use super::hole::Holes;
use super::wire::{Answer, HostSet, QUESTION_BYTES, Question};

/// How long a question may take to arrive. The shim sends it at once, and gives up after that time.
const MAX_QUESTION: Duration = Duration::from_secs(1);
/// How long the answerer waits after it could not accept a question.
const RETRY_DELAY: Duration = Duration::from_millis(10);

/// Codes of getaddrinfo(3), the same on all architectures (netdb.h of glibc, which is not this program's libc).
const EAI_NONAME: i32 = -2;
const EAI_AGAIN: i32 = -3;

struct Answerer {
    breakages: Arc<Breakages>,
    destinations: Arc<Destinations>,
    /// They stay open until this process ends: a connection to a hole must not fail at the end of the run.
    holes: &'static Holes,
}

/// Answers questions until the faults expire. After that, the shim asks no more; connections that are open continue.
pub(crate) async fn answer_questions(listener: UnixListener, breakages: Arc<Breakages>) {
    let listener = listener.set_nonblocking(true).and_then(|()| tokio::net::UnixListener::from_std(listener));
    let listener = match listener {
        Ok(listener) => listener,
        Err(error) => return log_line(&format!("cannot answer questions about dependencies: {error}")),
    };
    let destinations = Destinations::new(Arc::clone(&breakages));
    let answerer = Arc::new(Answerer { breakages, destinations, holes: Box::leak(Box::default()) });
    while !answerer.breakages.are_over() {
        match tokio::time::timeout(answerer.breakages.remaining(), listener.accept()).await {
            Ok(Ok((stream, _))) => drop(tokio::spawn(Arc::clone(&answerer).serve(stream))),
            Ok(Err(_)) => tokio::time::sleep(RETRY_DELAY).await,
            Err(_) => {}
        }
    }
}

impl Answerer {
    async fn serve(self: Arc<Self>, mut stream: UnixStream) {
        let mut question = [0; QUESTION_BYTES];
        let read = tokio::time::timeout(MAX_QUESTION, stream.read_exact(&mut question)).await;
        let (Ok(Ok(_)), Some(question)) = (read, Question::from_bytes(&question)) else { return };
        let answer = self.answer(question).await;
        // A process that has ended needs no answer.
        let _ = stream.write_all(&answer.to_bytes()).await;
    }

    async fn answer(&self, question: Question) -> Answer {
        if self.breakages.are_over() {
            return Answer::Pass;
        }
        match question {
            Question::Resolve { hosts } => self.resolve(hosts),
            Question::Connect { hosts, address, port, is_nonblocking, is_only_ipv6 } => {
                let target = Target { address, port, hosts, is_only_ipv6 };
                match self.obstruct(&target) {
                    Some(answer) => answer,
                    None => self.destinations.open(target, is_nonblocking).await,
                }
            }
        }
    }

    fn resolve(&self, hosts: HostSet) -> Answer {
        for (fault, breakage) in self.breakages.triggered(self.breakages.faults_of(hosts)) {
            if let Breakage::Unresolvable(how) = breakage {
                self.breakages.report(fault, hosts, Duration::ZERO);
                return Answer::Fail(if how == Unresolvable::NotFound { EAI_NONAME } else { EAI_AGAIN });
            }
        }
        Answer::Pass
    }

    /// Returns how a new connection fails, if it does.
    fn obstruct(&self, target: &Target) -> Option<Answer> {
        let faults = self.breakages.faults_of(target.hosts);
        for (fault, breakage) in self.breakages.triggered(faults) {
            let answer = match breakage {
                Breakage::Refuse => Answer::Fail(libc::ECONNREFUSED),
                Breakage::Blackhole => Answer::Through(self.holes.port(target.is_only_ipv6)?),
                _ => continue,
            };
            self.breakages.report(fault, target.hosts, Duration::ZERO);
            return Some(answer);
        }
        None
    }
}
