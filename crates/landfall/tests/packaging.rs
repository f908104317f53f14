//! What is shipped beside the binary.

#![allow(clippy::unwrap_used)] // helpers of tests are tests

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn unit() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging/systemd/landfall.service")
}

fn analyze(args: &[&str], unit: &Path) -> Output {
    Command::new("systemd-analyze").args(args).arg(unit).env("LANG", "C").output().unwrap()
}

/// systemd finds nothing to say about the unit.
#[test]
fn the_unit_is_one_that_systemd_takes() {
    let unit = fs::read_to_string(unit()).unwrap();
    let installed = "ExecStart=/usr/local/bin/landfall ";
    assert!(unit.contains(installed), "{unit}");
    // What it starts must be there.
    let here = format!("ExecStart={} ", env!("CARGO_BIN_EXE_landfall"));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("landfall.service");
    fs::write(&path, unit.replace(installed, &here)).unwrap();
    let output = analyze(&["verify"], &path);
    let said = String::from_utf8_lossy(&output.stderr);
    // It reads the machine's other units as well.
    let of_ours: Vec<&str> = said.lines().filter(|line| line.contains("landfall")).collect();
    assert_eq!(of_ours, [] as [&str; 0]);
    assert!(output.status.success(), "{said}");
}

/// Its exposure is below 5, which systemd calls "OK".
#[test]
fn the_unit_gives_no_more_rights_than_others_do() {
    let output = analyze(&["security", "--offline=true", "--threshold=49"], &unit());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
