//! BusyBox's DHCP client: what a machine on the LAN would do, and the way of a client in each container.

use std::net::Ipv4Addr;
use std::time::Duration;

use crate::{Error, Machine, Result};

/// Sets the address that the client was given, as a real machine does, and says it.
const SCRIPT_TEXT: &str = "#!/bin/sh\n\
    [ \"$1\" != deconfig ] || ip addr flush dev \"$interface\"\n\
    [ \"$1\" != bound ] || ip addr replace \"$ip/$mask\" dev \"$interface\"\n\
    [ \"$1\" != bound ] || echo \"lab: bound $ip\"\n";

/// Takes a lease on `interface` of a machine (made on [`crate::Roots::lan`]), sets the address and returns it; the client
/// ends and, without `-R`, keeps the lease. `extra`: further words for its command line (`-x hostname:web`).
pub fn udhcpc(machine: &Machine, interface: &str, extra: &[&str]) -> Result<Ipv4Addr> {
    const SCRIPT: &str = "/run/udhcpc.sh";
    machine.write(SCRIPT, SCRIPT_TEXT)?;
    machine.ok(&["chmod", "755", SCRIPT])?;
    let mut argv = vec!["udhcpc", "-i", interface, "-f", "-n", "-q", "-t", "4", "-T", "2"];
    argv.extend(["-s", SCRIPT]);
    argv.extend(extra);
    let output = machine.ok(&argv)?;
    let bound = output.lines().find_map(|line| line.strip_prefix("lab: bound "));
    bound.and_then(|ip| ip.parse().ok()).ok_or_else(|| Error::TimedOut {
        what: format!("a lease for udhcpc on {interface}"),
        after: Duration::from_secs(8),
        seen: format!("Its output:\n{output}"),
    })
}
