//! Who lives in a sandbox: its host name and its container, read from the kernel.
//!
//! The engine tells a network driver neither. Nor may it be asked: it holds its locks while it
//! calls us, and does not answer at all while it starts.

use std::path::Path;
use std::time::Duration;

use net::process;
use nix::unistd::Pid;

use super::sandbox::open_netns;

/// How long a container may take from its interface to its host name. Engines up to 27 have the
/// runtime set the name after the network; what takes longer than this keeps the host's name.
const NAME_PATIENCE: Duration = Duration::from_secs(10);
/// The host's own first process.
pub(super) const INIT: Pid = Pid::from_raw(1);

/// What was found out.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Guest {
    /// The container's process that was asked.
    pub(super) pid: Option<Pid>,
    /// The UTS host name; none for a container that has the host's (`--uts host`).
    pub(super) host_name: Option<String>,
    /// The container's identifier, from its control group.
    pub(super) container: Option<String>,
}

/// Finds out who lives in the network namespace at `path`.
pub(super) async fn find(path: &Path) -> net::Result<Guest> {
    // Before the first look, so that no change is missed.
    let mut changes = net::HostNameChanges::new()?;
    let inode = open_netns(path)?.inode()?;
    let looked = tokio::task::spawn_blocking(move || process::in_netns(inode)).await;
    let Some(pid) = looked.ok().flatten() else { return Ok(Guest::default()) };
    let container = process::container_id(pid);
    if process::share_uts(pid, INIT)? {
        return Ok(Guest { pid: Some(pid), host_name: None, container });
    }
    // A new UTS namespace begins as a copy of the host's.
    let inherited = process::uts_host_name(INIT)?;
    let named = async {
        loop {
            let name = process::uts_host_name(pid)?;
            if name != inherited {
                return Ok(name);
            }
            changes.changed().await?;
        }
    };
    let host_name = match tokio::time::timeout(NAME_PATIENCE, named).await {
        Ok(name) => Some(name?),
        // Named as the host is, on purpose.
        Err(_) => Some(inherited),
    };
    Ok(Guest { pid: Some(pid), host_name, container })
}
