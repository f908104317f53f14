//! What this process may do: less than it was started with.

use std::collections::BTreeMap;
use std::io;

use libc::c_long;
use nix::errno::Errno;
use nix::sys::prctl;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule,
};

use crate::{Error, Result};

/// A capability (linux/capability.h) that this crate makes use of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Capability {
    /// Links, addresses, routes, tc.
    NetAdmin = 12,
    /// Packet sockets.
    NetRaw = 13,
    /// Entering another mount namespace, and paths as the host sees them.
    SysChroot = 18,
    /// Namespaces of other processes, by `/proc`.
    SysPtrace = 19,
    /// Entering and making namespaces, bpf(2).
    SysAdmin = 21,
}

/// All that this crate makes use of.
pub const NEEDED: [Capability; 5] = [
    Capability::NetAdmin,
    Capability::NetRaw,
    Capability::SysChroot,
    Capability::SysPtrace,
    Capability::SysAdmin,
];

/// No capability has a higher number than fits into the sets.
const LAST_CAPABILITY: u32 = 63;
/// `_LINUX_CAPABILITY_VERSION_3`: sets of 64 bits, in two halves.
const VERSION: u32 = 0x2008_0522;

/// System calls that nothing in this program makes and that an intruder would: each is answered with
/// EPERM. A list of what is refused, and not of what is let through, since the C library and kernels
/// to come may want others.
const REFUSED: &[c_long] = &[
    // programs: nothing is executed
    libc::SYS_execve,
    libc::SYS_execveat,
    // other processes
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    // the kernel
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_reboot,
    libc::SYS_syslog,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_vhangup,
    libc::SYS_personality,
    // the clock and the names of the host
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    // file systems, but for mount(2) and umount(2), which keep a namespace, and chroot(2), by which a
    // managed plugin follows a path of the host's
    libc::SYS_pivot_root,
    libc::SYS_open_by_handle_at,
    libc::SYS_mknodat,
    libc::SYS_fsopen,
    libc::SYS_fsmount,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_mknod,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_kexec_file_load,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_modify_ldt,
];

/// Gives up all capabilities but these, for this thread and those that it starts, for ever: programs
/// that are executed get no more either.
///
/// # Errors
/// When the kernel refuses; then some may be given up and some not.
pub fn keep_capabilities(kept: &[Capability]) -> Result<()> {
    prctl::set_no_new_privs().map_err(|e| Error::os("set no_new_privs", e))?;
    let kept = kept.iter().fold(0_u64, |set, capability| set | 1 << (*capability as u32));
    for capability in (0..=LAST_CAPABILITY).filter(|bit| kept & 1 << bit == 0) {
        drop_from_bounding_set(capability)?;
    }
    // Those of the ambient set go with the inheritable ones.
    let mut header = Header { version: VERSION, pid: 0 };
    let mut halves = [Half::default(); 2];
    // SAFETY: the kernel reads the header and writes two halves, which version 3 has.
    let got = unsafe { libc::syscall(libc::SYS_capget, &raw mut header, halves.as_mut_ptr()) };
    Errno::result(got).map_err(|e| Error::os("read the capabilities", e))?;
    for (half, kept) in halves.iter_mut().zip([kept as u32, (kept >> 32) as u32]) {
        half.permitted &= kept;
        half.effective = half.permitted;
        half.inheritable = 0;
    }
    // SAFETY: the kernel reads the header and two halves.
    let set = unsafe { libc::syscall(libc::SYS_capset, &raw mut header, halves.as_ptr()) };
    Errno::result(set).map_err(|e| Error::os("give up capabilities", e))?;
    Ok(())
}

fn drop_from_bounding_set(capability: u32) -> Result<()> {
    let argument = libc::c_ulong::from(capability);
    // SAFETY: takes numbers only.
    let there = unsafe { libc::prctl(libc::PR_CAPBSET_READ, argument, 0, 0, 0) };
    // Not there, or not known to this kernel.
    if there != 1 {
        return Ok(());
    }
    // SAFETY: takes numbers only.
    let dropped = unsafe { libc::prctl(libc::PR_CAPBSET_DROP, argument, 0, 0, 0) };
    match Errno::result(dropped) {
        // Without CAP_SETPCAP it cannot be; no program that is executed gets it, by no_new_privs.
        Ok(_) | Err(Errno::EPERM) => Ok(()),
        Err(errno) => {
            Err(Error::os(format!("drop capability {capability} from the bounding set"), errno))
        }
    }
}

#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Half {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// Has the kernel refuse system calls that nothing here makes (EPERM), for this thread and those that
/// it starts, for ever. `no_new_privs` must be set.
///
/// # Errors
/// When the kernel has no seccomp filters, or is of an architecture that is not known.
pub fn refuse_system_calls() -> Result<()> {
    let filter = filter().map_err(|e| Error::os("make a seccomp filter", io::Error::other(e)))?;
    seccompiler::apply_filter(&filter)
        .map_err(|e| Error::os("set a seccomp filter", io::Error::other(e)))
}

#[allow(clippy::useless_conversion, reason = "it is another type on 32 bits")]
fn filter() -> std::result::Result<BpfProgram, seccompiler::BackendError> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        REFUSED.iter().map(|call| (i64::from(*call), Vec::new())).collect();
    // In a user namespace of its own an intruder would have all capabilities again.
    let user = libc::CLONE_NEWUSER as u64;
    let in_user_namespace = SeccompRule::new(vec![SeccompCondition::new(
        0,
        SeccompCmpArgLen::Qword,
        SeccompCmpOp::MaskedEq(user),
        user,
    )?])?;
    rules.insert(i64::from(libc::SYS_unshare), vec![in_user_namespace.clone()]);
    rules.insert(i64::from(libc::SYS_clone), vec![in_user_namespace]);
    let refuse = SeccompAction::Errno(libc::EPERM as u32);
    SeccompFilter::new(rules, SeccompAction::Allow, refuse, std::env::consts::ARCH.try_into()?)?
        .try_into()
}

#[cfg(test)]
mod tests {
    use std::{fs, thread};

    use super::*;
    use crate::Netns;

    fn of_this_thread() -> io::Result<String> {
        fs::read_to_string("/proc/thread-self/status")
    }

    fn field(status: &str, name: &str) -> String {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap().trim().to_owned()
    }

    #[test]
    fn a_thread_gives_up_what_it_does_not_need_and_its_children_have_no_more() {
        let before = of_this_thread().unwrap();
        let status = thread::spawn(|| {
            keep_capabilities(&[Capability::NetRaw, Capability::SysAdmin]).unwrap();
            thread::spawn(|| of_this_thread().unwrap()).join().unwrap()
        });
        let status = status.join().unwrap();
        let had = u64::from_str_radix(&field(&before, "CapEff"), 16).unwrap();
        let left = (1 << 13 | 1 << 21) & had;
        for set in ["CapPrm", "CapEff"] {
            assert_eq!(u64::from_str_radix(&field(&status, set), 16).unwrap(), left, "{set}");
        }
        for set in ["CapInh", "CapAmb"] {
            assert_eq!(u64::from_str_radix(&field(&status, set), 16).unwrap(), 0, "{set}");
        }
        assert_eq!(field(&status, "NoNewPrivs"), "1");
        assert_eq!(field(&of_this_thread().unwrap(), "CapEff"), field(&before, "CapEff"));
    }

    #[test]
    fn refused_calls_fail_and_kill_nobody() {
        thread::spawn(|| {
            keep_capabilities(&[Capability::SysAdmin]).unwrap();
            refuse_system_calls().unwrap();
            let refused = |result: c_long| Errno::result(result) == Err(Errno::EPERM);
            for call in REFUSED {
                // SAFETY: refused before the arguments are looked at.
                let result = unsafe { libc::syscall(*call, 0, 0, 0, 0, 0, 0) };
                assert!(refused(result), "system call {call}");
            }
            let status = std::process::Command::new("/bin/true").status();
            assert_eq!(status.unwrap_err().kind(), io::ErrorKind::PermissionDenied);
            // SAFETY: takes a number only.
            let unshared = unsafe { libc::syscall(libc::SYS_unshare, libc::CLONE_NEWUSER) };
            assert!(refused(unshared));
            // Whether the clock is set is read by the call that sets it.
            // SAFETY: an all-zero `timex` is valid, plain data.
            let mut state: libc::timex = unsafe { std::mem::zeroed() };
            // SAFETY: the pointer is to a `timex` that outlives the call.
            assert!(unsafe { libc::adjtimex(&raw mut state) } >= 0);
            // SAFETY: takes a number only.
            let unshared = unsafe { libc::syscall(libc::SYS_unshare, libc::CLONE_FS) };
            assert_eq!(unshared, 0, "the rest is let through");
            assert_eq!(field(&of_this_thread().unwrap(), "Seccomp"), "2");
        })
        .join()
        .unwrap();
    }

    #[test]
    fn what_this_crate_does_goes_on() {
        thread::spawn(|| {
            keep_capabilities(&NEEDED).unwrap();
            refuse_system_calls().unwrap();
            let me = nix::unistd::Pid::this();
            let other = Netns::create().unwrap();
            // As a managed plugin looks from the host's root.
            let here = Netns::open_as_seen_by(me, "/proc/self/ns/net".as_ref()).unwrap();
            assert_ne!(here.inode().unwrap(), other.inode().unwrap());
            crate::sysctl::disable_ipv6_of_new_links(&other).unwrap();
            let told = crate::process::uts_host_name(me).unwrap();
            assert_eq!(told, nix::unistd::gethostname().unwrap().to_string_lossy());
            assert!(crate::process::is_in_netns(me, here.inode().unwrap()));
            let table = crate::PortTable::new(4);
            assert!(table.is_ok(), "bpf(2): {:?}", table.err());
        })
        .join()
        .unwrap();
    }
}
