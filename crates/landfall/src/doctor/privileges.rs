//! What the daemon, and doctor itself, are allowed to do.

use std::fs;

use super::report::{Finding, check};

/// Bits of a capability set (linux/capability.h), and what each is for.
const NEEDED: [(u32, &str); 5] = [
    (12, "CAP_NET_ADMIN"),  // links, addresses, routes
    (13, "CAP_NET_RAW"),    // packet sockets
    (18, "CAP_SYS_CHROOT"), // paths as dockerd sees them
    (19, "CAP_SYS_PTRACE"), // namespaces of other processes
    (21, "CAP_SYS_ADMIN"),  // entering them
];

/// A process's rights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rights {
    /// Its effective capabilities.
    effective: u64,
    /// It cannot gain more by executing a program.
    no_new_privileges: bool,
    /// It is in the machine's first user namespace.
    real_root: bool,
}

impl Rights {
    /// Those of `self`, or of a pid.
    pub(super) fn of(process: &str) -> Option<Rights> {
        let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
        // A kernel without user namespaces has no such file.
        let map = fs::read_to_string(format!("/proc/{process}/uid_map")).ok();
        Rights::read(&status, map.as_deref())
    }

    fn read(status: &str, uid_map: Option<&str>) -> Option<Rights> {
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.map(str::trim)
        };
        let whole = |map: &str| map.split_whitespace().eq(["0", "0", "4294967295"]);
        Some(Rights {
            effective: u64::from_str_radix(field("CapEff")?, 16).ok()?,
            no_new_privileges: field("NoNewPrivs") == Some("1"),
            real_root: uid_map.is_none_or(whole),
        })
    }

    fn missing(self) -> Vec<&'static str> {
        let lacks = |bit: u32| self.effective & 1 << bit == 0;
        NEEDED.iter().filter(|(bit, _)| lacks(*bit)).map(|(_, name)| *name).collect()
    }

    /// Whether links and namespaces can be made.
    pub(super) fn suffice(self) -> bool {
        self.missing().is_empty()
    }
}

/// Judges this program's rights.
pub(super) fn judge_own(rights: Option<Rights>) -> Finding {
    const WHO: &str = "this program";
    let missing = rights.map(Rights::missing).unwrap_or_default();
    match rights {
        None => Finding::note(check::PRIVILEGES, WHO, "its rights cannot be read: is /proc there?"),
        Some(_) if !missing.is_empty() => {
            let seen = format!("lacks {}: much is not checked", missing.join(", "));
            Finding::warning(check::PRIVILEGES, WHO, seen).advise("`sudo landfall doctor`")
        }
        Some(_) => Finding::ok(check::PRIVILEGES, WHO, "may do all that is needed"),
    }
}

/// Judges the daemon's rights.
pub(super) fn judge_daemon(pid: i32, rights: Option<Rights>) -> Finding {
    let subject = format!("the daemon (pid {pid})");
    let Some(rights) = rights else {
        return Finding::note(check::PRIVILEGES, subject, "its rights cannot be read");
    };
    let missing = rights.missing();
    if !missing.is_empty() {
        let seen = format!("lacks {}", missing.join(", "));
        return Finding::error(check::PRIVILEGES, subject, seen).advise(
            "a service needs the CapabilityBoundingSet of packaging/systemd/landfall.service; a \
             plugin was created from another config.json: `docker plugin inspect PLUGIN`",
        );
    }
    if !rights.real_root {
        let seen = "runs in a user namespace: the host's links are not its own";
        return Finding::error(check::PRIVILEGES, subject, seen)
            .advise("a rootless engine cannot put containers on the LAN: run Docker as root");
    }
    let bounded =
        if rights.no_new_privileges { ", and can gain nothing (no_new_privs)" } else { "" };
    Finding::ok(check::PRIVILEGES, subject, format!("may do all that is needed{bounded}"))
}

#[cfg(test)]
mod tests {
    use super::super::report::Report;
    use super::*;

    const WHOLE: &str = "         0          0 4294967295\n";

    fn status(effective: &str, no_new_privs: u8) -> String {
        format!(
            "Name:\tlandfall\nCapInh:\t0000000000000000\nCapPrm:\t000001ffffffffff\n\
                 CapEff:\t{effective}\nCapBnd:\t000001ffffffffff\nNoNewPrivs:\t{no_new_privs}\n"
        )
    }

    #[test]
    fn what_is_said_of_rights() {
        let read = |effective, no_new_privs, map| {
            Rights::read(&status(effective, no_new_privs), Some(map))
        };
        // The unit's bounding set; the same without CAP_SYS_PTRACE.
        let unit = read("00000000002c3000", 1, WHOLE);
        let less = read("0000000000243000", 0, WHOLE);
        let rootless = read("000001ffffffffff", 0, "0 1000 1\n1 100000 65536\n");
        let findings = vec![
            judge_own(unit),
            judge_own(read("0000000000000000", 0, WHOLE)),
            judge_own(None),
            judge_daemon(7, unit),
            judge_daemon(7, less),
            judge_daemon(7, rootless),
            judge_daemon(7, None),
        ];
        insta::assert_snapshot!(Report::new(findings).text());
    }

    #[test]
    fn of_this_process() {
        assert!(Rights::of("self").is_some());
        assert_eq!(Rights::of("0"), None);
    }
}
