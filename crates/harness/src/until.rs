//! Waiting for a condition.

use std::fmt::Debug;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

/// How long [`until`] waits.
const LIMIT: Duration = Duration::from_secs(30);
const FIRST_PAUSE: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// Asks `condition` again and again until it gives `Ok`, for at most 30 seconds.
///
/// `Err` carries the state that was seen instead; the last one is printed when the time is over.
///
/// ```
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
/// # runtime.block_on(async {
/// let mut seen = 0;
/// let three = muster_harness::until("three were seen", async || {
///     seen += 1;
///     if seen == 3 { Ok(seen) } else { Err(seen) }
/// })
/// .await;
/// assert_eq!(three, 3);
/// # });
/// ```
///
/// # Panics
/// If the condition does not come in time.
pub async fn until<T, S: Debug>(what: &str, condition: impl AsyncFnMut() -> Result<T, S>) -> T {
    until_within(LIMIT, what, condition).await
}

/// [`until`] with a limit of its own.
///
/// # Panics
/// If the condition does not come in time.
pub async fn until_within<T, S: Debug>(
    limit: Duration,
    what: &str,
    mut condition: impl AsyncFnMut() -> Result<T, S>,
) -> T {
    let end = Instant::now() + limit;
    let mut last: Option<S> = None;
    let mut pause = FIRST_PAUSE;
    loop {
        match timeout_at(end, condition()).await {
            Ok(Ok(value)) => return value,
            Ok(Err(state)) => last = Some(state),
            Err(_) => break,
        }
        if Instant::now() + pause > end {
            break;
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
    match last {
        Some(state) => panic!("waited {limit:?} in vain until {what}; seen last: {state:#?}"),
        None => panic!("waited {limit:?} in vain until {what}; the condition never gave an answer"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(20);

    /// What the test that waits says when it fails.
    fn panic_of(waiting: impl AsyncFnOnce() + Send + 'static) -> String {
        let failed = std::thread::spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(waiting());
        })
        .join();
        failed.unwrap_err().downcast_ref::<String>().unwrap().clone()
    }

    #[test]
    fn the_last_state_is_told_when_time_is_over() {
        let text = panic_of(async || {
            let mut count = 0;
            until_within(SHORT, "the count is high", async || {
                count += 1;
                if count > 1_000_000 { Ok(()) } else { Err("low") }
            })
            .await;
        });
        assert!(text.contains("until the count is high; seen last: \"low\""), "{text}");
    }

    #[test]
    fn a_condition_that_hangs_does_not_hang_the_test() {
        let text = panic_of(async || {
            until_within(SHORT, "nothing", async || {
                std::future::pending::<Result<(), ()>>().await
            })
            .await;
        });
        assert!(text.contains("never gave an answer"), "{text}");
    }
}
