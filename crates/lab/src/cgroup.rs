//! The one thing of a lab that has a name on this machine: an engine's cgroup directory in each hierarchy.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::{fs, process};

const PREFIX: &str = "landfall-lab-";

/// The directories `landfall-lab-PID-START-N` below each hierarchy of `/sys/fs/cgroup`; made by the machine's first
/// process, removed on drop.
#[derive(Debug)]
pub(crate) struct Cgroup {
    name: String,
}

impl Cgroup {
    /// A new name; removes what dead processes left.
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        cleanup_stale();
        let pid = process::id();
        let start = start_time(pid).unwrap_or(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        Self { name: format!("{PREFIX}{pid}-{start}-{count}") }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        for hierarchy in hierarchies() {
            remove(&hierarchy.join(&self.name));
        }
    }
}

/// Removes the cgroups of labs whose process is no more (killed with `SIGKILL`, say). Whether none is left: what such a
/// lab ran takes a moment to die, and a cgroup with a process in it stays.
pub fn cleanup_stale() -> bool {
    let mut none_left = true;
    for hierarchy in hierarchies() {
        for entry in fs::read_dir(&hierarchy).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let owner = name.to_str().and_then(|n| n.strip_prefix(PREFIX)).and_then(|rest| {
                let mut numbers = rest.split('-');
                Some((numbers.next()?.parse().ok()?, numbers.next()?.parse::<u64>().ok()?))
            });
            if let Some((pid, start)) = owner
                && start_time(pid) != Some(start)
            {
                remove(&entry.path());
                none_left &= !entry.path().exists();
            }
        }
    }
    none_left
}

/// Every mounted hierarchy: `/sys/fs/cgroup` itself (version 2), or the directories below it.
fn hierarchies() -> Vec<PathBuf> {
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let words = mounts.lines().map(|line| line.split(' ').skip(1).take(2).collect::<Vec<_>>());
    words
        .filter_map(|mount| match mount.as_slice() {
            [at, "cgroup" | "cgroup2"] => Some(PathBuf::from(at)),
            _ => None,
        })
        .collect()
}

/// Removes a cgroup with those below it. What still has a process in it stays for the next [`cleanup_stale`].
fn remove(cgroup: &Path) {
    for entry in fs::read_dir(cgroup).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|t| t.is_dir()) {
            remove(&entry.path());
        }
    }
    let _ = fs::remove_dir(cgroup);
}

/// When a process started, in clock ticks since boot: with the pid it names a process for good.
fn start_time(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name in parentheses, which may contain anything; `starttime` is the 22nd.
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}
