//! The tasks of a service: one group, one way to end them, no silent death.

use std::future::Future;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Any error of a task.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A task died unasked.
#[derive(Debug, thiserror::Error)]
#[error("the task {name} died")]
pub struct TaskFailure {
    /// Which one.
    pub name: &'static str,
    /// Why.
    #[source]
    pub cause: BoxError,
}

/// The tasks of a service.
#[derive(Debug, Clone)]
pub struct Tasks {
    tracker: TaskTracker,
    stop: CancellationToken,
    failures: mpsc::UnboundedSender<TaskFailure>,
}

impl Tasks {
    /// An empty group; the receiver hears of tasks that die unasked.
    #[must_use]
    pub fn new() -> (Self, mpsc::UnboundedReceiver<TaskFailure>) {
        let (failures, heard) = mpsc::unbounded_channel();
        let tasks = Self {
            tracker: TaskTracker::new(),
            stop: CancellationToken::new(),
            failures,
        };
        (tasks, heard)
    }

    /// Starts a task. It should watch [`Tasks::stopping`] and return when that is cancelled.
    pub fn spawn<F>(&self, name: &'static str, task: F)
    where
        F: Future<Output = Result<(), BoxError>> + Send + 'static,
    {
        let failures = self.failures.clone();
        let running = self.tracker.spawn(task);
        self.tracker.spawn(async move {
            let cause = match running.await {
                Ok(Ok(())) => return,
                Ok(Err(cause)) => cause,
                Err(panicked) => panicked.into(),
            };
            // Nobody listens any more only while the process is ending.
            let _ = failures.send(TaskFailure { name, cause });
        });
    }

    /// Cancelled when the service stops.
    #[must_use]
    pub fn stopping(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Asks all tasks to end and waits for them.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.tracker.close();
        self.tracker.wait().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_dies_is_named() {
        let (tasks, mut heard) = Tasks::new();
        tasks.spawn("sweeper", async { Err("out of brooms".into()) });
        let failure = heard.recv().await.unwrap();
        assert_eq!(failure.name, "sweeper");
        tasks.spawn("walker", async { panic!("stumbled") });
        assert_eq!(heard.recv().await.unwrap().name, "walker");
    }

    #[tokio::test]
    async fn stopping_waits_for_the_tasks() {
        let (tasks, _heard) = Tasks::new();
        let stopping = tasks.stopping();
        let (done, finished) = tokio::sync::oneshot::channel();
        tasks.spawn("worker", async move {
            stopping.cancelled().await;
            let _ = done.send(());
            Ok(())
        });
        tasks.stop().await;
        finished.await.unwrap();
    }
}
