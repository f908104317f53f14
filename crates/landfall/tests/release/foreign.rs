//! The binaries for machines unlike this one, under QEMU's emulation of a process. Under it a daemon has no packet socket
//! (ARCHITECTURE.md, "Other machines"): a lease takes an emulated machine with a kernel of its own. The 386 one needs neither, and
//! `make soak` runs the tests of the daemon with it.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use lab::run_on_architecture;

use crate::{ok, root};

/// A line of packaging/architectures.
struct Architecture {
    name: String,
    target: String,
    linker: String,
    emulator: PathBuf,
}

fn architecture(name: &str) -> Architecture {
    let table = fs::read_to_string(root().join("packaging/architectures")).unwrap();
    let line = table.lines().find(|line| line.split_whitespace().next() == Some(name)).unwrap();
    let words: Vec<&str> = line.split_whitespace().collect();
    Architecture {
        name: name.to_owned(),
        target: words[2].to_owned(),
        linker: words[5].to_owned(),
        emulator: format!("/usr/bin/qemu-{}-static", words[6]).into(),
    }
}

impl Architecture {
    /// What `make dist ARCH=all` has made.
    fn binary(&self) -> PathBuf {
        root().join(format!("dist/landfall-linux-{}", self.name))
    }

    fn tells_its_version(&self) {
        let told = ok(Command::new(&self.emulator).arg(self.binary()).arg("--version"));
        assert_eq!(told, concat!("landfall ", env!("CARGO_PKG_VERSION"), "\n"), "{}", self.name);
    }

    /// The tests of the crates that are the protocol, built for it and run by its emulator.
    fn speaks_dhcp(&self) {
        let variable = self.target.to_uppercase().replace('-', "_");
        let mut test = Command::new("cargo");
        test.args(["test", "-p", "wire", "-p", "dhcp", "--tests", "--target", &self.target]);
        test.env(format!("CARGO_TARGET_{variable}_RUNNER"), &self.emulator);
        test.env(format!("CARGO_TARGET_{variable}_LINKER"), &self.linker);
        test.env("CARGO_ENCODED_RUSTFLAGS", "-Ctarget-feature=+crt-static");
        let told = ok(test.current_dir(root()));
        let results: Vec<&str> =
            told.lines().filter(|line| line.starts_with("test result: ok.")).collect();
        println!("{}: {results:#?}", self.name);
        // Each crate has its own and those of its folder `tests`.
        assert!(results.iter().filter(|line| !line.contains("ok. 0 passed")).count() >= 6);
    }
}

#[test]
fn tell_their_version() {
    for name in ["386", "arm64", "armv7"] {
        architecture(name).tells_its_version();
    }
}

#[test]
fn codec_and_state_machines_on_386() {
    architecture("386").speaks_dhcp();
}

#[test]
fn codec_and_state_machines_on_arm64() {
    architecture("arm64").speaks_dhcp();
}

#[test]
fn codec_and_state_machines_on_armv7() {
    architecture("armv7").speaks_dhcp();
}

/// A life of an endpoint on such a machine: lease, renewal, `kill -9`, RELEASE. Returns what the daemon warned of.
fn leases_on(name: &str, seccomp: u8) -> Vec<String> {
    let binary = architecture(name).binary();
    let script = include_str!("lease.sh");
    let run = run_on_architecture(name, &binary, script, Duration::from_secs(1200)).unwrap();
    println!("{name}:\n{}", run.output);
    assert_eq!(run.status, 0);
    let lines: Vec<&str> = run.output.lines().collect();
    assert!(lines.contains(&"renewed after a kill") && lines.contains(&"given back"));
    assert!(lines.contains(&"1 DISCOVER"));
    assert!(lines.iter().any(|line| line.contains("10.77.1.") && line.contains(" BOUND ")));
    assert!(lines.contains(&format!("Seccomp:\t{seccomp}").as_str()));
    let warned = |line: &&&str| line.contains(" WARN ") || line.contains(" ERROR ");
    lines.iter().filter(warned).map(|&line| line.to_owned()).collect()
}

#[test]
fn a_lease_on_arm64() {
    assert_eq!(leases_on("arm64", 2), [""; 0]);
}

/// There is no seccomp filter for it, which is said at each of the two starts.
#[test]
fn a_lease_on_armv7() {
    let warned = leases_on("armv7", 0);
    assert_eq!(warned.len(), 2);
    for line in warned {
        assert!(line.contains("runs with more rights than it needs"), "{line}");
    }
}
