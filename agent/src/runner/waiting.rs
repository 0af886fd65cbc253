//! Waiting for others in a runner, which has no runtime: a stop or the end of the time ends the wait.

use std::future::Future;
use std::path::Path;
use std::time::{Duration, Instant};

use prost::Message;
use tokio::net::UnixStream;

use super::action::Trouble;
use super::process::End;
use super::step::Sign;
use super::stop::StopSignal;
use crate::courier::{Answer, Question};
use crate::os;
use crate::state::StateDir;

/// An action that is over within a moment is told about once, at its end.
const MOMENT: Duration = Duration::from_millis(500);
/// How long a service may take to answer, with all repetitions.
const ANSWER: Duration = Duration::from_secs(120);
/// Between two questions that were not answered.
const AGAIN: Duration = Duration::from_millis(500);

/// What a wait obeys.
pub(crate) struct Waiting<'a> {
    pub(crate) state: &'a StateDir,
    pub(crate) stop: &'a mut StopSignal,
    /// Hears when it takes more than a moment.
    pub(crate) tell: &'a mut dyn FnMut(Sign),
    pub(crate) deadline: Instant,
}

impl Waiting<'_> {
    /// Asks a service, through the agent's connection; `operation` is one of `muster_wire::subject::RPC_…`.
    /// Asks again while nobody answers, for two minutes at most.
    pub(crate) fn ask<Given: Message + Default>(
        &mut self,
        operation: &str,
        request: &impl Message,
    ) -> Result<Given, Trouble> {
        let question = Question {
            operation: operation.to_owned(),
            payload: request.encode_to_vec(),
        };
        let socket = self.state.courier_socket();
        let given = self
            .block_on(async { tokio::time::timeout(ANSWER, ask(&socket, &question)).await })?
            .map_err(|_| Trouble::Failed(format!("no service answers {operation}")))?
            .map_err(Trouble::Failed)?;
        Given::decode(given.as_slice())
            .map_err(|_| Trouble::Failed(format!("the answer to {operation} is not understood")))
    }

    /// Waits for `work` on a runtime of its own. A timeout or a stop drops the work where it stands.
    pub(crate) fn block_on<Work: Future>(&mut self, work: Work) -> Result<Work::Output, Trouble> {
        let system = |error: std::io::Error| Trouble::NeverRan(format!("the system refuses a runtime: {error}"));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(system)?;
        let outcome = runtime.block_on(self.race(work));
        // A name look-up that hangs is not waited for.
        runtime.shutdown_background();
        outcome
    }

    async fn race<Work: Future>(&mut self, work: Work) -> Result<Work::Output, Trouble> {
        let system = |error: std::io::Error| Trouble::NeverRan(format!("cannot watch for a stop: {error}"));
        let pipe = std::os::fd::AsFd::as_fd(&*self.stop)
            .try_clone_to_owned()
            .map_err(system)?;
        let asked = os::watch_readable(pipe).map_err(system)?;
        let deadline = self.deadline.into();
        let moment = (Instant::now() + MOMENT).into();
        let mut work = std::pin::pin!(work);
        let mut is_lasting = false;
        loop {
            if let Some(reason) = self.stop.reason() {
                return Err(Trouble::Ended(End::Stopped(reason)));
            }
            tokio::select! {
                biased;
                output = &mut work => return Ok(output),
                ready = asked.readable() => ready.map_err(system)?.clear_ready(),
                () = tokio::time::sleep_until(deadline) => return Err(Trouble::Ended(End::TimedOut)),
                () = tokio::time::sleep_until(moment), if !is_lasting => {
                    is_lasting = true;
                    (self.tell)(Sign::Lasting);
                }
            }
        }
    }
}

/// Asks until there is an answer.
async fn ask(socket: &Path, question: &Question) -> Result<Vec<u8>, String> {
    loop {
        let once = async {
            let mut stream = UnixStream::connect(socket).await?;
            question.write(&mut stream).await?;
            Answer::read(&mut stream).await
        };
        match once.await {
            Ok(Answer::Given(payload)) => return Ok(payload),
            Ok(Answer::Refused(why)) => return Err(why),
            // The agent may be away for a moment: it is being replaced, or was killed.
            Ok(Answer::Unanswered) | Err(_) => tokio::time::sleep(AGAIN).await,
        }
    }
}
