//! A release of what is committed: the same bytes wherever it is built, its bill of materials, its sums and their signature.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use cyclonedx_bom::prelude::{Bom, Validate};

use crate::{ok, root, run};

const TAG: &str = concat!("v", env!("CARGO_PKG_VERSION"));
const PASSWORD: &str = "of the test's own";

/// Clones what is committed.
fn clone(from: &Path, to: &Path) {
    ok(Command::new("git").args(["clone", "--quiet", "--no-local"]).arg(from).arg(to));
}

/// This machine's architecture, as Docker calls it.
fn arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => panic!("no release is made on {other}"),
    }
}

/// A pair of keys: the secret one, and the public one.
fn keys(folder: &Path) -> (PathBuf, PathBuf) {
    let (secret, public) = (folder.join("landfall.key"), folder.join("landfall.pub"));
    let words = format!("{PASSWORD}\n{PASSWORD}\n");
    fs::write(folder.join("words"), words).unwrap();
    let mut command = Command::new("minisign");
    command.arg("-G").arg("-p").arg(&public).arg("-s").arg(&secret);
    ok(command.stdin(fs::File::open(folder.join("words")).unwrap()));
    (secret, public)
}

fn verify(public: &Path, release: &Path) -> bool {
    let mut command = Command::new("minisign");
    command.args(["-V", "-m", "SHA256SUMS", "-p"]).arg(public).current_dir(release);
    run(&mut command).status.success()
}

fn sums_are_right(release: &Path) -> bool {
    let mut command = Command::new("sha256sum");
    command.args(["--check", "--strict", "SHA256SUMS"]).current_dir(release);
    run(&mut command).status.success()
}

/// Standard validation by the format's own library: fields, licences, references.
fn assert_valid(bill: &str) {
    let parsed = Bom::parse_from_json_v1_5(bill.as_bytes()).unwrap();
    let found = parsed.validate();
    assert!(found.passed(), "{found:#?}");
}

#[test]
fn of_a_tag_is_the_same_anywhere_and_signed() {
    let folder = tempfile::tempdir().unwrap();
    let (secret, public) = keys(folder.path());
    let one = folder.path().join("one");
    clone(&root(), &one);
    ok(Command::new("git").args(["tag", "--force", TAG]).current_dir(&one));
    // Not of the tag, so not in it.
    fs::write(one.join("crates/landfall/src/main.rs"), "not Rust").unwrap();
    let mut release = Command::new(one.join("scripts/release"));
    release.args([TAG, arch()]).env("MINISIGN_KEY", &secret).env("MINISIGN_PASSWORD", PASSWORD);
    ok(&mut release);
    let made = one.join("dist").join(format!("release-{TAG}"));
    let binary = format!("landfall-linux-{}", arch());

    // The same commit elsewhere, with cargo's own things elsewhere too.
    let two = folder.path().join("elsewhere/by another name");
    clone(&one, &two);
    let home = folder.path().join("home-of-cargo");
    fs::create_dir(&home).unwrap();
    let cargo_home = std::env::var("CARGO_HOME")
        .unwrap_or_else(|_| format!("{}/.cargo", std::env::var("HOME").unwrap()));
    symlink(Path::new(&cargo_home).join("registry"), home.join("registry")).unwrap();
    let mut build = Command::new(two.join("scripts/build"));
    build.env("CARGO_HOME", &home).env("CARGO_TARGET_DIR", folder.path().join("target of it"));
    ok(build.env("CI", "true"));
    let (first, second) = (made.join(&binary), two.join("dist").join(&binary));
    assert!(
        fs::read(&first).unwrap() == fs::read(&second).unwrap(),
        "{} and {} differ",
        first.display(),
        second.display()
    );

    let bill = fs::read_to_string(made.join(format!("{binary}.cdx.json"))).unwrap();
    assert_valid(&bill);
    let advisories = fs::read_to_string(made.join("ADVISORIES")).unwrap();
    assert!(advisories.contains(TAG), "{advisories}");
    assert!(sums_are_right(&made) && verify(&public, &made));
    let sums = fs::read_to_string(made.join("SHA256SUMS")).unwrap();
    let mut names: Vec<&str> = sums.lines().map(|line| &line[66..]).collect();
    names.sort_unstable();
    assert_eq!(names, ["ADVISORIES", &binary, &format!("{binary}.cdx.json")]);

    // What somebody has changed on the way.
    fs::write(made.join("ADVISORIES"), "none").unwrap();
    assert!(!sums_are_right(&made));
    let changed = ok(Command::new("sha256sum").args(&names).current_dir(&made));
    fs::write(made.join("SHA256SUMS"), changed).unwrap();
    assert!(sums_are_right(&made) && !verify(&public, &made));
}

/// A bill of materials for each architecture, whether it was built or not.
#[test]
fn bills_of_materials_are_valid() {
    for arch in ["amd64", "386", "arm64", "armv7"] {
        assert_valid(&ok(Command::new(root().join("scripts/sbom")).arg(arch)));
    }
}

/// cargo-deny finds nothing that has no place here.
#[test]
fn licences_and_sources_are_those_that_are_allowed() {
    let mut deny = Command::new("cargo");
    deny.args(["deny", "--locked", "--offline", "check", "bans", "licenses", "sources"]);
    ok(deny.current_dir(root()));
}
