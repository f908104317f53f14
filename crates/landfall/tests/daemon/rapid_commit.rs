//! `rapid_commit`: a lease of two messages (RFC 4039).

use lab::{Arp, Capture, DhcpServer, Dnsmasq, Lan, LanOptions, ServerOptions};
use wire::dhcp4::{MessageType, code};

use crate::container::Container;
use crate::server::{Grant, Server};
use crate::site::{SOON, Site, endpoint_argument};

const MAC: &str = "02:00:00:00:00:42";
const ADDRESS: [u8; 4] = [10, 77, 1, 5];

/// The kinds of the DHCP messages that the router has sent and heard.
fn kinds(capture: &Capture) -> Vec<u8> {
    capture.pick(|frame| frame.dhcp().map(|message| message.kind))
}

#[test]
fn dnsmasq_grants_at_once_and_only_who_asks_for_it() {
    let lan = Lan::new(LanOptions::default()).unwrap();
    let extra = vec!["--dhcp-rapid-commit".into()];
    let server =
        Dnsmasq::start(lan.router_ns(), "eth0", ServerOptions { extra, ..Default::default() })
            .unwrap();
    let site = Site::on(lan);
    site.network("rapid", &[("rapid_commit", "true")]);
    site.network("plain", &[]);
    let capture = Capture::start(site.lan.router_ns(), "eth0").unwrap();
    let ack = |mac: &str| {
        let acked = |dhcp: lab::DhcpSummary| dhcp.kind == 5 && dhcp.mac == mac;
        capture.wait_for("the ACK", SOON, |frame| frame.dhcp().is_some_and(acked)).unwrap();
    };
    let web = site.create("rapid", "web", "");
    ack(&web.mac);
    assert_eq!(kinds(&capture), [1, 5], "DISCOVER and ACK");
    let leases = server.leases().unwrap();
    assert_eq!(
        (leases.len(), leases[0].ip, leases[0].mac.as_str()),
        (1, web.ip(), web.mac.as_str())
    );
    let container = Container::start(&site, web);
    assert!(container.ping(Lan::ROUTER));
    container.stop(&site);
    server.wait_leases("no lease", SOON, &|leases| leases.is_empty()).unwrap();

    let before = kinds(&capture).len();
    let db = site.create("plain", "db", "");
    ack(&db.mac);
    assert_eq!(kinds(&capture)[before..], [1, 2, 3, 5]);
}

#[test]
fn a_server_without_it_offers_as_ever() {
    let site = Site::new();
    let server = Server::granting(&site.lan, Grant::new(ADDRESS));
    site.network("lan", &[("rapid_commit", "true")]);
    let endpoint = site.create("lan", "web", "");
    assert_eq!(endpoint.address, "10.77.1.5/16");
    server.wait_count(MessageType::Discover, 1);
    server.wait_count(MessageType::Request, 1);
    let asks = |kind| {
        let asked = server.wait_for(kind, SOON).message;
        asked.options.get(code::RAPID_COMMIT).is_some()
    };
    assert!(asks(MessageType::Discover) && !asks(MessageType::Request));
}

/// A demand for one address is met by an offer or not at all: nothing is committed that is given back.
#[test]
fn who_demands_an_address_asks_for_an_offer() {
    let site = Site::new();
    let server = Server::granting(&site.lan, Grant::new(ADDRESS));
    site.network("lan", &[("rapid_commit", "true"), ("lease_timeout", "3s")]);
    let asking = [("ip", "10.77.1.9")];
    let error = site.try_create_asking("lan", "web", "", &asking).unwrap_err();
    assert!(error.contains("offered 10.77.1.5 and not 10.77.1.9"), "{error}");
    let discover = server.wait_for(MessageType::Discover, SOON).message;
    assert_eq!(discover.options.get(code::RAPID_COMMIT), None);
    assert_eq!(server.count(MessageType::Request), 0);
    assert_eq!(server.count(MessageType::Release), 0);
}

/// An address that is committed and that another machine has is declined.
#[test]
fn an_address_in_use_is_declined() {
    let lan = Lan::new(LanOptions::default()).unwrap();
    let squatter = lan.add_machine("nas").unwrap();
    squatter.ip_batch("addr add 10.77.1.1/16 dev eth0\n").unwrap();
    let options = ServerOptions {
        pool: ([10, 77, 1, 1].into(), [10, 77, 1, 2].into()),
        extra: vec!["--dhcp-rapid-commit".into(), "--dhcp-sequential-ip".into()],
        ..Default::default()
    };
    let server = Dnsmasq::start(lan.router_ns(), "eth0", options).unwrap();
    let site = Site::on(lan);
    site.network("lan", &[("rapid_commit", "true")]);
    let capture = Capture::start(site.lan.router_ns(), "eth0").unwrap();
    let endpoint = site.create("lan", "web", "");
    assert_eq!(endpoint.address, "10.77.1.2/16");
    let probes = |arp: Arp| arp.sender.is_unspecified() && arp.target == endpoint.ip();
    capture.wait_for("a probe", SOON, |frame| frame.arp().is_some_and(probes)).unwrap();
    let declined = |frame: &lab::Frame| frame.dhcp().is_some_and(|dhcp| dhcp.kind == 4);
    capture.wait_for("the DECLINE", SOON, declined).unwrap();
    assert_eq!(
        server.leases().unwrap().iter().map(|lease| lease.ip).collect::<Vec<_>>(),
        [endpoint.ip()]
    );
}

/// Who has gone cannot take it, and its server cannot know.
#[test]
fn what_is_committed_when_the_caller_has_gone_is_given_back() {
    let mut site = Site::new();
    let server = Server::start(site.lan.router_ns(), "eth0", |_| Vec::new());
    site.network("lan", &[("rapid_commit", "true")]);
    let call = site.begin("CreateEndpoint", &endpoint_argument("lan", "web", MAC));
    let discover = server.wait_for(MessageType::Discover, SOON);
    assert!(discover.message.options.get(code::RAPID_COMMIT).is_some());
    call.hang_up();
    site.landfall.log().wait_for("hung up", SOON).unwrap();
    let grant = Grant::new(ADDRESS).option(code::RAPID_COMMIT, &[]);
    server.send(&grant.reply(&discover, MessageType::Ack));
    let release = server.wait_for(MessageType::Release, SOON).message;
    assert_eq!((release.ciaddr, release.chaddr.to_string()), (ADDRESS.into(), MAC.into()));
    assert_eq!(site.stop_and_read_store().1, Vec::<String>::new());
}
