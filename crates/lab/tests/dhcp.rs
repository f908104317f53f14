//! Each DHCP server gives BusyBox's client a lease, keeps a reservation, and comes back with its table.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // helpers of tests are tests

use std::net::Ipv4Addr;
use std::time::{Duration, SystemTime};

use lab::{
    Capture, DhcpServer, Dnsmasq, Isc, Kea, Lan, LanOptions, Log, Machine, Message, Reservation,
    Roots, ServerOptions, udhcpc,
};

const SOON: Duration = Duration::from_secs(10);

fn options() -> ServerOptions {
    ServerOptions {
        lease: 600,
        renew: Some(30),
        reservations: vec![Reservation {
            mac: "02:00:00:00:00:42".into(),
            ip: Ipv4Addr::new(10, 77, 5, 42),
            name: Some("kept".into()),
        }],
        ..ServerOptions::default()
    }
}

/// A machine on the LAN with this MAC, with the client in it.
fn client(lan: &Lan, mac: &str) -> (lab::Namespace, Machine) {
    let ns = lan.add_machine("client").unwrap();
    ns.ok(&["ip", "link", "set", "eth0", "address", mac]).unwrap();
    let machine = Machine::start("client", &Roots::lan().unwrap(), &ns).unwrap();
    (ns, machine)
}

fn serves(mut server: Box<dyn DhcpServer>, lan: &Lan) {
    let capture = Capture::start(lan.router_ns(), "eth0").unwrap();
    let (_ns, machine) = client(lan, "02:00:00:00:00:07");

    let ip = udhcpc(&machine, "eth0", &["-x", "hostname:web"]).unwrap();
    assert_eq!(ip.octets()[..2], [10, 77]);
    assert!(ip >= Ipv4Addr::new(10, 77, 1, 1) && ip <= Ipv4Addr::new(10, 77, 20, 254), "{ip}");

    let leases = server.wait_leases("one lease", SOON, &|leases| leases.len() == 1).unwrap();
    let lease = &leases[0];
    assert_eq!((lease.mac.as_str(), lease.ip), ("02:00:00:00:00:07", ip));
    assert!(lease.name.as_deref().is_some_and(|name| name.starts_with("web")), "{lease:?}");
    let left = lease.expiry.duration_since(SystemTime::now()).unwrap();
    assert!((590..=601).contains(&left.as_secs()), "{left:?}");

    let kinds: Vec<u8> = capture.pick(|frame| Some(frame.dhcp()?.kind));
    assert_eq!(kinds, [1, 2, 3, 5], "DISCOVER, OFFER, REQUEST, ACK");
    for message in [Message::Discover, Message::Request, Message::Ack] {
        server.wait_logged(message, "02:00:00:00:00:07", SOON).unwrap();
        assert_eq!(server.logged(message, "02:00:00:00:00:07").len(), 1, "{message:?}");
    }

    // The table outlives a restart of the server; a stopped one does not answer.
    server.stop().unwrap();
    udhcpc(&machine, "eth0", &["-t", "1", "-T", "1"]).unwrap_err();
    server.restart().unwrap();
    assert_eq!(server.leases().unwrap().len(), 1);
    assert_eq!(udhcpc(&machine, "eth0", &[]).unwrap(), ip);

    // One that runs on gives its lease back (-R) when it is stopped.
    let argv = ["udhcpc", "-i", "eth0", "-f", "-R", "-s", "/run/udhcpc.sh"];
    let log = Log::new("udhcpc");
    let running = machine.spawn("udhcpc", &[], &argv, &log).unwrap();
    log.wait_for("lab: bound", Duration::from_secs(10)).unwrap();
    running.stop().unwrap();
    server.wait_leases("an empty table", SOON, &|leases| leases.is_empty()).unwrap();
    server.wait_logged(Message::Release, "02:00:00:00:00:07", SOON).unwrap();
}

fn keeps_a_reservation(server: &dyn DhcpServer, lan: &Lan) {
    let (_ns, machine) = client(lan, "02:00:00:00:00:42");
    assert_eq!(udhcpc(&machine, "eth0", &[]).unwrap(), Ipv4Addr::new(10, 77, 5, 42));
    let leases = server.wait_leases("one lease", SOON, &|leases| leases.len() == 1).unwrap();
    assert!(leases[0].name.as_deref().is_some_and(|name| name.starts_with("kept")), "{leases:?}");
}

#[test]
fn dnsmasq_serves() {
    let lan = Lan::new(LanOptions::default()).unwrap();
    serves(Box::new(Dnsmasq::start(lan.router_ns(), "eth0", options()).unwrap()), &lan);
}

#[test]
fn kea_serves() {
    let lan = Lan::new(LanOptions::default()).unwrap();
    serves(Box::new(Kea::start(lan.router_ns(), "eth0", options()).unwrap()), &lan);
}

#[test]
fn isc_serves() {
    let lan = Lan::new(LanOptions::default()).unwrap();
    serves(Box::new(Isc::start(lan.router_ns(), "eth0", options()).unwrap()), &lan);
}

#[test]
fn dnsmasq_keeps_a_reservation() {
    let lan = Lan::new(LanOptions::default()).unwrap();
    keeps_a_reservation(&Dnsmasq::start(lan.router_ns(), "eth0", options()).unwrap(), &lan);
}

#[test]
fn kea_keeps_a_reservation() {
    let lan = Lan::new(LanOptions::default()).unwrap();
    keeps_a_reservation(&Kea::start(lan.router_ns(), "eth0", options()).unwrap(), &lan);
}

#[test]
fn a_server_can_stand_on_the_docker_host_itself() {
    let lan =
        Lan::new(LanOptions { host_address: Some("10.77.0.2/16".into()), ..LanOptions::default() })
            .unwrap();
    let server = Dnsmasq::start(lan.host_ns(), lan.bridge(), options()).unwrap();
    let (_ns, machine) = client(&lan, "02:00:00:00:00:08");
    udhcpc(&machine, "eth0", &[]).unwrap();
    server.wait_logged(Message::Ack, "02:00:00:00:00:08", SOON).unwrap();
}

#[test]
fn a_server_that_cannot_start_says_why() {
    let lan = Lan::new(LanOptions::default()).unwrap();
    let options = ServerOptions { extra: vec!["--no-such-option".into()], ..options() };
    let error = Dnsmasq::start(lan.router_ns(), "eth0", options).unwrap_err().to_string();
    assert!(error.contains("bad command line options"), "{error}");
}
