//! A status with one endpoint of each kind, for tests.

use dhcp::ipv6::{Mode, Origin};
use jiff::Timestamp;

use crate::engine::api::{
    Counters, EndpointStatus, Ipv4Counters, Ipv6AddressStatus, Ipv6Counters, Ipv6Status,
    LeaseDetails, NetworkStatus, ReplyOption, StateStatus, Status,
};
use crate::engine::ids::NetworkId;

const LAN: &str = "b3ac5f6d0c4e2a1889b1d3f2c7e6a5948372615049f8e7d6c5b4a39281706f5e";
const DMZ: &str = "0c4e2a1889b1d3f2c7e6a5948372615049f8e7d6c5b4a39281706f5eb3ac5f6d";

/// The time at which the sample was taken.
pub(crate) fn now() -> Timestamp {
    time("2026-11-22T08:00:00Z")
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// An address from a router's prefix, and one that a server leased for as long as it likes.
fn ipv6() -> Ipv6Status {
    Ipv6Status {
        state: "CONFIGURED".to_owned(),
        link_local: Some("fe80::1f:3aff:fe00:7".parse().unwrap()),
        addresses: vec![
            Ipv6AddressStatus {
                address: "2001:db8:7::1f:3aff:fe00:7".parse().unwrap(),
                origin: Origin::Slaac,
                preferred_until: Some(time("2026-11-22T08:30:00Z")),
                valid_until: Some(time("2026-11-22T09:00:00Z")),
            },
            Ipv6AddressStatus {
                address: "2001:db8:7::1:21".parse().unwrap(),
                origin: Origin::Dhcp,
                preferred_until: None,
                valid_until: None,
            },
        ],
        routers: vec!["fe80::1".parse().unwrap()],
        prefixes: vec!["2001:db8:70::/60".parse().unwrap()],
        dns: vec!["2001:db8:7::53".parse().unwrap()],
        server: Some("0001000131".to_owned()),
        docker_shows: Some("2001:db8:7::1:20/128".parse().unwrap()),
        search: vec!["home.example".to_owned()],
        ignored: dhcp::v6::Ignored { no_association: 1, ..Default::default() },
    }
}

/// A container that runs; one whose address has changed since its start, with a lease for ever;
/// one that has ended and whose lease is held; one that is being started; one whose server is
/// silent.
pub(crate) fn status() -> Status {
    let network = |id, bridge: &str, endpoints| NetworkStatus {
        id: NetworkId::new(id).unwrap(),
        bridge: bridge.to_owned(),
        vlan: None,
        mode: "bridge".to_owned(),
        endpoints,
        ipv6: (bridge == "br0").then_some(Mode::Auto),
        ipv4: true,
    };
    let web = EndpointStatus {
        id: "9d8c7b6a5f4e3d2c1b0a99887766554433221100ffeeddccbbaa998877665544"
            .to_owned()
            .try_into()
            .unwrap(),
        network: NetworkId::new(LAN).unwrap(),
        container: Some(
            "1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f809".to_owned(),
        ),
        host_name: Some("web".to_owned()),
        bridge: "br0".to_owned(),
        host_interface: "lf9d8c7b6a5f4e".to_owned(),
        interface: Some("eth0".to_owned()),
        mac: "02:00:00:00:00:42".parse().unwrap(),
        address: Some("192.168.7.20/24".parse().unwrap()),
        gateway: Some("192.168.7.1".parse().unwrap()),
        server: Some("192.168.7.1".parse().unwrap()),
        dns: vec!["192.168.7.1".parse().unwrap()],
        domain: Some("home.example".to_owned()),
        search: vec!["home.example".to_owned()],
        ignored: dhcp::v4::Ignored { no_server: 2, ..Default::default() },
        state: "BOUND".to_owned(),
        renews_at: Some(time("2026-11-22T08:04:12Z")),
        expires_at: Some(time("2026-11-22T09:59:59Z")),
        held_until: None,
        spare: false,
        docker_shows: None,
        ipv6: None,
    };
    let held = EndpointStatus {
        id: "e4".to_owned().try_into().unwrap(),
        host_name: Some("mail".to_owned()),
        container: Some("88bb2b3c4d5e6f708192a3b4".to_owned()),
        interface: None,
        mac: "02:1f:3a:00:00:0a".parse().unwrap(),
        address: Some("192.168.7.22/24".parse().unwrap()),
        held_until: Some(time("2026-11-22T08:00:30Z")),
        ..web.clone()
    };
    let moved = EndpointStatus {
        id: "e1".to_owned().try_into().unwrap(),
        host_name: Some("db".to_owned()),
        container: Some("77aa2b3c4d5e6f708192a3b4".to_owned()),
        mac: "02:1f:3a:00:00:07".parse().unwrap(),
        address: Some("192.168.7.121/24".parse().unwrap()),
        renews_at: None,
        expires_at: None,
        docker_shows: Some("192.168.7.21/24".parse().unwrap()),
        ipv6: Some(ipv6()),
        ..web.clone()
    };
    let starting = EndpointStatus {
        id: "5f4e3d2c1b0a99887766554433221100".to_owned().try_into().unwrap(),
        host_name: None,
        container: None,
        interface: None,
        mac: "02:1f:3a:00:00:08".parse().unwrap(),
        address: None,
        gateway: None,
        server: None,
        dns: Vec::new(),
        domain: None,
        search: Vec::new(),
        state: "SELECTING".to_owned(),
        renews_at: None,
        expires_at: None,
        ..web.clone()
    };
    let alone = EndpointStatus {
        id: "e3".to_owned().try_into().unwrap(),
        network: NetworkId::new(DMZ).unwrap(),
        // As Docker names a container by itself.
        host_name: Some("c0ffee2b3c4d".to_owned()),
        container: Some("c0ffee2b3c4d5e6f708192a3b4".to_owned()),
        bridge: "br1".to_owned(),
        interface: Some("eth1".to_owned()),
        mac: "02:1f:3a:00:00:09".parse().unwrap(),
        address: Some("10.9.0.200/16".parse().unwrap()),
        gateway: None,
        server: Some("10.9.0.1".parse().unwrap()),
        state: "REBINDING".to_owned(),
        renews_at: Some(time("2026-11-22T07:59:59Z")),
        expires_at: Some(time("2026-11-22T08:00:40Z")),
        ..web.clone()
    };
    Status {
        version: "0.1.0".to_owned(),
        instance: "7a2c".to_owned(),
        uptime_seconds: 273_906,
        leases: Counters { granted: 5, renewed: 1_318, changed: 1, ..Counters::default() },
        ipv4_counters: Ipv4Counters { discovers: 5, ..Ipv4Counters::default() },
        ipv6_counters: Ipv6Counters { router_solicitations: 12, ..Ipv6Counters::default() },
        state: StateStatus::default(),
        networks: vec![network(DMZ, "br1", 1), network(LAN, "br0", 4)],
        endpoints: vec![web, moved, held, starting, alone],
    }
}

/// The leases of a container with a server that says much, with IPv6.
pub(crate) fn leases() -> Vec<LeaseDetails> {
    let options = [
        (3, &[192, 168, 7, 1][..]),
        (6, &[192, 168, 7, 1, 9, 9, 9, 9]),
        (43, &[1, 2, 0xff]),
        (101, b"Europe/Berlin"),
        (224, &[7]),
    ];
    let option = |code: u16, name: Option<&str>, value, data: &[u8]| ReplyOption {
        code,
        name: name.map(Into::into),
        value,
        data: data.iter().map(|byte| format!("{byte:02x}")).collect(),
    };
    let options = options.map(|(code, data)| {
        let (name, value) = (wire::dhcp4::option_name(code), wire::dhcp4::option_value(code, data));
        option(code.into(), name, value, data)
    });
    let endpoint = EndpointStatus { ipv6: Some(ipv6()), ..status().endpoints.swap_remove(0) };
    let zone = Some(wire::Value::Text("Europe/Berlin".to_owned()));
    vec![LeaseDetails {
        name: Some("web-1".to_owned()),
        endpoint,
        lease_seconds: Some(7200),
        options: options.into(),
        ipv6_options: vec![option(42, Some("time zone"), zone, b"Europe/Berlin")],
    }]
}
