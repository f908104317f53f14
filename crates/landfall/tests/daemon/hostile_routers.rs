//! Routers that nobody asked for: too many words, too fast, and false ones. Containers keep what they have, and neither they
//! nor the daemon are filled up.

use std::fs;
use std::net::Ipv6Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use lab::{Capture, DhcpServer6, Dnsmasq, Frame, Message6, Mode6, Namespace, Place, ServerOptions};
use wire::MacAddr;
use wire::dhcp6::{MessageType, port};
use wire::frame::udp6;
use wire::nd::{ALL_NODES, DnsServers, Message, NdOption, emit};

use crate::container::Container;
use crate::ipv6::{MADE, addresses, routes, site_with_ipv6};
use crate::rogue::{Advertisement, Rogue};
use crate::site::{SOON, Site, eventually, same};

const MAC: &str = "02:00:00:00:00:42";
const DUID: &str = "00:03:00:01:02:00:00:00:00:42";
/// As many as a client keeps, with those of the server and of the good router.
const MOST_ADDRESSES: usize = 16 + 1;
/// On the link, elsewhere, and by default.
const MOST_ROUTES: usize = 16 + 32 + 8;

/// A LAN with both kinds of addresses, a container on it, and somebody else.
struct Scene {
    site: Site,
    server: Dnsmasq,
    container: Container,
    before: Vec<String>,
    _machine: Namespace,
    rogue: Rogue,
}

impl Scene {
    fn new() -> Scene {
        let site = site_with_ipv6();
        let options = ServerOptions { ipv6: Some(Mode6::Both), ..ServerOptions::default() };
        let server = Dnsmasq::start(site.lan.router_ns(), "eth0", options).unwrap();
        site.network("lan", &[("ipv6", "auto")]);
        let container = site.run("lan", "web", MAC);
        eventually("both addresses", SOON, || same(addresses(&container).len(), &2));
        let before = addresses(&container);
        let machine = site.lan.add_machine("rogue").unwrap();
        let rogue = Rogue::on(&machine, "eth0");
        Scene { site, server, container, before, _machine: machine, rogue }
    }

    /// Advertisements that came to the daemon; those of them that went no further.
    fn heard(&self) -> (u64, u64) {
        let counters = self.site.status()["ipv6_counters"].clone();
        let count = |name: &str| counters[name].as_u64().unwrap();
        (count("router_advertisements"), count("router_advertisements_ignored"))
    }

    /// The container has what it had, and can be reached by it.
    fn assert_well(&self) {
        let now = addresses(&self.container);
        assert!(self.before.iter().all(|address| now.contains(address)), "{now:?}");
        assert!(now.len() <= MOST_ADDRESSES, "{now:?}");
        let routes = routes(&self.container);
        assert!(routes.len() <= MOST_ROUTES, "{routes:?}");
        for address in &self.before {
            let ip = address.split('/').next().unwrap().parse().unwrap();
            // After a flood not at once: it fills the kernel's table of neighbours, which all namespaces share.
            let ping = || same(self.site.lan.ping6(Place::Laptop, ip).unwrap(), &true);
            eventually(address, SOON * 2, ping);
        }
        assert_eq!(self.server.logged6(Message6::Solicit, DUID).len(), 1);
        assert_eq!(self.server.logged6(Message6::Release, DUID).len(), 0);
        let log = self.site.landfall.log();
        assert_eq!((log.grep("panicked"), log.grep("fault in Landfall")), (vec![], vec![]));
    }

    /// KiB of the daemon's that are in memory.
    fn resident(&self) -> u64 {
        let status = format!("/proc/{}/status", self.site.landfall.pid());
        let status = fs::read_to_string(status).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

fn prefix(number: u16) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 0xbad, number, 0, 0, 0, 0)
}

/// Whatever is on offer beyond what a host keeps is left.
#[test]
fn a_thousand_prefixes_and_routes() {
    let scene = Scene::new();
    let resident = scene.resident();
    let (before, _) = scene.heard();
    // As many as fit into a frame, from a few routers that take their time: none is too fast.
    for number in 0..25 {
        let full = (0..20).fold(Advertisement::of(number), |said, n| {
            let n = number * 40 + n;
            let route = Ipv6Addr::new(0x2001, 0xdba, n, 0, 0, 0, 0, 0);
            said.prefix(prefix(n), 3600).route(route, 1800)
        });
        scene.rogue.send(&full.frame());
        eventually("heard", SOON, || same(scene.heard().0 > before + u64::from(number), &true));
    }
    eventually("all that is kept", SOON, || {
        same(addresses(&scene.container).len(), &MOST_ADDRESSES)
    });
    scene.assert_well();
    // A new one is no worse off.
    let other = scene.site.run("lan", "other", "02:00:00:00:00:43");
    assert!(other.endpoint.address6.starts_with("2001:db8:77::1:"), "{}", other.endpoint.address6);
    eventually("on the LAN's prefix", SOON, || {
        let all = addresses(&other);
        let made = Ipv6Addr::from_bits(MADE.to_bits() + 1);
        same(all.contains(&format!("{made}/128")), &true)
    });
    assert!(addresses(&other).len() <= MOST_ADDRESSES, "{:?}", addresses(&other));
    let grown = scene.resident().saturating_sub(resident);
    assert!(grown < 16 << 10, "{grown} KiB more");
    other.stop(&scene.site);
}

/// Faster than anybody can follow, each another router than the one before, or one that changes its mind each time.
#[test]
fn floods_reach_no_container_and_delay_no_start() {
    for routers in [1, 40_000] {
        let scene = Scene::new();
        let resident = scene.resident();
        let done = AtomicBool::new(false);
        let began = std::time::Instant::now();
        let sent = thread::scope(|scope| {
            let flood = scope.spawn(|| {
                let mut sent = 0_u16;
                while !done.load(Ordering::Relaxed) {
                    sent = sent.wrapping_add(1);
                    let lifetime = if sent.is_multiple_of(2) { 1800 } else { 0 };
                    let said = Advertisement::of(sent % routers)
                        .header(|header| header.lifetime = lifetime)
                        .prefix(prefix(sent % 64), 3600 * u32::from(sent % 2))
                        .route(prefix(sent % 512), u32::from(lifetime));
                    scene.rogue.send(&said.frame());
                }
            });
            eventually("a flood", SOON, || same(scene.heard().0 > 2000, &true));
            for number in 0..4_u8 {
                let mac = format!("02:00:00:00:01:{number:02x}");
                let other = scene.site.run("lan", &format!("f{number}"), &mac);
                assert!(
                    other.endpoint.address6.starts_with("2001:db8:77:"),
                    "{other:?}",
                    other = other.endpoint
                );
                other.stop(&scene.site);
            }
            done.store(true, Ordering::Relaxed);
            flood.join().unwrap();
            scene.heard()
        });
        let seconds = began.elapsed().as_secs() + 1;
        let (heard, ignored) = sent;
        assert!(heard - ignored <= 5 * seconds + 10, "{heard} heard, {ignored} ignored");
        let changes = scene.site.status()["ipv6_counters"]["configurations_changed"].as_u64();
        assert!(changes.unwrap() <= 5 * (5 * seconds + 10), "{changes:?} in {seconds} s");
        scene.assert_well();
        let grown = scene.resident().saturating_sub(resident);
        assert!(grown < 16 << 10, "{grown} KiB more");
    }
}

/// What is said of others' prefixes: that they are over, at once (RFC 4862 §5.5.3(e)).
#[test]
fn a_router_that_takes_back_what_another_said() {
    let scene = Scene::new();
    let good = Ipv6Addr::from_bits(MADE.to_bits() >> 64 << 64);
    let said = Advertisement::of(1).header(|header| header.lifetime = 0).prefix(good, 0);
    scene.rogue.send(&said.prefix(prefix(1), 3600).frame());
    eventually("heard", SOON, || same(addresses(&scene.container).len(), &3));
    scene.assert_well();
}

/// As long as frames can be, of options that nobody knows, that are too long and that make no sense.
#[test]
fn options_of_all_kinds() {
    let scene = Scene::new();
    let servers = (0..80).map(|n| Ipv6Addr::new(0x2001, 0xdb8, 0xd, 0, 0, 0, 0, n)).collect();
    let mut dns = Advertisement::of(1);
    dns.options.push(NdOption::DnsServers(DnsServers { lifetime: 1800, servers }));
    scene.rogue.send(&dns.frame());
    eventually("as many servers as are kept", SOON, || {
        let dns = scene.site.shown("web")["ipv6"]["dns"].as_array().map_or(0, Vec::len);
        same(dns, &8)
    });
    let mut noise = fastrand::Rng::with_seed(7);
    let noise = |length| std::iter::repeat_with(|| noise.u8(..)).take(length).collect();
    let mut bodies: Vec<Vec<u8>> = (0..1440).step_by(8).map(noise).collect();
    // Of no length; of a length beyond the end; unknown, as long as one can be.
    bodies.extend([vec![3, 0, 0, 0, 0, 0, 0, 0], vec![31, 255, 0, 0, 0, 0, 0, 0]]);
    bodies.push([vec![77, 180], vec![0xff; 1438]].concat());
    for body in &bodies {
        scene.rogue.send(&Advertisement::of(2).frame_with(body));
    }
    // The last one makes sense, but for that option.
    let is_there = |router: String| {
        let shown = scene.site.shown("web")["ipv6"]["routers"].clone();
        shown.as_array().unwrap().iter().any(|shown| *shown == router)
    };
    let last = || Advertisement::of(2).frame_with(&bodies[bodies.len() - 1]);
    eventually("the last", SOON, || {
        scene.rogue.send(&last());
        same(is_there(Advertisement::of(2).source().to_string()), &true)
    });
    scene.assert_well();
}

/// A router that says more than is handed on, and then no more: its last word counts.
#[test]
fn the_last_word_of_a_fast_router_counts() {
    let scene = Scene::new();
    let router = Advertisement::of(1);
    let is_there = || {
        let shown = scene.site.shown("web")["ipv6"]["routers"].clone();
        let source = router.source().to_string();
        shown.as_array().unwrap().iter().any(|shown| *shown == source)
    };
    for last in [1800, 0, 900] {
        let (before, _) = scene.heard();
        for lifetime in [600, 0, 1200, 0, 700, last] {
            let said = router.clone().header(|header| header.lifetime = lifetime);
            scene.rogue.send(&said.frame());
        }
        eventually("all six heard", SOON, || same(scene.heard().0 >= before + 6, &true));
        eventually("the last of them", SOON, || same(is_there(), &(last != 0)));
    }
    scene.assert_well();
}

/// A container that plays router and DHCPv6 server is not heard on a network that lets none act as one.
#[test]
fn a_rogue_router_in_a_container() {
    for guarded in [false, true] {
        let site = site_with_ipv6();
        let options = ServerOptions { ipv6: Some(Mode6::Slaac), ..ServerOptions::default() };
        let _server = Dnsmasq::start(site.lan.router_ns(), "eth0", options).unwrap();
        let guard = if guarded { "true" } else { "false" };
        site.network("lan", &[("dhcp_guard", guard), ("ipv6", "auto")]);
        let bad = site.run("lan", "bad", "02:00:00:00:00:66");
        let victim = site.run("lan", "web", MAC);
        let capture = Capture::start(&victim.ns, &victim.interface).unwrap();
        let rogue = Rogue::on(&bad.ns, &bad.interface);
        let said = Advertisement::of(1).prefix(prefix(1), 3600);
        let advertisement = said.frame();
        let mut behind_options = advertisement.clone();
        // The same behind an empty destination options header (RFC 7113 §2.1).
        behind_options.splice(54..54, [58, 0, 1, 4, 0, 0, 0, 0]);
        behind_options[20] = 60;
        let payload = u16::try_from(behind_options.len() - 54).unwrap();
        behind_options[18..20].copy_from_slice(&payload.to_be_bytes());
        let (source, group) = (said.source(), ALL_NODES);
        let mac = MacAddr([2, 0, 0, 0, 0, 0x66]);
        let socket = |ip, port| std::net::SocketAddrV6::new(ip, port, 0, 0);
        let reply = [MessageType::Reply as u8, 0, 0, 1];
        let to = MacAddr::of_group(group);
        let reply =
            udp6(mac, to, socket(source, port::SERVER), socket(group, port::CLIENT), &reply);
        for frame in [&behind_options, &reply, &advertisement] {
            rogue.send(frame);
        }
        // What anybody may say comes behind.
        let target = Message::NeighbourSolicitation { target: prefix(7) };
        rogue.send(&emit(mac, source, ALL_NODES, &target, &[]));
        let last = |frame: &Frame| frame.icmp6().is_some_and(|m| m.target == Some(prefix(7)));
        capture.wait_for("what came last", SOON, last).unwrap();
        let from_it = |frame: &&Frame| frame.bytes[22..38] == source.octets();
        let frames = capture.frames();
        let heard = frames.iter().filter(from_it).count();
        assert_eq!(heard, if guarded { 1 } else { 4 });
        let routers = || {
            let shown = site.shown("web")["ipv6"]["routers"].clone();
            shown.as_array().unwrap().iter().any(|router| *router == source.to_string())
        };
        if guarded {
            assert!(!routers());
            assert_eq!(addresses(&victim), [format!("{MADE}/128")]);
        } else {
            eventually("taken for a router", SOON, || same(routers(), &true));
        }
    }
}
