//! Processes, as far as they tell about a network namespace.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;

use nix::sched::{CloneFlags, setns};
use nix::unistd::Pid;

use crate::netns::on_throw_away_thread;
use crate::{Error, Result};

/// A process in the network namespace with that inode number: the newest, if pids have not come
/// round since. `None` when there is none that this process may see.
///
/// Looks at every process of the machine until one fits: a few microseconds for each.
pub fn in_netns(inode: u64) -> Option<Pid> {
    let mut pids: Vec<i32> = fs::read_dir("/proc")
        .ok()?
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    pids.sort_unstable_by(|a, b| b.cmp(a));
    // Processes end meanwhile, and some are closed to us: those are passed over.
    pids.into_iter().map(Pid::from_raw).find(|pid| is_in_netns(*pid, inode))
}

/// Whether that process is there, in the network namespace with that inode number.
pub fn is_in_netns(pid: Pid, inode: u64) -> bool {
    fs::metadata(format!("/proc/{pid}/ns/net")).is_ok_and(|meta| meta.ino() == inode)
}

/// The host name that a process sees (of its UTS namespace).
///
/// # Errors
/// [`Error::is_not_found`] when the process has ended; [`Error::is_denied`] without CAP_SYS_ADMIN
/// or, for a process with more rights than ours, CAP_SYS_PTRACE.
pub fn uts_host_name(pid: Pid) -> Result<String> {
    let path = format!("/proc/{pid}/ns/uts");
    let namespace = File::open(&path).map_err(|e| Error::os(format!("open {path}"), e))?;
    on_throw_away_thread(|| {
        setns(&namespace, CloneFlags::CLONE_NEWUTS)
            .map_err(|e| Error::os(format!("enter the UTS namespace of process {pid}"), e))?;
        let name = nix::unistd::gethostname()
            .map_err(|e| Error::os(format!("read the host name of process {pid}"), e))?;
        Ok(name.to_string_lossy().into_owned())
    })?
}

/// Whether two processes have the same UTS namespace, and so the same host name for ever.
///
/// # Errors
/// As [`uts_host_name`].
pub fn share_uts(one: Pid, other: Pid) -> Result<bool> {
    let inode = |pid: Pid| {
        let path = format!("/proc/{pid}/ns/uts");
        let meta = fs::metadata(&path).map_err(|e| Error::os(format!("look at {path}"), e))?;
        Ok((meta.dev(), meta.ino()))
    };
    Ok(inode(one)? == inode(other)?)
}

/// Whether this process is in the machine's first user namespace, where root is root.
pub fn in_initial_user_namespace() -> bool {
    // A kernel without user namespaces has no such file, and only the one namespace.
    fs::read_to_string("/proc/self/uid_map")
        .map_or(true, |map| map.split_whitespace().eq(["0", "0", "4294967295"]))
}

/// The id of the container that a process runs in, as its cgroup says: 64 hexadecimal digits.
/// `None` for a process outside containers, or that has ended.
pub fn container_id(pid: Pid) -> Option<String> {
    container_in(&fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?)
}

/// The innermost container named in the text of `/proc/<pid>/cgroup`: lines of
/// `hierarchy:controllers:path`, where the path ends in `docker/<id>` or `docker-<id>.scope`, or
/// goes on below that.
fn container_in(cgroups: &str) -> Option<String> {
    cgroups
        .lines()
        .filter_map(|line| line.splitn(3, ':').nth(2))
        .find_map(|path| path.rsplit('/').find_map(id_in))
        .map(str::to_owned)
}

/// The id in one component of a cgroup path: `<id>`, or `<runtime>-<id>.scope` under systemd.
fn id_in(component: &str) -> Option<&str> {
    let name = component.strip_suffix(".scope").unwrap_or(component);
    let id = name.rsplit('-').next()?;
    let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    (id.len() == 64 && id.bytes().all(hex)).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "3f7a9c0d1e2b4a5968778695a4b3c2d1e0f1234567890abcdef0123456789abc";
    const INNER: &str = "00000000000000000000000000000000000000000000000000000000000000ff";

    #[test]
    fn every_form_of_cgroup_path_names_its_container() {
        for path in [
            format!("0::/docker/{ID}\n"),
            format!("0::/system.slice/docker-{ID}.scope\n"),
            format!("0::/system.slice/docker-{ID}.scope/init.scope\n"),
            format!("0::/../../docker/{ID}\n"),
            format!("0::/machine.slice/libpod-{ID}.scope/container\n"),
            format!("0::/kubepods.slice/kubepods-besteffort.slice/cri-containerd-{ID}.scope\n"),
            format!("12:pids:/docker/{ID}\n11:cpu,cpuacct:/docker/{ID}\n0::/\n"),
            format!(
                "2:name=systemd:/\n1:memory:/docker/{ID}\n0::/system.slice/containerd.service\n"
            ),
            format!("0::/docker/{INNER}/docker/{ID}\n"),
        ] {
            assert_eq!(container_in(&path).as_deref(), Some(ID), "{path}");
        }
    }

    #[test]
    fn what_is_no_container_has_no_id() {
        let short = &ID[1..];
        let upper = ID.to_uppercase();
        for path in [
            String::new(),
            "0::/\n".to_owned(),
            "0::/system.slice/ssh.service\n".to_owned(),
            format!("0::/docker/{short}\n"),
            format!("0::/docker/{short}g\n"),
            format!("0::/docker/{upper}\n"),
            format!("0::/docker/{ID}0\n"),
            ID.to_owned(),
        ] {
            assert_eq!(container_in(&path), None, "{path}");
        }
    }

    #[test]
    fn a_process_that_is_gone_has_no_container() {
        assert_eq!(container_id(Pid::from_raw(i32::MAX)), None);
    }
}
