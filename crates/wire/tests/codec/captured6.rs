//! Frames that real routers and DHCPv6 servers sent through a veth to the client 02:00:00:00:00:42 with
//! the host name "web", as `crates/lab` sets them up. All speak from fe80::ff:fe00:1.

use std::net::Ipv6Addr;

use wire::dhcp6::{Fqdn, Message, MessageType, StatusCode};
use wire::frame::{Checksum, Frame, Payload};
use wire::nd::{self, NdOption, Preference, PrefixInformation, RouteInformation};
use wire::{Error, MacAddr};

use crate::captured::bytes;
use crate::common::MAC;
use crate::nd::ip;

const DUID: [u8; 10] = [0, 3, 0, 1, 2, 0, 0, 0, 0, 0x42];

/// What one server said, and from which port.
fn heard(frame: &[u8], read: impl FnOnce(u16, Message<'_>)) {
    // All of them leave the checksum to a card that is not there.
    assert_eq!(Frame::parse(frame, Checksum::Verify), Err(Error::UdpChecksum));
    let frame = Frame::parse(frame, Checksum::Partial).unwrap();
    assert_eq!(frame.destination, MAC);
    let Payload::Udp6(udp) = frame.payload else { panic!("{:?}", frame.payload) };
    assert_eq!(*udp.source.ip(), ip("fe80::ff:fe00:1"));
    assert_eq!(udp.destination.to_string(), "[fe80::ff:fe00:42]:546");
    read(udp.source.port(), Message::parse(udp.payload).unwrap());
}

/// All servers had the same to give, but for the times of the lease.
fn assert_is_the_lease(message: &Message<'_>, [t1, t2, preferred, valid]: [u32; 4]) {
    let options = message.options;
    assert_eq!(options.client_id(), Some(&DUID[..]));
    // DUID-LLT of Ethernet, with the server's MAC.
    let server = options.server_id().unwrap();
    assert_eq!((server.len(), &server[..4]), (14, &[0, 1, 0, 1][..]));
    assert_eq!(options.status().code, StatusCode::Success);
    assert!(!options.rapid_commit());
    assert_eq!(
        options.dns_servers().collect::<Vec<_>>(),
        [ip("2001:db8:77::1"), ip("2001:db8:77::2")]
    );
    assert_eq!(options.domain_list(), ["eng.lan.example", "lan.example"]);
    let associations: Vec<_> = options.ia_na().collect();
    assert_eq!(associations.len(), 1);
    let association = &associations[0];
    assert_eq!((association.iaid, association.t1, association.t2), (0x42, t1, t2));
    let addresses: Vec<_> = association.options.addresses().collect();
    assert_eq!(addresses.len(), 1);
    assert_eq!(addresses[0].address, ip("2001:db8:77::5:42"));
    assert_eq!((addresses[0].preferred, addresses[0].valid), (preferred, valid));
}

fn name(message: &Message<'_>) -> Option<Fqdn> {
    message.options.client_fqdn()
}

#[test]
fn dnsmasq_offers_and_leases() {
    let times = [1800, 3150, 3600, 3600];
    let kept = |name: &str| {
        let name = Some(name.to_owned());
        Some(Fqdn { server_updates: true, overridden: false, no_updates: false, name })
    };
    heard(&bytes(include_str!("captured/dnsmasq-2.90-advertise.hex")), |port, message| {
        assert_eq!((port, message.kind), (547, MessageType::Advertise));
        assert_is_the_lease(&message, times);
        assert_eq!(message.options.preference(), 255, "the client is not to wait for others");
        assert_eq!(name(&message), kept("kept"));
    });
    heard(&bytes(include_str!("captured/dnsmasq-2.90-reply.hex")), |port, message| {
        assert_eq!((port, message.kind), (547, MessageType::Reply));
        assert_is_the_lease(&message, times);
        assert_eq!(name(&message), kept("kept.lan.test"));
    });
}

#[test]
fn kea_offers_and_leases() {
    let frames = [
        (MessageType::Advertise, include_str!("captured/kea-2.2.0-advertise.hex")),
        (MessageType::Reply, include_str!("captured/kea-2.2.0-reply.hex")),
    ];
    for (kind, frame) in frames {
        heard(&bytes(frame), |port, message| {
            assert_eq!((port, message.kind), (547, kind));
            assert_is_the_lease(&message, [900, 1440, 1800, 3600]);
            // It tells the DNS nothing, though it was asked to.
            let told = name(&message).unwrap();
            assert_eq!((told.no_updates, told.overridden), (true, true));
            assert_eq!(told.name.as_deref(), Some("kept"));
        });
    }
}

#[test]
fn isc_offers_and_leases() {
    let frames = [
        (MessageType::Advertise, include_str!("captured/isc-4.4.3-p1-advertise.hex")),
        (MessageType::Reply, include_str!("captured/isc-4.4.3-p1-reply.hex")),
    ];
    for (kind, frame) in frames {
        heard(&bytes(frame), |port, message| {
            assert_eq!((port, message.kind), (547, kind));
            // T1 and T2 are left to the client.
            assert_is_the_lease(&message, [0, 0, 1800, 3600]);
            assert_eq!(name(&message), None);
        });
    }
}

#[test]
fn wide_offers_and_leases_from_any_port() {
    let frames = [
        (MessageType::Advertise, include_str!("captured/wide-20080615-advertise.hex")),
        (MessageType::Reply, include_str!("captured/wide-20080615-reply.hex")),
    ];
    for (kind, frame) in frames {
        heard(&bytes(frame), |port, message| {
            assert_eq!((port, message.kind), (44505, kind));
            assert_is_the_lease(&message, [900, 1440, 1800, 3600]);
            assert_eq!(name(&message), None);
        });
    }
}

/// What a router said, to whom, and its options.
fn advertised(frame: &[u8]) -> (Ipv6Addr, nd::RouterAdvertisement, Vec<NdOption>) {
    let frame = Frame::parse(frame, Checksum::Verify).unwrap();
    assert_eq!(frame.source, MacAddr([2, 0, 0, 0, 0, 1]));
    let Payload::Nd(nd) = frame.payload else { panic!("{:?}", frame.payload) };
    assert_eq!(nd.source, ip("fe80::ff:fe00:1"));
    let nd::Message::RouterAdvertisement(said) = nd.message else { panic!("{:?}", nd.message) };
    (nd.destination, said, nd.options.iter().collect())
}

fn dns(lifetime: u32) -> NdOption {
    let servers = vec![ip("2001:db8:77::1"), ip("2001:db8:77::2")];
    NdOption::DnsServers(nd::DnsServers { lifetime, servers })
}

fn search(lifetime: u32) -> NdOption {
    let domains = vec!["eng.lan.example".into(), "lan.example".into()];
    NdOption::SearchDomains(nd::SearchDomains { lifetime, domains })
}

#[test]
fn dnsmasq_advertises_itself() {
    let frame = bytes(include_str!("captured/dnsmasq-2.90-advertisement.hex"));
    let (to, said, options) = advertised(&frame);
    assert_eq!(to, ip("ff02::1"));
    assert!(said.managed && said.other);
    assert_eq!((said.hop_limit, said.lifetime, said.preference), (64, 1800, Preference::Medium));
    let prefix = PrefixInformation {
        prefix: ip("2001:db8:77::"),
        length: 64,
        on_link: true,
        autonomous: true,
        valid: 3600,
        preferred: 3600,
    };
    for option in [NdOption::Prefix(prefix), NdOption::Mtu(1500), dns(3600), search(3600)] {
        assert!(options.contains(&option), "{option:?} in {options:?}");
    }
    assert!(options.contains(&NdOption::SourceMac(MacAddr([2, 0, 0, 0, 0, 1]))), "{options:?}");
}

#[test]
fn radvd_advertises_itself() {
    let frame = bytes(include_str!("captured/radvd-2.19-advertisement.hex"));
    let (to, said, options) = advertised(&frame);
    assert_eq!(to, ip("fe80::ff:fe00:42"), "to who asked, alone");
    assert!(said.managed && said.other);
    assert_eq!((said.hop_limit, said.lifetime, said.preference), (77, 1800, Preference::High));
    let prefix = PrefixInformation {
        prefix: ip("2001:db8:77::"),
        length: 64,
        on_link: true,
        autonomous: true,
        valid: 3600,
        preferred: 1800,
    };
    let ula =
        PrefixInformation { prefix: ip("fd77:77::"), on_link: false, valid: u32::MAX, ..prefix };
    let route = RouteInformation {
        prefix: ip("2001:db8:99::"),
        length: 48,
        preference: Preference::Low,
        lifetime: 600,
    };
    let all = [
        NdOption::Prefix(prefix),
        NdOption::Prefix(ula),
        NdOption::Route(route),
        dns(4), // no longer than until the next advertisement: one that is lost is missed
        search(4),
        NdOption::Mtu(1400),
        NdOption::SourceMac(MacAddr([2, 0, 0, 0, 0, 1])),
    ];
    assert_eq!(options, all);
}
