//! A line on the terminal that says how far long work is.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use clap::Args;
use driftdb_env::Env;

/// Between two looks at the terminal.
const EVERY: Duration = Duration::from_millis(200);

/// Whether to show how far the work is.
#[derive(Debug, Clone, Copy, Default, Args)]
pub(crate) struct ProgressOptions {
    /// Show progress on standard error though it is not a terminal
    #[arg(long, conflicts_with = "quiet")]
    progress: bool,
    /// Show no progress
    #[arg(long)]
    quiet: bool,
}

/// Shows progress on standard error.
pub(crate) struct Progress {
    env: Env,
    is_shown: bool,
    is_terminal: bool,
    start: Duration,
    last: Option<Duration>,
}

impl Progress {
    pub(crate) fn new(env: &Env, options: ProgressOptions) -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        Self {
            env: env.clone(),
            is_shown: options.progress || (is_terminal && !options.quiet),
            is_terminal,
            start: env.now(),
            last: None,
        }
    }

    /// Seconds since the work began.
    pub(crate) fn seconds(&self) -> f64 {
        (self.env.now() - self.start).as_secs_f64()
    }

    /// Shows `done` of `total`, and when the rest will be done at this rate; now and then.
    pub(crate) fn show(&mut self, what: &str, done: u64, total: u64, unit: &str) {
        let now = self.env.now();
        let is_due = self.last.is_none_or(|last| now >= last + EVERY);
        if !self.is_shown || !is_due {
            return;
        }
        self.last = Some(now);
        let share = if total == 0 { 1.0 } else { (done as f64 / total as f64).min(1.0) };
        let seconds = self.seconds();
        let rest = if share > 0.0 { seconds / share - seconds } else { 0.0 };
        let text = format!(
            "{what}: {:.0} % ({done} of {total} {unit}), {seconds:.0} s, about {rest:.0} s left",
            share * 100.0
        );
        self.line(&text);
    }

    /// Takes the line away.
    pub(crate) fn end(&mut self) {
        if self.is_shown && self.is_terminal && self.last.is_some() {
            self.write("\r\x1b[2K");
        }
    }

    fn line(&self, text: &str) {
        if self.is_terminal {
            self.write(&format!("\r\x1b[2K{text}"));
        } else {
            self.write(&format!("{text}\n"));
        }
    }

    fn write(&self, text: &str) {
        let mut out = std::io::stderr();
        // Nobody may be listening; the work goes on.
        drop(out.write_all(text.as_bytes()).and_then(|()| out.flush()));
    }
}

/// Bytes as people read them.
pub(crate) fn bytes_text(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["bytes", "KiB", "MiB", "GiB"];
    let unit = UNITS.iter().enumerate().rev().find(|(power, _)| bytes >> (10 * power) > 0);
    match unit {
        None | Some((0, _)) => format!("{bytes} bytes"),
        Some((power, name)) => {
            format!("{:.1} {name}", bytes as f64 / (1u64 << (10 * power)) as f64)
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn bytes_are_readable() {
        let text = super::bytes_text;
        assert_eq!([text(0), text(1023), text(1536)], ["0 bytes", "1023 bytes", "1.5 KiB"]);
        assert_eq!(text(5 << 30), "5.0 GiB");
    }
}
