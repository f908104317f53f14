//! Virtual machines with Debian's kernel: one with the files of this machine, and such of another architecture.
//!
//! The first is for what this machine's kernel may not have: VLANs, bridges that filter them, ipvlan. The others are for what the
//! emulation of a process cannot do. All are emulated, so they need nothing of the processor, and take some seconds to boot. Files
//! are read-only, `/tmp` and `/run` a machine's own and empty.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

use crate::log::Log;
use crate::process::Launch;
use crate::{Error, Process, Result, Roots};

/// Boots it, from this machine's side.
const SCRIPT: &str = include_str!("virtual_machine.sh");
/// Its process 1, up to the program that it is for.
const INIT: &str = include_str!("virtual_machine_init.sh");
/// The same on another architecture.
const FOREIGN_INIT: &str = include_str!("virtual_machine_foreign.sh");
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
    let root = root()?;
    let mut script = format!("#!/bin/bash\nset -- {}\n{INIT}", quoted(root.as_ref()));
    for (name, value) in env {
        script += &format!("export {name}={}\n", quoted(value));
    }
    let words: Vec<String> = argv.iter().map(|word| quoted(word)).collect();
    let (_folder, init) = init(script, &words.join(" "))?;
    boot(&[&root, &init, "/"], limit)
}

/// Boots a virtual machine of another architecture (`arm64`, `armv7`), and runs a script for Debian's `sh` there, with `-eu`. It has
/// `ip`, `ping`, `curl`, `dnsmasq` and BusyBox's programs; `program` is there as `/host/program`.
///
/// # Errors
/// When there can be no such machine, or the script has not ended within `limit`.
pub fn run_on_architecture(
    architecture: &str,
    program: &Path,
    script: &str,
    limit: Duration,
) -> Result<VirtualRun> {
    let root = root()?;
    let files = Roots::of(architecture)?.display().to_string();
    let head = format!("#!/usr/bin/dash\n{FOREIGN_INIT}");
    let (folder, _) = init(head, "dash -eu /host/script")?;
    let put = |name: &str, result: std::io::Result<()>| {
        result.map_err(Error::io(format!("putting {name} into a virtual machine's folder")))
    };
    put("the program", fs::copy(program, folder.path().join("program")).map(drop))?;
    put("the script", fs::write(folder.path().join("script"), script))?;
    let own = folder.path().display().to_string();
    boot(&[&root, "/host/init", &files, architecture, &own], limit)
}

/// The root that has what emulates.
fn root() -> Result<String> {
    if std::env::consts::ARCH != "x86_64" {
        let what = "the lab's virtual machines are made on an x86-64";
        return Err(Error::Unfit(what.to_owned()));
    }
    Ok(Roots::of("vm")?.display().to_string())
}

/// Boots a machine with the arguments of [`SCRIPT`], and waits until it has ended.
fn boot(args: &[&str], limit: Duration) -> Result<VirtualRun> {
    let unshare = ["unshare", "--mount", "--pid", "--fork", "--kill-child"];
    let bash = ["--propagation", "private", "bash", "-c", SCRIPT, "virtual machine"];
    let argv = unshare.iter().chain(&bash).chain(args).map(|&word| word.to_owned()).collect();
    let log = Log::new("the virtual machine");
    let machine = Process::launch("the virtual machine", &Launch { argv, forks: false }, &log)?;
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

/// A folder with the program `init` that is process 1, of its head and the command that it is for; and that program's path.
fn init(head: String, command: &str) -> Result<(TempDir, String)> {
    let folder =
        tempfile::tempdir().map_err(Error::io("making a folder for a virtual machine's init"))?;
    let path = folder.path().join("init");
    let mut script = head;
    script += &format!("status=0; {command} || status=$?\necho \"{ENDED}$status\"\n");
    // The console is empty before the power goes.
    script += "sync /dev/hvc0 || true\necho o >/proc/sysrq-trigger\nsleep infinity\n";
    fs::write(&path, script)
        .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(0o755)))
        .map_err(Error::io(format!("writing {}", path.display())))?;
    let path = path.display().to_string();
    Ok((folder, path))
}

/// As a shell takes it for one word.
fn quoted(word: &OsStr) -> String {
    format!("'{}'", word.to_string_lossy().replace('\'', r"'\''"))
}
