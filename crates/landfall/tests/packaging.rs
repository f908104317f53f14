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

fn script(name: &str, args: &[&str]) -> (Option<i32>, String) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts").join(name);
    let output = Command::new(path).args(args).output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

/// Nothing is built for an architecture that there is not, nor pushed to what is no registry.
#[test]
fn what_cannot_be_built_or_pushed() {
    let (status, said) = script("build", &["mips"]);
    assert_eq!(status, Some(2));
    let words = "there is no architecture 'mips': it is one of amd64 386 arm64 armv7, or all";
    assert!(said.contains(words), "{said}");
    for (repository, arch, words) in [
        ("landfall", "amd64", "'landfall' names no registry"),
        ("localhost:1/landfall", "amd64", "there is no registry at localhost:1"),
    ] {
        let (status, said) = script("plugin-push", &[repository, arch]);
        assert_eq!(status, Some(1));
        assert!(said.contains(words), "{said}");
    }
}

/// The README's table of architectures is the one that scripts go by.
#[test]
fn the_readme_has_the_architectures() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let table = fs::read_to_string(root.join("packaging/architectures")).unwrap();
    let readme = fs::read_to_string(root.join("README.md")).unwrap();
    let lines: Vec<&str> = table.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(lines.len(), 4);
    for line in lines {
        let mut words = line.split_whitespace();
        let (arch, tag) = (words.next().unwrap(), words.next().unwrap());
        let row = format!("| `{arch}` | `release-linux-{tag}` |");
        assert!(readme.contains(&row), "{row}");
    }
}
