//! Figures as a Markdown table.

use std::time::Duration;

#[derive(Debug, Default)]
pub(crate) struct Report {
    rows: Vec<(String, String, String, String)>,
}

impl Report {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// One line: what, the floor of the same run, Muster's figure, and the ratio or goal.
    pub(crate) fn row(
        &mut self,
        what: impl Into<String>,
        floor: impl Into<String>,
        figure: impl Into<String>,
        verdict: impl Into<String>,
    ) {
        let row = (what.into(), floor.into(), figure.into(), verdict.into());
        tell(&format!("{}: {} (floor {}) {}", row.0, row.2, row.1, row.3));
        self.rows.push(row);
    }

    #[expect(clippy::print_stdout, reason = "the result of a benchmark belongs on stdout")]
    pub(crate) fn print(&self) {
        println!("| What | Floor in the same run | Muster | Ratio, goal |\n|---|---|---|---|");
        for (what, floor, figure, verdict) in &self.rows {
            println!("| {what} | {floor} | {figure} | {verdict} |");
        }
    }
}

/// A line for whoever waits.
#[expect(clippy::print_stderr, reason = "progress of a benchmark is for the person who waits")]
pub(crate) fn tell(line: &str) {
    eprintln!("{line}");
}

/// The middle one.
pub(crate) fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// The one that so many of a hundred do not exceed.
pub(crate) fn percentile(mut times: Vec<Duration>, percent: usize) -> Duration {
    times.sort_unstable();
    times.get(times.len() * percent / 100).copied().unwrap_or_default()
}

/// Milliseconds with as many digits as mean something.
pub(crate) fn ms(time: Duration) -> String {
    let ms = time.as_secs_f64() * 1_000.0;
    if ms < 10.0 {
        format!("{ms:.2} ms")
    } else {
        format!("{ms:.0} ms")
    }
}

/// How many times the floor.
pub(crate) fn ratio(figure: Duration, floor: Duration) -> f64 {
    figure.as_secs_f64() / floor.as_secs_f64().max(f64::EPSILON)
}
