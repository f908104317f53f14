//! A machine: its own file system, processes and names, and what is brought into it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // helpers of tests are tests

use std::fs;
use std::net::Ipv4Addr;

use lab::{Lan, LanOptions, Log, Machine, Namespace, Roots};
use nix::sys::signal::Signal;

fn start(net: &Namespace) -> Machine {
    Machine::start("tester", &Roots::lan().unwrap(), net).unwrap()
}

#[test]
fn it_is_apart_from_this_machine_and_from_others() {
    let net = Namespace::new("apart").unwrap();
    let (one, other) = (start(&net), start(&net));
    assert_eq!(one.ok(&["hostname"]).unwrap(), "tester\n");
    assert_eq!(one.read("/etc/hosts").unwrap(), "127.0.0.1 localhost\n127.0.1.1 tester\n");
    one.write("/etc/mine", "one").unwrap();
    assert_eq!(one.ok(&["cat", "/etc/mine"]).unwrap(), "one");
    other.read("/etc/mine").unwrap_err();
    let processes = one.ok(&["ps", "-e", "-o", "comm="]).unwrap();
    assert_eq!(processes.split_whitespace().collect::<Vec<_>>(), ["sleep", "ps"]);
}

#[test]
fn a_program_in_it_is_signalled_and_its_end_is_seen() {
    let net = Namespace::new("signals").unwrap();
    let machine = start(&net);
    let log = Log::new("the shell");
    let argv =
        ["sh", "-c", "trap 'echo term; exit 3' TERM; echo $GREETING; while :; do sleep 0.01; done"];
    let process = machine.spawn("the shell", &["GREETING=hello"], &argv, &log).unwrap();
    log.wait_for("hello", std::time::Duration::from_secs(5)).unwrap();
    assert_eq!(process.status(), None);
    assert_eq!(fs::read_to_string(format!("/proc/{}/comm", process.pid())).unwrap(), "sh\n");
    assert_eq!(process.stop().unwrap().code(), Some(3));
    assert_eq!(log.grep("term"), ["term"]);
    process.signal(Signal::SIGTERM).unwrap(); // it is gone already: no error, and nobody else is hit
}

#[test]
fn orphans_are_reaped() {
    let net = Namespace::new("orphans").unwrap();
    let machine = start(&net);
    machine.ok(&["sh", "-c", "(sleep 0.05 &) ; exit 0"]).unwrap();
    let log = Log::new("the watcher");
    // Ends when no process of that name is left, zombies included.
    let argv = ["sh", "-c", "while ps -e -o comm=,ppid= | grep -q 'sleep.* 1$'; do :; done"];
    let process = machine.spawn("the watcher", &[], &argv, &log).unwrap();
    assert!(process.wait(std::time::Duration::from_secs(5)).unwrap().success());
}

#[test]
fn a_namespace_bound_in_it_is_a_sandbox() {
    let lan = Lan::new(LanOptions::default()).unwrap();
    let machine = start(lan.host_ns());
    let container = Namespace::new("container").unwrap();
    container.ok(&["ip", "addr", "add", "192.0.2.7/32", "dev", "lo"]).unwrap();
    machine.bind(&container, "/run/docker/netns/0123456789ab").unwrap();
    let seen = machine
        .ok(&["nsenter", "--net=/run/docker/netns/0123456789ab", "ip", "addr", "show", "dev", "lo"])
        .unwrap();
    assert!(seen.contains("192.0.2.7/32"), "{seen}");
    machine.unbind("/run/docker/netns/0123456789ab").unwrap();
    assert!(!machine.path("/run/docker/netns/0123456789ab").exists());
    assert!(container.ping(Ipv4Addr::new(192, 0, 2, 7)).unwrap());
}
