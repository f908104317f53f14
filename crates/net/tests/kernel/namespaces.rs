//! Network namespaces: made, entered, named, and let go.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use net::{Filter, LinkChange, LinkWatch, Netlink, Netns, PacketSocket, Sees};
use nix::unistd::Pid;

use crate::common::{in_fresh_netns, run, veth};

/// What a test wants done in a process of its own is given to a second run of this program by
/// this variable; without it those below have nothing to do.
const ERRAND: &str = "LANDFALL_TEST_ERRAND";

/// A run of one test of this program in a process of its own, by way of a wrapper if given.
fn errand(test: &str, wrapper: &[&str], what: &Path) {
    let program = std::env::current_exe().unwrap();
    let mut words = wrapper.iter().map(Path::new).chain([program.as_path()]);
    let output = Command::new(words.next().unwrap())
        .args(words)
        .args([test, "--exact", "--nocapture"])
        .env(ERRAND, what)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

fn asked_for() -> Option<PathBuf> {
    std::env::var_os(ERRAND).map(PathBuf::from)
}

/// A path for a name, taken away again at the end.
struct Name {
    path: PathBuf,
    _folder: tempfile::TempDir,
}

impl Name {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { path: folder.path().join("some/where/port"), _folder: folder }
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        Netns::remove_persistent(&self.path).unwrap();
    }
}

#[test]
fn a_new_namespace_has_nothing_but_lo_which_is_up() {
    in_fresh_netns(|| async {
        let here = Netns::current().unwrap();
        let new = Netns::create().unwrap();
        assert_ne!(new.inode().unwrap(), here.inode().unwrap());
        let links = Netlink::in_netns(&new).unwrap().links().await.unwrap();
        let [lo] = &links[..] else { panic!("{links:?}") };
        assert_eq!((lo.name.as_str(), lo.up), ("lo", true));
    });
}

#[test]
fn work_is_done_inside_and_the_caller_stays_outside() {
    in_fresh_netns(|| async {
        let here = Netns::current().unwrap().inode().unwrap();
        let other = Netns::create().unwrap();
        let text = String::from("borrowed");
        let (inside, length) =
            other.run(|| (Netns::current().unwrap().inode().unwrap(), text.len())).unwrap();
        assert_eq!((inside, length), (other.inode().unwrap(), 8));
        assert_eq!(Netns::current().unwrap().inode().unwrap(), here);
        let panicked = std::panic::catch_unwind(|| other.run(|| panic!("inside")));
        assert_eq!(panicked.unwrap_err().downcast_ref(), Some(&"inside"));
    });
}

#[test]
fn what_is_no_namespace_is_told_when_it_is_opened_or_entered() {
    let missing = Netns::open(Path::new("/nowhere/netns")).unwrap_err();
    assert!(missing.is_not_found(), "{missing}");
    assert!(missing.to_string().contains("/nowhere/netns"), "{missing}");
    let file = tempfile::NamedTempFile::new().unwrap();
    let error = Netns::open(file.path()).unwrap().run(|| ()).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(22), "EINVAL: {error}");
}

#[test]
fn a_name_leads_to_the_same_namespace_until_it_is_removed() {
    let name = Name::new();
    let (first, made) = Netns::open_or_create_persistent(&name.path).unwrap();
    assert!(made);
    let lo = first.run(|| run("ip link show lo")).unwrap();
    assert!(lo.contains("UP"), "{lo}");
    let (second, made) = Netns::open_or_create_persistent(&name.path).unwrap();
    assert!(!made);
    assert_eq!(second.inode().unwrap(), first.inode().unwrap());
    assert_eq!(Netns::open(&name.path).unwrap().inode().unwrap(), first.inode().unwrap());

    Netns::remove_persistent(&name.path).unwrap();
    assert!(!name.path.exists());
    Netns::remove_persistent(&name.path).unwrap(); // fine when it is gone
    let (third, made) = Netns::open_or_create_persistent(&name.path).unwrap();
    assert!(made);
    assert_ne!(third.inode().unwrap(), first.inode().unwrap(), "the first is still held here");
}

#[test]
fn a_file_left_where_the_name_was_is_no_hindrance() {
    let name = Name::new();
    std::fs::create_dir_all(name.path.parent().unwrap()).unwrap();
    std::fs::write(&name.path, "").unwrap();
    let (netns, made) = Netns::open_or_create_persistent(&name.path).unwrap();
    assert!(made);
    assert_eq!(Netns::open(&name.path).unwrap().inode().unwrap(), netns.inode().unwrap());
}

#[test]
fn a_name_outlives_its_maker() {
    let name = Name::new();
    errand("namespaces::errand_make_a_name", &[], &name.path);
    let (netns, made) = Netns::open_or_create_persistent(&name.path).unwrap();
    assert!(!made);
    let link = netns.run(|| run("ip link show left-behind")).unwrap();
    assert!(link.contains("UP"), "{link}");
}

/// As a managed plugin's or a sandboxed unit's mounts, which go with it: the maker has a mount
/// namespace of its own, and the name is looked for in that of pid 1. All in a pid namespace,
/// since the machine's pid 1 is none of a test's business (and may be closed to it).
#[test]
fn a_name_outlives_its_makers_mounts() {
    let folder = tempfile::tempdir().unwrap();
    let script = "unshare --mount --propagation private \
                    \"$0\" namespaces::errand_make_a_name --exact --nocapture \
                  && exec \"$0\" \"$@\"";
    let wrapper = ["unshare", "--pid", "--fork", "--mount-proc", "sh", "-c", script];
    // Nothing is left to clean up: the mount ends with that pid 1.
    errand("namespaces::errand_find_the_name", &wrapper, &folder.path().join("name"));
}

#[test]
fn errand_make_a_name() {
    let Some(path) = asked_for() else { return };
    let (netns, made) = Netns::open_or_create_persistent(&path).unwrap();
    assert!(made);
    netns.run(|| run("ip link add left-behind type bridge")).unwrap();
    netns.run(|| run("ip link set left-behind up")).unwrap();
}

#[test]
fn errand_find_the_name() {
    let Some(path) = asked_for() else { return };
    let (netns, made) = Netns::open_or_create_persistent(&path).unwrap();
    assert!(!made, "it was made, in a mount namespace that is gone");
    netns.run(|| run("ip link show left-behind")).unwrap();
}

#[test]
fn a_path_is_followed_as_another_process_sees_it() {
    let folder = tempfile::tempdir().unwrap();
    let name = folder.path().join("name");
    std::fs::write(&name, "").unwrap();
    let inside = Netns::create().unwrap();
    // In a mount namespace of its own it mounts its network namespace there.
    let mount = format!("mount --bind /proc/self/ns/net {} && echo done && cat", name.display());
    let mut other = inside
        .run(|| {
            Command::new("unshare")
                .args(["--mount", "--propagation", "private", "sh", "-c", &mount])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .unwrap();
    let mut done = [0; 5];
    other.stdout.as_mut().unwrap().read_exact(&mut done).unwrap();
    let pid = Pid::from_raw(other.id() as i32);
    let seen = Netns::open_as_seen_by(pid, &name);
    let not_there = Netns::open_as_seen_by(pid, &folder.path().join("nothing"));
    drop(other.stdin.take()); // ends it
    other.wait().unwrap();
    assert_eq!(seen.unwrap().inode().unwrap(), inside.inode().unwrap());
    assert!(not_there.unwrap_err().is_not_found());
    assert!(Netns::open(&name).unwrap().run(|| ()).is_err(), "here it is a plain file");
    let gone = Netns::open_as_seen_by(pid, &name).unwrap_err();
    assert!(gone.is_not_found() && gone.to_string().contains(&pid.to_string()), "{gone}");
}

#[test]
fn a_namespace_ends_when_nobody_needs_it() {
    errand("namespaces::errand_use_a_namespace", &[], Path::new("it"));
}

/// In a process of its own, because its helper threads are to be started inside the namespace:
/// threads begin where their maker is, and would keep the namespace for as long as they live.
#[test]
fn errand_use_a_namespace() {
    let Some(_) = asked_for() else { return };
    // Made outside: a runtime has Unix sockets for signals, and those hold a namespace too.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let short_lived = Netns::create().unwrap();
    short_lived
        .run(|| {
            runtime.block_on(async {
                let netlink = Netlink::here().unwrap();
                let lo = netlink.link("lo").await.unwrap().unwrap().index;
                let _watch = LinkWatch::here().unwrap();
                for _ in 0..5 {
                    PacketSocket::open(lo, &Filter::nothing(), Sees::Incoming).unwrap();
                }
            });
        })
        .unwrap();
    in_fresh_netns(|| async {
        let mut watch = LinkWatch::here().unwrap();
        let netlink = Netlink::here().unwrap();
        let (outer, _) =
            netlink.create_veth(&veth("outer", "inner", Some(&short_lived))).await.unwrap();
        drop(short_lived);
        // The end of the namespace ends what is in it, and so the veth.
        loop {
            if let LinkChange::Removed { index, .. } = watch.next().await.unwrap() {
                assert_eq!(index, outer);
                break;
            }
        }
    });
}

#[test]
fn ipv6_is_turned_off_also_where_proc_sys_is_read_only() {
    in_fresh_netns(|| async {
        let netns = Netns::create().unwrap();
        let setting = || {
            let path = "/proc/sys/net/ipv6/conf/default/disable_ipv6";
            netns.run(|| std::fs::read_to_string(path).unwrap()).unwrap().trim().to_owned()
        };
        assert_eq!(setting(), "0");
        net::sysctl::disable_ipv6_of_new_links(&netns).unwrap();
        assert_eq!(setting(), "1");
    });
    let read_only = "mount --bind /proc/sys /proc/sys && mount -o remount,ro,bind /proc/sys \
                     && exec \"$0\" \"$@\"";
    let wrapper = ["unshare", "--mount", "--propagation", "private", "sh", "-c", read_only];
    errand("namespaces::errand_turn_ipv6_off", &wrapper, Path::new("it"));
}

#[test]
fn errand_turn_ipv6_off() {
    let Some(_) = asked_for() else { return };
    let path = "/proc/sys/net/ipv6/conf/default/disable_ipv6";
    let netns = Netns::create().unwrap();
    let refused = netns.run(|| std::fs::write(path, "1")).unwrap().unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ReadOnlyFilesystem);
    net::sysctl::disable_ipv6_of_new_links(&netns).unwrap();
    assert_eq!(netns.run(|| std::fs::read_to_string(path)).unwrap().unwrap().trim(), "1");

    let settings =
        net::sysctl::Ipv6Settings { hop_limit: Some(9), mtu: Some(1400), ..Default::default() };
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(net::sysctl::ipv6_of(&netns, "lo", settings))
        .unwrap();
    for (name, wanted) in [("hop_limit", "9"), ("mtu", "1400")] {
        let path = format!("/proc/sys/net/ipv6/conf/lo/{name}");
        assert_eq!(netns.run(|| std::fs::read_to_string(path)).unwrap().unwrap().trim(), wanted);
    }
}

#[test]
fn sysctls_are_those_of_the_namespace() {
    in_fresh_netns(|| async {
        let other = Netns::create().unwrap();
        other.run(|| std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap()).unwrap();
        assert!(other.run(net::sysctl::ip_forward).unwrap().unwrap());
        other.run(|| std::fs::write("/proc/sys/net/ipv4/ip_forward", "0").unwrap()).unwrap();
        assert!(!other.run(net::sysctl::ip_forward).unwrap().unwrap());
        // Whatever the machine has: the answer is the file's.
        let file = "/proc/sys/net/bridge/bridge-nf-call-iptables";
        let wanted = std::fs::read_to_string(file).is_ok_and(|text| text.trim() != "0");
        assert_eq!(net::sysctl::bridge_nf_call_iptables().unwrap(), wanted);
    });
}
