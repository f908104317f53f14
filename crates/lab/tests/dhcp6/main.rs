//! Each router and DHCPv6 server of the lab serves the project's own client, which meets real ones here.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // helpers of tests are tests

mod changes;
mod endpoint;
mod routers;

use std::net::Ipv6Addr;
use std::time::{Duration, SystemTime};

use dhcp::ipv6::{Config, Event, Origin, State};
use endpoint::Endpoint;
use lab::{
    Capture, Delegation, DhcpServer6, Dnsmasq, Frame, Isc6, Kea6, Lan, LanOptions, Message6, Mode6,
    Radvd, Reservation6, RouterOptions, ServerOptions, ServerOptions6, Wide6,
};

const SOON: Duration = Duration::from_secs(10);

fn site() -> Lan {
    Lan::new(LanOptions { ipv6: true, ..LanOptions::default() }).unwrap()
}

fn kept() -> ServerOptions6 {
    ServerOptions6 {
        reservations: vec![Reservation6 {
            duid: "00:03:00:01:02:00:00:00:00:42".into(),
            ip: KEPT,
            name: Some("kept".into()),
        }],
        ..ServerOptions6::default()
    }
}

const KEPT: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x77, 0, 0, 0, 0x5, 0x42);

fn dnsmasq(lan: &Lan, mode: Mode6) -> Dnsmasq {
    let options = ServerOptions { ipv6: Some(mode), server6: kept(), ..ServerOptions::default() };
    Dnsmasq::start(lan.router_ns(), "eth0", options).unwrap()
}

/// A router that tells of a DHCPv6 server beside it.
fn router(lan: &Lan) -> Radvd {
    let mut options = RouterOptions { managed: true, other: true, ..RouterOptions::default() };
    options.prefixes[0].autonomous = false;
    Radvd::start(lan.router_ns(), "eth0", &options).unwrap()
}

fn addresses(endpoint: &Endpoint, origin: Origin) -> Vec<Ipv6Addr> {
    let all = endpoint.client.configuration().addresses.iter();
    all.filter(|address| address.origin == origin).map(|address| address.address).collect()
}

/// Logs know clients by DUID or by link-local address.
fn name_in_log(server: &dyn DhcpServer6, endpoint: &Endpoint) -> String {
    match server.kind() {
        "dnsmasq" | "kea" => endpoint.duid(),
        _ => endpoint.client.link_local().unwrap().to_string(),
    }
}

fn leases_an_address(server: &mut dyn DhcpServer6, lan: &Lan) {
    let capture = Capture::start(lan.router_ns(), "eth0").unwrap();
    let mut endpoint = Endpoint::start(lan, 0x07, |config| config.host_name = Some("web".into()));
    endpoint.ready();
    let leased = addresses(&endpoint, Origin::Dhcp);
    assert_eq!(leased.len(), 1, "{:?}", endpoint.client.configuration());
    let ip = leased[0];
    assert_eq!(ip.segments()[..6], [0x2001, 0xdb8, 0x77, 0, 0, 0], "{ip}");
    let configuration = endpoint.client.configuration();
    assert_eq!(configuration.dns, [Lan::ROUTER6]);
    assert_eq!(configuration.search, ["lan.test".into()]);
    assert_eq!(configuration.routers.len(), 1, "{configuration:?}");

    // Four messages, or two of dnsmasq. They are read at the router's end: perhaps not yet.
    let reply = |frame: &Frame| frame.dhcp6().is_some_and(|message| message.kind == 7);
    capture.wait_for("the Reply", SOON, reply).unwrap();
    let dhcp = capture.pick(|frame| frame.dhcp6());
    let kinds: Vec<_> = dhcp.iter().map(|message| message.kind).collect();
    let expected: &[u8] = if server.kind() == "dnsmasq" { &[1, 7] } else { &[1, 2, 3, 7] };
    assert_eq!(kinds, expected, "{dhcp:?}");
    assert!(dhcp.iter().all(|message| message.duid == endpoint.duid()), "{dhcp:?}");
    assert_eq!(dhcp.last().unwrap().addresses, [ip]);
    let told = capture.pick(|frame| frame.icmp6().filter(|icmp| icmp.kind == 134));
    assert!(
        !told.is_empty() && told.iter().all(|icmp| icmp.from.is_unicast_link_local()),
        "{told:?}"
    );

    let leases = server.wait_leases6("one lease", SOON, &|leases| leases.len() == 1).unwrap();
    let lease = &leases[0];
    assert_eq!((&lease.duid, lease.ip, lease.length), (&endpoint.duid(), ip, 128));
    assert_eq!(lease.iaid, endpoint.client.config().iaid);
    let left = lease.expiry.duration_since(SystemTime::now()).unwrap();
    assert!((3580..=3601).contains(&left.as_secs()), "{left:?}");
    let ignored = endpoint.client.progress().server.unwrap().ignored;
    assert_eq!(ignored.total(), 0, "{ignored:?}");

    let of = name_in_log(server, &endpoint);
    server.wait_logged6(Message6::Solicit, &of, SOON).unwrap();
    server.wait_logged6(Message6::Reply, &of, SOON).unwrap();

    // It is prolonged when asked to, by the server that is restarted meanwhile too.
    let renewals = |endpoint: &Endpoint| endpoint.client.progress().server.unwrap().replies;
    let before = renewals(&endpoint);
    server.restart().unwrap();
    endpoint.act(|client, now| client.renew(now));
    endpoint.run_until("a renewal", SOON, |endpoint| renewals(endpoint) > before);
    assert_eq!(addresses(&endpoint, Origin::Dhcp), [ip]);
    server.wait_logged6(Message6::Renew, &of, SOON).unwrap();

    // Asked whether it is still right, the server says yes.
    let before = renewals(&endpoint);
    endpoint.act(|client, now| client.confirm(now, now));
    endpoint.run_until("a confirmation", SOON, |endpoint| renewals(endpoint) > before);
    server.wait_logged6(Message6::Confirm, &of, SOON).unwrap();

    // And it goes back.
    endpoint.act(|client, now| client.release(now));
    endpoint.run_until("the release", SOON, |endpoint| endpoint.client.state() == State::Stopped);
    assert_eq!(endpoint.events.last().unwrap().1, Event::Released);
    server.wait_logged6(Message6::Release, &of, SOON).unwrap();
    server.wait_leases6("an empty table", SOON, &|leases| leases.is_empty()).unwrap();
}

fn keeps_a_reservation(lan: &Lan) {
    let mut endpoint = Endpoint::start(lan, 0x42, |_| ());
    endpoint.ready();
    assert_eq!(addresses(&endpoint, Origin::Dhcp), [KEPT]);
}

#[test]
fn dnsmasq_leases_an_address() {
    let lan = site();
    leases_an_address(&mut dnsmasq(&lan, Mode6::Stateful), &lan);
}

#[test]
fn kea_leases_an_address() {
    let lan = site();
    let _router = router(&lan);
    leases_an_address(&mut Kea6::start(lan.router_ns(), "eth0", &kept()).unwrap(), &lan);
}

#[test]
fn isc_leases_an_address() {
    let lan = site();
    let _router = router(&lan);
    leases_an_address(&mut Isc6::start(lan.router_ns(), "eth0", &kept()).unwrap(), &lan);
}

#[test]
fn wide_leases_an_address() {
    let lan = site();
    let _router = router(&lan);
    leases_an_address(&mut Wide6::start(lan.router_ns(), "eth0", &kept()).unwrap(), &lan);
}

#[test]
fn dnsmasq_keeps_a_reservation() {
    let lan = site();
    let server = dnsmasq(&lan, Mode6::Stateful);
    keeps_a_reservation(&lan);
    let leases = server.wait_leases6("one lease", SOON, &|leases| leases.len() == 1).unwrap();
    assert_eq!(leases[0].name.as_deref(), Some("kept"), "{leases:?}");
}

#[test]
fn kea_keeps_a_reservation() {
    let lan = site();
    let _router = router(&lan);
    let server = Kea6::start(lan.router_ns(), "eth0", &kept()).unwrap();
    keeps_a_reservation(&lan);
    let leases = server.wait_leases6("one lease", SOON, &|leases| leases.len() == 1).unwrap();
    assert_eq!(leases[0].name.as_deref(), Some("kept"), "{leases:?}");
}

#[test]
fn isc_keeps_a_reservation() {
    let lan = site();
    let _router = router(&lan);
    let _server = Isc6::start(lan.router_ns(), "eth0", &kept()).unwrap();
    keeps_a_reservation(&lan);
}

#[test]
fn wide_keeps_a_reservation() {
    let lan = site();
    let _router = router(&lan);
    let server = Wide6::start(lan.router_ns(), "eth0", &kept()).unwrap();
    keeps_a_reservation(&lan);
    let leases = server.wait_leases6("one lease", SOON, &|leases| leases.len() == 1).unwrap();
    assert_eq!(leases[0].ip, KEPT);
}

#[test]
fn dnsmasq_may_have_the_rest_alone() {
    let lan = site();
    let server = dnsmasq(&lan, Mode6::Stateless);
    let mut endpoint = Endpoint::start(&lan, 0x07, |_| ());
    endpoint.ready();
    assert_eq!(addresses(&endpoint, Origin::Slaac).len(), 1);
    assert_eq!(addresses(&endpoint, Origin::Dhcp), [Ipv6Addr::UNSPECIFIED; 0]);
    assert_eq!(endpoint.client.configuration().dns, [Lan::ROUTER6]);
    server.wait_logged6(Message6::InformationRequest, &endpoint.duid(), SOON).unwrap();
    assert_eq!(server.leases6().unwrap(), []);
}

#[test]
fn dnsmasq_may_do_both() {
    let lan = site();
    let _server = dnsmasq(&lan, Mode6::Both);
    let mut endpoint = Endpoint::start(&lan, 0x07, |_| ());
    endpoint.run_until("two addresses", SOON, |endpoint| {
        [Origin::Slaac, Origin::Dhcp].iter().all(|&from| addresses(endpoint, from).len() == 1)
    });
}

#[test]
fn a_server_that_no_router_tells_of_is_found() {
    let lan = site();
    let _server = dnsmasq(&lan, Mode6::Unadvertised);
    let mut endpoint = Endpoint::start(&lan, 0x07, |_| ());
    endpoint.ready();
    assert_eq!(addresses(&endpoint, Origin::Dhcp).len(), 1);
    assert_eq!(endpoint.client.configuration().routers, []);
}

/// Two messages instead of four, an address and a prefix, and times of the server's own.
fn with_delegation() -> ServerOptions6 {
    ServerOptions6 {
        rapid_commit: true,
        renew: Some(100),
        rebind: Some(200),
        delegation: Some(Delegation { prefix: DELEGATED, length: 40, delegated: 56 }),
        ..ServerOptions6::default()
    }
}

const DELEGATED: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x7700, 0, 0, 0, 0, 0);

fn delegates(server: &dyn DhcpServer6, lan: &Lan) {
    let wants_prefix = |config: &mut Config| config.prefix = Some(56);
    let mut endpoint = Endpoint::start(lan, 0x07, wants_prefix);
    endpoint.ready();
    let configuration = endpoint.client.configuration();
    assert_eq!(configuration.delegated.len(), 1, "{}", endpoint.story());
    let delegated = configuration.delegated[0];
    assert_eq!(
        (delegated.prefix.segments()[..2].to_vec(), delegated.length),
        (vec![0x2001, 0xdb8], 56)
    );
    assert_eq!(addresses(&endpoint, Origin::Dhcp).len(), 1);
    let lease = endpoint.client.lease().unwrap();
    // The client asks a little earlier, so that many do not ask at once.
    let [renew, rebind] = [lease.t1_at, lease.t2_at].map(|at| at.saturating_since(lease.start));
    assert!((90..=100).contains(&renew.as_secs()), "{renew:?}");
    assert!((180..=200).contains(&rebind.as_secs()), "{rebind:?}");
    let progress = endpoint.client.progress().server.unwrap();
    assert_eq!((progress.advertises, progress.requests), (0, 0), "{}", endpoint.story());

    let leases = server.wait_leases6("two leases", SOON, &|leases| leases.len() == 2).unwrap();
    let lengths: Vec<_> = leases.iter().map(|lease| lease.length).collect();
    assert!(lengths.contains(&128) && lengths.contains(&56), "{leases:?}");
    assert!(leases.iter().all(|lease| lease.duid == endpoint.duid()), "{leases:?}");

    endpoint.act(|client, now| client.release(now));
    endpoint.run_until("the release", SOON, |endpoint| endpoint.client.state() == State::Stopped);
    server.wait_leases6("an empty table", SOON, &|leases| leases.is_empty()).unwrap();
}

#[test]
fn kea_delegates_a_prefix_in_two_messages() {
    let lan = site();
    let _router = router(&lan);
    delegates(&Kea6::start(lan.router_ns(), "eth0", &with_delegation()).unwrap(), &lan);
}

#[test]
fn isc_delegates_a_prefix_in_two_messages() {
    let lan = site();
    let _router = router(&lan);
    delegates(&Isc6::start(lan.router_ns(), "eth0", &with_delegation()).unwrap(), &lan);
}

/// Debian's Kea prefers addresses for an hour if nobody says otherwise, also when they are valid for less.
#[test]
fn a_lease_that_is_preferred_longer_than_valid_is_cut() {
    let lan = site();
    let _router = router(&lan);
    let options = ServerOptions6 { preferred: 3600, valid: 120, ..ServerOptions6::default() };
    let _server = Kea6::start(lan.router_ns(), "eth0", &options).unwrap();
    let mut endpoint = Endpoint::start(&lan, 0x07, |_| ());
    endpoint.ready();
    let address = endpoint.client.configuration().addresses[0];
    assert_eq!(address.preferred_until, address.valid_until, "{}", endpoint.story());
    assert!(endpoint.client.progress().server.unwrap().capped > 0);
}
