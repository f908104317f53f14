//! What a program writes, line by line as it comes, for those who wait for a line.

use std::io::{BufRead, BufReader, PipeReader};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use crate::{Error, Result};

/// One line of a program's output.
#[derive(Clone, Debug)]
pub struct Line {
    /// When the lab read it.
    pub at: SystemTime,
    /// The line without its end.
    pub text: String,
}

/// The output (stdout and stderr together) of a program, over all its runs.
#[derive(Debug)]
pub struct Log {
    of: String,
    state: Mutex<State>,
    news: Condvar,
}

#[derive(Debug, Default)]
struct State {
    lines: Vec<Line>,
    /// Pipes that a program still holds open.
    pipes: usize,
}

impl Log {
    /// An empty one; `of` names the program in errors.
    pub fn new(of: impl Into<String>) -> Arc<Self> {
        Arc::new(Self { of: of.into(), state: Mutex::default(), news: Condvar::new() })
    }

    /// Collects what comes out of `pipe` until all its writers are gone, on a thread of its own.
    pub(crate) fn collect(self: &Arc<Self>, pipe: PipeReader) -> Result<()> {
        let log = Arc::clone(self);
        let body = move || {
            for line in BufReader::new(pipe).split(b'\n') {
                let Ok(bytes) = line else { break };
                let text = String::from_utf8_lossy(&bytes).trim_end_matches('\r').to_owned();
                log.lock().lines.push(Line { at: SystemTime::now(), text });
                log.news.notify_all();
            }
            log.lock().pipes -= 1;
            log.news.notify_all();
        };
        self.lock().pipes += 1;
        thread::Builder::new()
            .name("lab-log".into())
            .spawn(body)
            .map(drop)
            .map_err(Error::io(format!("starting the thread that reads the output of {}", self.of)))
    }

    /// How many lines there are: a mark for [`Self::wait_after`].
    pub fn mark(&self) -> usize {
        self.lock().lines.len()
    }

    /// All lines so far.
    pub fn lines(&self) -> Vec<Line> {
        self.lock().lines.clone()
    }

    /// The text of all lines that contain `needle`.
    pub fn grep(&self, needle: &str) -> Vec<String> {
        let lines = &self.lock().lines;
        lines.iter().filter(|l| l.text.contains(needle)).map(|l| l.text.clone()).collect()
    }

    /// The last `count` lines as one text.
    pub fn tail(&self, count: usize) -> String {
        let lines = &self.lock().lines;
        let last = lines.iter().skip(lines.len().saturating_sub(count));
        last.map(|l| l.text.as_str()).collect::<Vec<_>>().join("\n")
    }

    /// The first line, old or new, that contains `needle`.
    pub fn wait_for(&self, needle: &str, timeout: Duration) -> Result<Line> {
        self.wait_after(0, &format!("a line with '{needle}'"), |l| l.contains(needle), timeout)
    }

    /// The first line from `mark` on that `wanted` accepts; `what` names it in the error.
    pub fn wait_after(
        &self,
        mark: usize,
        what: &str,
        wanted: impl Fn(&str) -> bool,
        timeout: Duration,
    ) -> Result<Line> {
        let until = Instant::now() + timeout;
        let mut state = self.lock();
        let mut read = mark;
        loop {
            if let Some(line) = state.lines.iter().skip(read).find(|l| wanted(&l.text)) {
                return Ok(line.clone());
            }
            read = state.lines.len().max(mark);
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                drop(state);
                return Err(Error::TimedOut {
                    what: format!("{what} in the log of {}", self.of),
                    after: timeout,
                    seen: format!("Its last lines:\n{}", self.tail(25)),
                });
            }
            state = self.news.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits until all that was written is here, for `at_most`: a program's children may hold its output open.
    pub(crate) fn settle(&self, at_most: Duration) {
        let open = |state: &mut State| state.pipes > 0;
        drop(self.news.wait_timeout_while(self.lock(), at_most, open));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
