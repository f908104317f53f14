//! What is shipped beside the binary.

#![allow(clippy::unwrap_used)] // helpers of tests are tests

use std::fs;
use std::path::Path;
use std::process::Command;

/// systemd finds nothing to say about the unit.
#[test]
fn the_unit_is_one_that_systemd_takes() {
    let packaging = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging");
    let unit = fs::read_to_string(packaging.join("systemd/landfall.service")).unwrap();
    let installed = "ExecStart=/usr/local/bin/landfall ";
    assert!(unit.contains(installed), "{unit}");
    // What it starts must be there.
    let here = format!("ExecStart={} ", env!("CARGO_BIN_EXE_landfall"));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("landfall.service");
    fs::write(&path, unit.replace(installed, &here)).unwrap();
    let output =
        Command::new("systemd-analyze").arg("verify").arg(&path).env("LANG", "C").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    // It reads the machine's other units as well.
    let of_ours: Vec<&str> = said.lines().filter(|line| line.contains("landfall")).collect();
    assert_eq!(of_ours, [] as [&str; 0]);
    assert!(output.status.success(), "{said}");
}
