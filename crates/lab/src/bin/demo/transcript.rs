//! How the demo looks: numbered steps, the commands as one would type them, what they print, and what that shows.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::time::Instant;

/// The transcript on standard output; coloured on a terminal.
pub(crate) struct Transcript {
    colour: bool,
    begun: Instant,
    step: usize,
    steps: usize,
}

/// Escape sequences (ECMA-48, SGR).
const BOLD: &str = "\x1b[1m";
const CYAN: &str = "\x1b[36m";
const GREEN: &str = "\x1b[32m";
const DIM: &str = "\x1b[2m";
const PLAIN: &str = "\x1b[0m";

impl Transcript {
    /// One of so many steps.
    pub(crate) fn new(steps: usize) -> Self {
        let colour = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self { colour, begun: Instant::now(), step: 0, steps }
    }

    /// A line before the first step.
    pub(crate) fn title(&self, text: &str) {
        self.line(format_args!("{}", self.paint(BOLD, text)));
    }

    /// The next step begins.
    pub(crate) fn step(&mut self, title: &str) {
        self.step += 1;
        let (step, steps) = (self.step, self.steps);
        self.line(format_args!("\n{}", self.paint(BOLD, &format!("[{step}/{steps}] {title}"))));
    }

    /// A command on one of the machines, as one would type it.
    pub(crate) fn command(&self, machine: &str, command: &str) {
        let prompt = self.paint(DIM, &format!("{machine}#"));
        self.line(format_args!("  {prompt} {}", self.paint(CYAN, command)));
    }

    /// What it printed.
    pub(crate) fn output(&self, text: &str) {
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            self.line(format_args!("    {}", line.trim_end()));
        }
    }

    /// Something that takes a while begins.
    pub(crate) fn waiting(&self, text: &str) {
        self.line(format_args!("  {}", self.paint(DIM, &format!("… {text}"))));
    }

    /// What the step has shown.
    pub(crate) fn shows(&self, text: &str) {
        self.line(format_args!("  {} {text}", self.paint(GREEN, "✓")));
    }

    /// The end.
    pub(crate) fn end(&self) {
        let seconds = self.begun.elapsed().as_secs_f64();
        let text = format!("All of it seen, in {seconds:.0} s; nothing is left.");
        self.line(format_args!("\n{}", self.paint(BOLD, &text)));
    }

    fn paint(&self, style: &str, text: &str) -> String {
        if self.colour { format!("{style}{text}{PLAIN}") } else { text.to_owned() }
    }

    fn line(&self, text: impl Display) {
        // Nobody who listens: the steps go on, and their asserts hold.
        let _ = writeln!(io::stdout(), "{text}");
    }
}
