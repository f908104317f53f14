//! A release, as scripts/release makes it, and the binaries of other architectures than this machine's. Minutes of compiling:
//! run by `make soak`.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // helpers of tests are tests

mod foreign;
mod made;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Runs it; what it said is on the test's own standard error.
fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    eprintln!("{command:?}: {}", output.status);
    eprint!("{}", String::from_utf8_lossy(&output.stderr));
    output
}

/// What it writes, where it must succeed.
fn ok(command: &mut Command) -> String {
    let output = run(command);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{command:?}: {}\n{said}", output.status);
    said
}
