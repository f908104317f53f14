//! What takes longer than a change may wait for, or needs more of the machine: a full bridge, an hour of coming and going, a
//! systemd. Run by `make soak`.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, dead_code)] // helpers of tests are tests

#[path = "../daemon/container.rs"]
mod container;
mod documents;
mod package;
#[path = "../daemon/site.rs"]
mod site;
mod systemd;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use lab::{DhcpServer, Dnsmasq, Kea, Lan, LanOptions, Message, ServerOptions};

use container::Container;
use site::{SOON, Site, eventually, same};

/// Does something for each number, several at a time.
fn side_by_side<R: Send>(count: usize, work: impl Fn(usize) -> R + Sync) -> Vec<R> {
    const HANDS: usize = 4;
    let work = &work;
    thread::scope(|scope| {
        let hand = |first| move || (first..count).step_by(HANDS).map(work).collect::<Vec<R>>();
        let hands: Vec<_> = (0..HANDS).map(|first| scope.spawn(hand(first))).collect();
        hands.into_iter().flat_map(|hand| hand.join().unwrap()).collect()
    })
}

/// How many frames wait on one processor at most, set as `landfall doctor` says where a bridge has many ports; as it was
/// once this goes. The machine's: one for all network namespaces.
struct Backlog(String);

impl Backlog {
    const FILE: &str = "/proc/sys/net/core/netdev_max_backlog";

    fn of(frames: usize) -> Backlog {
        let was = fs::read_to_string(Self::FILE).unwrap();
        fs::write(Self::FILE, frames.to_string()).unwrap();
        Backlog(was)
    }
}

impl Drop for Backlog {
    fn drop(&mut self) {
        let _ = fs::write(Self::FILE, &self.0);
    }
}

/// A thousand containers on one bridge, with Kea; all of them renew their leases within a minute.
#[test]
fn a_thousand_on_one_bridge() {
    const COUNT: usize = 1000;
    /// In seconds.
    const T1: u32 = 60;
    // A broadcast becomes a frame for each port, and the kernel drops what exceeds it.
    let _backlog = Backlog::of(4 * COUNT);
    let lan = Lan::new(LanOptions::default()).unwrap();
    let options = ServerOptions { lease: 600, renew: Some(T1), ..ServerOptions::default() };
    let server = Kea::start(lan.router_ns(), "eth0", options).unwrap();
    let mut site = Site::on(lan);
    site.network("lan", &[("lease_timeout", "25s")]);
    let began = Instant::now();
    let containers = side_by_side(COUNT, |n| site.run("lan", &format!("c{n:03}"), ""));
    println!("{COUNT} containers after {:?}", began.elapsed());
    let addresses: BTreeSet<_> = containers.iter().map(Container::ip).collect();
    assert_eq!(addresses.len(), COUNT);
    let (mark, acknowledged) = (server.log().mark(), server.words(Message::Ack));
    let macs: BTreeSet<&str> = containers.iter().map(|c| c.endpoint.mac.as_str()).collect();
    let renewed = RefCell::new(BTreeSet::<&str>::new());
    // Each line is asked about once.
    let last_of_all = |line: &str| {
        let mut renewed = renewed.borrow_mut();
        if line.contains(acknowledged) {
            let words = line.split(|c: char| c != ':' && !c.is_ascii_alphanumeric());
            renewed.extend(words.filter_map(|word| macs.get(word).copied()));
        }
        renewed.len() == COUNT
    };
    let began = Instant::now();
    let waited = Duration::from_secs(T1.into()) + SOON;
    let all = server.log().wait_after(mark, "a renewal of each", last_of_all, waited);
    assert!(all.is_ok(), "{} of {COUNT} have renewed", renewed.borrow().len());
    println!("all {COUNT} have renewed within {:?}", began.elapsed());
    for state in site.status()["endpoints"].as_array().unwrap() {
        assert_ne!(state["address"], serde_json::Value::Null, "{state}");
    }
    assert_eq!(server.log().grep(server.words(Message::Nak)).len(), 0);
    for container in containers.iter().step_by(50) {
        assert!(container.ping(Lan::ROUTER));
    }
    let began = Instant::now();
    let containers: Vec<_> =
        containers.into_iter().map(|c| std::sync::Mutex::new(Some(c))).collect();
    side_by_side(COUNT, |n| containers[n].lock().unwrap().take().unwrap().stop(&site));
    println!("{COUNT} removed after {:?}", began.elapsed());
    server.wait_leases("no lease", SOON * 3, &<[_]>::is_empty).unwrap();
    assert_eq!(site.endpoint_links(), Vec::<String>::new());
    assert_eq!(site.stop_and_read_store().1, Vec::<String>::new());
}

/// What the daemon holds.
#[derive(Debug, Clone, Copy)]
struct Held {
    resident_kib: u64,
    descriptors: usize,
    threads: usize,
}

fn held(site: &Site) -> Held {
    let pid = site.landfall.pid();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    let entries = |of| fs::read_dir(format!("/proc/{pid}/{of}")).unwrap().count();
    Held {
        resident_kib: line.split_whitespace().nth(1).unwrap().parse().unwrap(),
        descriptors: entries("fd"),
        threads: entries("task"),
    }
}

/// Five starts and stops a second for `LANDFALL_CHURN` seconds (an hour): at the end everything is as it was once the
/// first three minutes were over.
#[test]
fn an_hour_of_coming_and_going() {
    let seconds = env::var("LANDFALL_CHURN").map_or(3600, |text| text.parse().unwrap());
    let pace = Duration::from_millis(200);
    /// What the allocator may keep of a moment that was busier than all in the first minutes, in KiB: less than 30 bytes for
    /// each life of an hour.
    const ALLOWED: u64 = 512;
    let lan = Lan::new(LanOptions::default()).unwrap();
    let server = Dnsmasq::start(lan.router_ns(), "eth0", ServerOptions::default()).unwrap();
    let mut site = Site::on(lan);
    site.network("lan", &[]);
    let round = |site: &Site, from: usize, seconds: u64| -> usize {
        let (began, mut n) = (Instant::now(), 0);
        while began.elapsed() < Duration::from_secs(seconds) {
            let container = site.run("lan", &format!("{:x}", from + n), "");
            container.stop(site);
            n += 1;
            // The pace, not a wait for anything.
            thread::sleep((pace * n as u32).saturating_sub(began.elapsed()));
        }
        n
    };
    let first = round(&site, 0, 180.min(seconds));
    server.wait_leases("no lease", SOON, &<[_]>::is_empty).unwrap();
    let (before, links) = (held(&site), site.links());
    let lives = round(&site, first, seconds);
    server.wait_leases("no lease", SOON, &<[_]>::is_empty).unwrap();
    eventually("as before", SOON * 3, || {
        let now = held(&site);
        if now.descriptors <= before.descriptors && now.threads <= before.threads + 2 {
            Ok(())
        } else {
            Err(format!("{now:?}, before {before:?}"))
        }
    });
    let after = held(&site);
    println!("{lives} lives in {seconds} s: {before:?}, then {after:?}");
    // The pace was held: a moment that was too slow for it is made up for.
    assert!(lives as u64 >= seconds * 5 * 99 / 100, "{lives} lives in {seconds} s");
    assert!(after.resident_kib <= before.resident_kib + ALLOWED, "{after:?}, before {before:?}");
    same(site.links(), &links).unwrap();
    site.delete_network("lan");
    assert_eq!(site.stop_and_read_store(), (vec![], vec![]));
}
