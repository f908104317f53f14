//! A virtual machine: the files of this machine, read-only, on Debian's kernel.
//!
//! For what this machine's kernel may not have: VLANs, bridges that filter them, ipvlan. It is emulated, so it needs nothing of
//! the processor, and takes some seconds to boot. `/tmp` and `/run` are its own and empty.

use std::ffi::OsStr;
use std::time::Duration;
use std::{fs, io::Write};

use crate::log::Log;
use crate::process::Launch;
use crate::{Error, Process, Result, Roots};

/// Boots it, from this machine's side.
const SCRIPT: &str = include_str!("virtual_machine.sh");
/// Its process 1, up to the program that it is for.
const INIT: &str = include_str!("virtual_machine_init.sh");
/// What process 1 says last, before the program's exit status.
const ENDED: &str = "virtual machine: ended with status ";

/// What came of a program in a virtual machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VirtualRun {
    /// Its exit status.
    pub status: i32,
    /// What it wrote to stdout and stderr.
    pub output: String,
}

/// Boots a virtual machine, runs a program of this machine's there, with `env` (`NAME`, value) in its environment, and ends it.
///
/// # Errors
/// When there can be no such machine, or the program has not ended within `limit`.
pub fn run_in_virtual_machine(
    argv: &[&OsStr],
    env: &[(&str, &OsStr)],
    limit: Duration,
) -> Result<VirtualRun> {
    if std::env::consts::ARCH != "x86_64" {
        let what = "the lab's virtual machine runs programs of this machine's, and is an x86-64";
        return Err(Error::Unfit(what.to_owned()));
    }
    let root = Roots::of("vm")?;
    let folder =
        tempfile::tempdir().map_err(Error::io("making a folder for a virtual machine's init"))?;
    let path = folder.path().join("init");
    let root = root.display().to_string();
    fs::File::create(&path)
        .and_then(|mut file| file.write_all(&init(&root, argv, env)))
        .and_then(|()| {
            fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755))
        })
        .map_err(Error::io(format!("writing {}", path.display())))?;
    let mut words: Vec<String> =
        ["unshare", "--mount", "--pid", "--fork", "--kill-child"].map(String::from).into();
    words.extend(
        ["--propagation", "private", "bash", "-c", SCRIPT, "virtual machine"].map(String::from),
    );
    words.extend([root, path.display().to_string()]);
    let log = Log::new("the virtual machine");
    let machine =
        Process::launch("the virtual machine", &Launch { argv: words, forks: false }, &log)?;
    machine.wait(limit)?;
    let lines = log.lines();
    let end = lines
        .iter()
        .enumerate()
        .find_map(|(at, line)| Some((at, line.text.strip_prefix(ENDED)?.parse().ok()?)));
    let (at, status) = end.ok_or_else(|| machine.ended())?;
    let output =
        lines.iter().take(at).map(|line| line.text.as_str()).collect::<Vec<_>>().join("\n");
    Ok(VirtualRun { status, output })
}

/// The program that is process 1.
fn init(root: &str, argv: &[&OsStr], env: &[(&str, &OsStr)]) -> Vec<u8> {
    let mut script = format!("#!/bin/bash\nset -- {}\n{INIT}", quoted(root.as_ref())).into_bytes();
    for (name, value) in env {
        script.extend(format!("export {name}={}\n", quoted(value)).bytes());
    }
    let words: Vec<String> = argv.iter().map(|word| quoted(word)).collect();
    script.extend(format!("status=0; {} || status=$?\n", words.join(" ")).bytes());
    script.extend(format!("echo \"{ENDED}$status\"\n").bytes());
    // The console is empty before the power goes.
    script.extend(b"sync /dev/hvc0 || true\necho o >/proc/sysrq-trigger\nsleep infinity\n");
    script
}

/// As a shell takes it for one word.
fn quoted(word: &OsStr) -> String {
    format!("'{}'", word.to_string_lossy().replace('\'', r"'\''"))
}
