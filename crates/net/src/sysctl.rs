//! `/proc/sys/net`. What is there belongs to the network namespace of the thread that opens it:
//! for another namespace, call these inside [`crate::Netns::run`].

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

use crate::{Error, Netns, Result};

mod ipv6;

pub use ipv6::{AddressGeneration, Ipv6Settings, ipv6_of};

/// Bridges hand their IPv4 frames to iptables (`net.bridge.bridge-nf-call-iptables`, br_netfilter).
/// `false` when the module is not loaded.
///
/// # Errors
/// When the file is there and cannot be read.
pub fn bridge_nf_call_iptables() -> Result<bool> {
    Ok(read("bridge/bridge-nf-call-iptables")?.is_some_and(|value| value != "0"))
}

/// Bridges hand their ARP frames to arptables (`net.bridge.bridge-nf-call-arptables`).
/// `false` when br_netfilter is not loaded.
///
/// # Errors
/// When the file is there and cannot be read.
pub fn bridge_nf_call_arptables() -> Result<bool> {
    Ok(read("bridge/bridge-nf-call-arptables")?.is_some_and(|value| value != "0"))
}

/// The host forwards IPv4 (`net.ipv4.ip_forward`).
///
/// # Errors
/// When `/proc` cannot be read.
pub fn ip_forward() -> Result<bool> {
    Ok(read("ipv4/ip_forward")?.is_some_and(|value| value != "0"))
}

/// Turns IPv6 off for every link that will be born in a namespace: no link-local address, no
/// duplicate detection, no multicast reports (`net.ipv6.conf.default.disable_ipv6`). A kernel
/// without IPv6 is fine.
///
/// # Errors
/// [`Error::is_denied`] when `/proc/sys` is read-only, as in a managed plugin, and no `/proc` of
/// our own can be mounted.
pub fn disable_ipv6_of_new_links(netns: &Netns) -> Result<()> {
    netns.run(|| write("ipv6/conf/default/disable_ipv6", "1"))?
}

fn path(name: impl AsRef<Path>) -> PathBuf {
    Path::new("/proc/sys/net").join(name)
}

/// The value without its newline; `None` when there is no such setting.
fn read(name: impl AsRef<Path>) -> Result<Option<String>> {
    let name = name.as_ref();
    match fs::read_to_string(path(name)) {
        Ok(text) => Ok(Some(text.trim().to_owned())),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::os(format!("read sysctl net/{}", name.display()), e)),
    }
}

/// Writes a setting, if the kernel has it. The calling thread must be a throw-away one.
fn write(name: impl AsRef<Path>, value: &str) -> Result<()> {
    let name = name.as_ref();
    let path = path(name);
    let written = match fs::write(&path, value) {
        Err(e) if e.kind() == io::ErrorKind::ReadOnlyFilesystem => {
            mount_own_proc().and_then(|()| fs::write(&path, value))
        }
        other => other,
    };
    match written {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other
            .map_err(|e| Error::os(format!("write {value} to sysctl net/{}", name.display()), e)),
    }
}

/// Gives the calling (throw-away) thread a `/proc` of its own, which is writable: container
/// runtimes mount `/proc/sys` read-only, also for plugins that may administer the network.
fn mount_own_proc() -> io::Result<()> {
    unshare(CloneFlags::CLONE_FS | CloneFlags::CLONE_NEWNS)?;
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("proc"), "/proc", Some("proc"), flags, none)?;
    Ok(())
}
