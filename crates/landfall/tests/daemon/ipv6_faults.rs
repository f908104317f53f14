//! IPv6 when things go away and come back: the machine, the daemon, the server, the uplink, the bridge.

use std::fs;
use std::net::Ipv6Addr;
use std::time::Duration;

use lab::{
    Capture, Dhcp6Summary, DhcpServer6, Dnsmasq, Frame, Kea6, Lan, Message6, Mode6, Place, Radvd,
    RouterOptions, ServerOptions, ServerOptions6,
};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::container::{Container, FOREVER};
use crate::ipv6::{MADE, addresses, routes, site_with_ipv6};
use crate::rogue::{Advertisement, Rogue};
use crate::server::{Grant, Server};
use crate::site::{SOON, Site, eventually, ip_json, same};

const MAC: &str = "02:00:00:00:00:42";
const DUID: &str = "00:03:00:01:02:00:00:00:00:42";

/// Addresses from both, with DHCPv4 as well.
fn dnsmasq(site: &Site) -> Dnsmasq {
    let options = ServerOptions { ipv6: Some(Mode6::Both), ..ServerOptions::default() };
    Dnsmasq::start(site.lan.router_ns(), "eth0", options).unwrap()
}

/// A router that sends everybody to a DHCPv6 server whose leases are short, and DHCPv4.
struct Leasing {
    _router: Radvd,
    kea: Kea6,
    _v4: Server,
}

/// T1, T2, preferred and valid lifetime, in seconds.
fn times([renew, rebind, preferred, valid]: [u32; 4]) -> ServerOptions6 {
    ServerOptions6 {
        renew: Some(renew),
        rebind: Some(rebind),
        preferred,
        valid,
        ..ServerOptions6::default()
    }
}

impl Leasing {
    fn start(site: &Site, options: &ServerOptions6) -> Leasing {
        let router = site.lan.router_ns();
        let prefix = lab::Prefix { autonomous: false, ..lab::Prefix::default() };
        let says =
            RouterOptions { managed: true, prefixes: vec![prefix], ..RouterOptions::default() };
        Leasing {
            kea: Kea6::start(router, "eth0", options).unwrap(),
            _router: Radvd::start(router, "eth0", &says).unwrap(),
            _v4: Server::granting(&site.lan, Grant::new([10, 77, 1, 5])),
        }
    }
}

/// What `landfall status` shows of an endpoint's IPv6 addresses.
fn shown(site: &Site, name: &str) -> Vec<String> {
    let all = site.shown(name)["ipv6"]["addresses"].as_array().cloned().unwrap_or_default();
    all.iter().map(|a| format!("{}/128", a["address"].as_str().unwrap())).collect()
}

fn messages(capture: &Capture, kind: u8) -> Vec<(Frame, Dhcp6Summary)> {
    let of_kind = |frame: &Frame| Some((frame.clone(), frame.dhcp6().filter(|m| m.kind == kind)?));
    capture.pick(of_kind)
}

/// The seconds that its first global address has to live; 0 without one.
fn lifetime(container: &Container) -> u64 {
    let shown = ["-6", "addr", "show", "dev", &container.interface, "scope", "global"];
    let first = ip_json(&container.ns, &shown)[0]["addr_info"][0].clone();
    first["valid_life_time"].as_u64().unwrap_or(0)
}

fn leased_address(container: &Container) -> Ipv6Addr {
    container.endpoint.address6.split('/').next().unwrap().parse().unwrap()
}

#[test]
fn after_a_boot_the_lease_is_confirmed_and_the_addresses_are_the_same() {
    let mut site = site_with_ipv6();
    let server = dnsmasq(&site);
    let options = [("ipv6", "auto"), ("ipv6_address", "stable"), ("release_delay", "1h")];
    site.network("lan", &options);
    let container = site.run("lan", "one", MAC);
    let told = container.endpoint.address6.clone();
    eventually("both addresses", SOON, || same(addresses(&container).len(), &2));
    let before = addresses(&container);
    drop(container);
    site.boot(true);
    assert_eq!(server.logged6(Message6::Confirm, DUID), [] as [&str; 0]);
    let again = site.run("lan", "two", MAC);
    assert_eq!(again.endpoint.address6, told);
    eventually("both addresses", SOON, || same(addresses(&again), &before));
    assert!(site.lan.ping6(Place::Laptop, leased_address(&again)).unwrap());
    assert_eq!(server.logged6(Message6::Confirm, DUID).len(), 1);
    assert_eq!(server.logged6(Message6::Solicit, DUID).len(), 1, "none after the boot");
    assert_eq!(site.status()["ipv6_counters"]["confirms"], 1);
}

/// Nothing is asked because of it, and what is due is asked when it is due.
#[test]
fn a_daemon_that_is_killed_renews_in_time() {
    const T1: Duration = Duration::from_secs(8);
    let mut site = site_with_ipv6();
    let leasing = Leasing::start(&site, &times([8, 16, 20, 40]));
    let capture = Capture::start(site.lan.router_ns(), "eth0").unwrap();
    site.network("lan", &[("ipv6", "auto")]);
    let container = site.run("lan", "web", MAC);
    let before = addresses(&container);
    assert_eq!(before, vec![container.endpoint.address6.clone()]);
    site.landfall.kill9().unwrap();
    site.landfall.restart().unwrap();
    assert_eq!(shown(&site, "web"), before);
    let wanted = |frame: &Frame| frame.dhcp6().is_some_and(|message| message.kind == 5);
    let renew = capture.wait_for("a Renew", T1 + SOON, wanted).unwrap();
    let (request, _) = messages(&capture, 3).pop().unwrap();
    let after = renew.at.duration_since(request.at).unwrap();
    // Up to a tenth early, so that not all come at once.
    assert!((T1 * 9 / 10..T1 + Duration::from_secs(3)).contains(&after), "{after:?}");
    assert_eq!(messages(&capture, 1).len(), 1, "one Solicit");
    assert_eq!(addresses(&container), before);
    assert_eq!(leasing.kea.leases6().unwrap().len(), 1);
}

#[test]
fn a_server_that_is_gone_costs_the_address_when_its_time_is_over() {
    let site = site_with_ipv6();
    let mut leasing = Leasing::start(&site, &times([3, 5, 8, 12]));
    site.network("lan", &[("ipv6", "auto")]);
    let container = site.run("lan", "web", MAC);
    let told = container.endpoint.address6.clone();
    eventually("the address", SOON, || same(addresses(&container), &vec![told.clone()]));
    let capture = Capture::start(site.lan.router_ns(), "eth0").unwrap();
    leasing.kea.stop().unwrap();
    // T2 has come, and it is still there.
    let rebinds = |frame: &Frame| frame.dhcp6().is_some_and(|message| message.kind == 6);
    let rebind = capture.wait_for("a Rebind", SOON * 2, rebinds).unwrap();
    assert_eq!(addresses(&container), vec![told.clone()]);
    assert_eq!(shown(&site, "web"), vec![told.clone()]);
    let solicits = |frame: &Frame| frame.dhcp6().is_some_and(|message| message.kind == 1);
    let solicit = capture.wait_for("a Solicit", SOON * 2, solicits).unwrap();
    assert!(solicit.at > rebind.at);
    eventually("the address gone", SOON, || same(addresses(&container), &vec![]));
    eventually("status tells it", SOON, || same(shown(&site, "web"), &vec![]));
    let status = &site.shown("web")["ipv6"];
    assert_eq!((&status["state"], &status["docker_shows"]), (&json!("REQUESTING"), &json!(told)));
    assert!(container.ping(Lan::ROUTER), "IPv4 does not mind");

    // It comes back with other addresses.
    let pool = |last| Ipv6Addr::from_bits(Lan::PREFIX6.to_bits() | 0x2_0000 | last);
    let other = ServerOptions6 { pool: (pool(0), pool(0xff)), ..ServerOptions6::default() };
    leasing.kea.reconfigure("eth0", &other).unwrap();
    let is_new = |all: &[String]| all.iter().any(|a| a.starts_with("2001:db8:77::2:"));
    let new = eventually("another address", SOON * 2, || {
        Some(addresses(&container)).filter(|all| is_new(all)).ok_or("none yet".into())
    });
    let ip: Ipv6Addr = new[0].split('/').next().unwrap().parse().unwrap();
    assert!(site.lan.ping6(Place::Laptop, ip).unwrap());
    assert_eq!(shown(&site, "web"), new);
}

/// The bridge leads nowhere for a moment: leases are confirmed, and nothing in the container changes.
fn confirmed_after(outage: impl FnOnce(&Site)) {
    let site = site_with_ipv6();
    let server = dnsmasq(&site);
    site.network("lan", &[("ipv6", "auto"), ("release_delay", "1h")]);
    let container = site.run("lan", "web", MAC);
    let held = site.run("lan", "held", "02:00:00:00:00:43");
    held.stop(&site);
    eventually("both addresses", SOON, || same(addresses(&container).len(), &2));
    let before = addresses(&container);
    outage(&site);
    for duid in [DUID, "00:03:00:01:02:00:00:00:00:43"] {
        server.wait_logged6(Message6::Confirm, duid, SOON).unwrap();
        assert_eq!(server.logged6(Message6::Solicit, duid).len(), 1);
    }
    assert_eq!(addresses(&container), before);
    assert!(site.lan.ping6(Place::Laptop, leased_address(&container)).unwrap());
    assert!(container.ns.ping6(Lan::ROUTER6).unwrap());
    // What routers say is followed on.
    let heard = || site.status()["ipv6_counters"]["router_advertisements"].as_u64().unwrap();
    let mark = heard();
    eventually("a router", SOON * 2, || {
        let now = heard();
        if now > mark { Ok(()) } else { Err(format!("{now} advertisements")) }
    });
    assert_eq!(addresses(&container), before);
}

#[test]
fn the_uplink_is_lost_and_back() {
    confirmed_after(|site| {
        site.host().ip_batch("link set laptop nomaster\nlink set router down\n").unwrap();
        site.host().ip_batch("link set router up\nlink set laptop master br0\n").unwrap();
    });
}

#[test]
fn the_bridge_is_deleted_and_made_again() {
    confirmed_after(|site| {
        site.host().ip_batch("link delete br0\n").unwrap();
        let again = "link add br0 type bridge\nlink set router master br0\n\
                     link set laptop master br0\nlink set br0 up\n";
        site.host().ip_batch(again).unwrap();
    });
}

/// A lease that was lost while the daemon was away is not used on, and what is right is found.
#[test]
fn a_lease_that_ends_while_the_daemon_is_away() {
    let mut site = site_with_ipv6();
    let mut leasing = Leasing::start(&site, &times([1, 2, 3, 4]));
    site.network("lan", &[("ipv6", "auto")]);
    let container = site.run("lan", "web", MAC);
    let told = container.endpoint.address6.clone();
    assert_ne!(told, "");
    eventually("the kernel told when it ends", SOON, || same(lifetime(&container) < 60, &true));
    site.landfall.kill9().unwrap();
    leasing.kea.stop().unwrap();
    eventually("the address gone", SOON, || same(addresses(&container), &vec![]));
    site.landfall.restart().unwrap();
    assert_eq!(shown(&site, "web"), [] as [&str; 0]);
    assert_eq!(site.shown("web")["ipv6"]["docker_shows"], Value::from(told.clone()));
    leasing.kea.reconfigure("eth0", &ServerOptions6::default()).unwrap();
    eventually("an address", SOON * 2, || same(addresses(&container).len(), &1));
    eventually("status tells it", SOON, || same(shown(&site, "web"), &addresses(&container)));
}

/// `on_lease_loss=keep`, as with IPv4.
#[test]
fn a_lease_that_no_server_prolongs_may_be_kept() {
    let mut site = site_with_ipv6();
    let mut leasing = Leasing::start(&site, &times([1, 2, 3, 4]));
    site.network("lan", &[("ipv6", "auto"), ("on_lease_loss", "keep")]);
    let container = site.run("lan", "web", MAC);
    let told = vec![container.endpoint.address6.clone()];
    eventually("the kernel told when it ends", SOON, || same(lifetime(&container) < 60, &true));
    leasing.kea.stop().unwrap();
    let end = |site: &Site| site.shown("web")["ipv6"]["addresses"][0]["valid_until"].clone();
    eventually("no end of its life", SOON * 2, || same(end(&site), &Value::Null));
    eventually("not in the kernel either", SOON, || same(lifetime(&container), &FOREVER));
    assert_eq!(addresses(&container), told);
    assert!(site.lan.ping6(Place::Laptop, leased_address(&container)).unwrap());
    // The next run of the daemon knows it too.
    site.landfall.kill9().unwrap();
    site.landfall.restart().unwrap();
    assert_eq!(shown(&site, "web"), told);
    leasing.kea.reconfigure("eth0", &ServerOptions6::default()).unwrap();
    eventually("an end again", SOON * 3, || same(end(&site).is_string(), &true));
    eventually("in the kernel", SOON, || same(lifetime(&container) < FOREVER, &true));
    assert_eq!(addresses(&container), told);
    assert_eq!(shown(&site, "web"), told);
}

/// A router speaks between the moment at which the link is up and the one at which the kernel there is told to listen
/// to none: what it makes of that, and has not checked yet, is not what stays.
#[test]
fn what_the_container_s_kernel_was_quick_to_make_is_made_anew() {
    let site = site_with_ipv6();
    let _server = dnsmasq(&site);
    site.network("lan", &[("ipv6", "auto")]);
    let container = Container::join(&site, site.create("lan", "web", MAC));
    let machine = site.lan.add_machine("rogue").unwrap();
    let router = Rogue::on(&machine, "eth0");
    let daemon = Pid::from_raw(site.landfall.pid().cast_signed());
    kill(daemon, Signal::SIGSTOP).unwrap();
    container.move_in(&site);
    let shown = || {
        let all = ip_json(&container.ns, &["-6", "addr", "show", "dev", "eth0"]);
        let all =
            all.as_array().into_iter().flatten().flat_map(|link| link["addr_info"].as_array());
        let made = all.flatten().find(|address| address["local"] == MADE.to_string());
        made.cloned().unwrap_or(Value::Null)
    };
    eventually("an address of the kernel's own", SOON, || {
        router.send(&Advertisement::of(1).prefix(Lan::PREFIX6, 3600).frame());
        let now = shown();
        if now["mngtmpaddr"] == true { Ok(()) } else { Err(now.to_string()) }
    });
    // What started it has stopped with it.
    let status = fs::read_to_string(format!("/proc/{daemon}/status")).unwrap();
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap();
    for pid in [daemon, Pid::from_raw(parent.trim().parse().unwrap())] {
        kill(pid, Signal::SIGCONT).unwrap();
    }
    eventually("Landfall's instead", SOON, || {
        let now = shown();
        let ours =
            now["nodad"] == true && now["tentative"].is_null() && now["mngtmpaddr"].is_null();
        if ours { Ok(()) } else { Err(now.to_string()) }
    });
}

/// The kernel's settings are the container's to change: what they do not forbid is as routers say, at their next word.
#[test]
fn settings_that_others_change_later() {
    let site = site_with_ipv6();
    let said = RouterOptions { lifetime: 8, interval: 4, ..RouterOptions::default() };
    let _router = Radvd::start(site.lan.router_ns(), "eth0", &said).unwrap();
    site.network("lan", &[("ipv4", "false"), ("ipv6", "slaac")]);
    let container = site.run("lan", "web", MAC);
    let default = format!("default via {}", site.lan.router_ns().link_local("eth0").unwrap());
    let settled = || {
        let shown = ip_json(&container.ns, &["-6", "addr", "show", "dev", "eth0", "scope", "link"]);
        let own = shown.as_array().into_iter().flatten();
        let own = own.filter_map(|link| link["addr_info"].as_array()).flatten();
        let own: Vec<_> = own.filter_map(|a| a["local"].as_str()).map(str::to_owned).collect();
        (addresses(&container), routes(&container).contains(&default), own)
    };
    let well = (vec![format!("{MADE}/128")], true, vec!["fe80::ff:fe00:42".to_owned()]);
    eventually("all of it", SOON, || same(settled(), &well));
    let set = |name: &str, value| container.ns.sysctl(&format!("ipv6/conf/{name}"), value).unwrap();

    // A container that is a router itself: its kernel forgets the routes that it has learnt, and ours are not its own.
    set("all/forwarding", "1");
    assert_eq!(settled(), well);
    // One that would listen to routers too has no address more, nor another link-local one.
    set("eth0/accept_ra", "2");
    set("eth0/addr_gen_mode", "0");
    let renewed = || site.landfall.log().grep("IPv6 renewed").len();
    let before = renewed();
    eventually("renewed twice", SOON * 2, || same(renewed() >= before + 2, &true));
    assert_eq!(settled(), well);

    // Without IPv6 there is nothing, and it is said so; with it again, all.
    set("eth0/disable_ipv6", "1");
    assert_eq!(settled(), (vec![], false, vec![]));
    eventually("said so", SOON * 2, || {
        let said = site.landfall.log().grep("does not have what was renewed");
        same(said.is_empty(), &false)
    });
    set("eth0/addr_gen_mode", "1");
    set("eth0/disable_ipv6", "0");
    eventually("all of it again", SOON * 2, || same(settled(), &well));
    assert!(container.ns.ping6(Lan::ROUTER6).unwrap());
}

/// Nobody has answered yet when the daemon dies; the next one goes on asking.
#[test]
fn a_daemon_that_is_killed_while_it_solicits_finds_the_server_that_comes() {
    let mut site = site_with_ipv6();
    let mut server =
        Dnsmasq::start(site.lan.router_ns(), "eth0", ServerOptions::default()).unwrap();
    site.network("lan", &[("ipv6", "dhcp")]);
    let container = site.run("lan", "web", MAC);
    assert_eq!(site.shown("web")["ipv6"]["state"], "REQUESTING");
    site.landfall.kill9().unwrap();
    site.landfall.restart().unwrap();
    let state = || site.shown("web")["ipv6"]["state"].as_str().unwrap_or_default().to_owned();
    eventually("asks again", SOON, || same(state(), &"REQUESTING".to_owned()));
    server
        .reconfigure("eth0", ServerOptions { ipv6: Some(Mode6::Stateful), ..Default::default() })
        .unwrap();
    let leased = server.wait_leases6("a lease", SOON * 3, &|all: &[_]| all.len() == 1).unwrap();
    let leased = format!("{}/128", leased[0].ip);
    eventually("the address", SOON, || same(addresses(&container), &vec![leased.clone()]));
    container.stop(&site);
    eventually("given back", SOON, || same(server.leases6().unwrap().len(), &0));
}

/// It may be used while it is checked (RFC 4429), and another takes its place if there can be one.
#[test]
fn an_address_that_another_machine_has_is_given_up() {
    let site = site_with_ipv6();
    let options = ServerOptions { ipv6: Some(Mode6::Slaac), ..ServerOptions::default() };
    let _router = Dnsmasq::start(site.lan.router_ns(), "eth0", options).unwrap();
    for (kind, others) in [("eui64", 0), ("stable", 1)] {
        site.network(kind, &[("ipv6", "slaac"), ("ipv6_address", kind)]);
        let container = site.run(kind, kind, MAC);
        let first = container.endpoint.address6.clone();
        container.stop(&site);
        let taken = format!("addr add {first} dev eth0 nodad\n");
        site.lan.laptop_ns().ip_batch(&taken).unwrap();
        let name = format!("{}2", &kind[..4]);
        let container = site.run(kind, &name, MAC);
        eventually("another, or none", SOON, || {
            let now = addresses(&container);
            same((now.contains(&first), now.len()), &(false, others))
        });
        eventually("shown", SOON, || same(shown(&site, &name), &addresses(&container)));
        let said = site.landfall.log().grep("address in use by another machine");
        assert!(said.iter().any(|line| line.contains(first.trim_end_matches("/128"))), "{said:?}");
        container.stop(&site);
    }
}
