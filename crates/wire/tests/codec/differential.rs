//! dhcproto as a witness, where its word counts.
//!
//! Its raw view of a message is right as long as the options field is whole and no option comes
//! twice apart; its typed options are right as long as each is well-formed.

use std::net::Ipv4Addr;

use dhcproto::v4::{self, DhcpOption, MessageType as TheirType};
use dhcproto::{Decodable, Encodable, Name};
use ipnet::Ipv4Net;
use proptest::prelude::*;
use wire::dhcp4::{ClasslessRoute, Message, MessageType, Op, Options};

use crate::common::{fitting_options, message, reply};
use crate::oracle::{assert_they_read, assert_we_join};

/// A host's address, as the lists of ours keep it.
fn host() -> impl Strategy<Value = Ipv4Addr> {
    any::<[u8; 3]>().prop_map(|[b, c, d]| Ipv4Addr::new(10, b, c, d))
}

fn hosts() -> impl Strategy<Value = Vec<Ipv4Addr>> {
    prop::collection::vec(host(), 1..9)
}

fn domain() -> impl Strategy<Value = String> {
    prop::collection::vec("[a-z][a-z0-9-]{0,20}", 1..4).prop_map(|labels| labels.join("."))
}

#[derive(Debug, Clone)]
struct Contents {
    kind: u8,
    times: [u32; 3],
    addresses: [Ipv4Addr; 4],
    prefix_len: u8,
    mtu: u16,
    routers: Vec<Ipv4Addr>,
    dns: Vec<Ipv4Addr>,
    ntp: Vec<Ipv4Addr>,
    host_name: String,
    domain: String,
    search: Vec<String>,
    routes: Vec<(Ipv4Net, Ipv4Addr)>,
    client_id: Vec<u8>,
}

fn contents() -> impl Strategy<Value = Contents> {
    let route = (any::<Ipv4Addr>(), 0..=32_u8, any::<Ipv4Addr>())
        .prop_map(|(to, length, via)| (Ipv4Net::new(to, length).unwrap().trunc(), via));
    let lists = (hosts(), hosts(), hosts(), prop::collection::vec(route, 1..40));
    let names = (domain(), domain(), prop::collection::vec(domain(), 1..12));
    let addresses = [host(), host(), host(), host()];
    let numbers = (1..=8_u8, any::<[u32; 3]>(), 1..=32_u8, 68..=u16::MAX);
    let client_id = prop::collection::vec(any::<u8>(), 2..40);
    (numbers, addresses, lists, names, client_id).prop_map(
        |(numbers, addresses, lists, names, client_id)| {
            let (kind, times, prefix_len, mtu) = numbers;
            let (routers, dns, ntp, routes) = lists;
            let (host_name, domain, search) = names;
            Contents {
                kind,
                times,
                addresses,
                prefix_len,
                mtu,
                routers,
                dns,
                ntp,
                host_name,
                domain,
                search,
                routes,
                client_id,
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn they_read_what_we_write(message in message(fitting_options())) {
        assert_they_read(&message);
    }

    /// Pieces in any order, with padding between and anything behind the end.
    #[test]
    fn we_join_what_they_read(
        pieces in prop::collection::vec(
            (1..20_u8, prop::collection::vec(any::<u8>(), 0..30), 0..3_usize), 0..30),
        end in prop::option::of(prop::collection::vec(any::<u8>(), 0..20)),
    ) {
        let mut field = Vec::new();
        for (code, data, padding) in &pieces {
            field.extend([*code, data.len() as u8]);
            field.extend(data);
            field.extend(vec![0; *padding]);
        }
        if let Some(behind) = end {
            field.push(255);
            field.extend(behind);
        }
        assert_we_join(&reply(&field));
    }

    #[test]
    fn we_understand_what_they_write(contents in contents()) {
        let name = |text: &String| Name::from_ascii(format!("{text}.")).unwrap();
        let mask = Ipv4Net::new(Ipv4Addr::UNSPECIFIED, contents.prefix_len).unwrap().netmask();
        let [server, requested, broadcast, yiaddr] = contents.addresses;
        let [lease, renewal, rebinding] = contents.times;

        let none = Ipv4Addr::UNSPECIFIED;
        let mut theirs = v4::Message::new_with_id(9, none, yiaddr, none, none, &[2, 0, 0, 0, 0, 1]);
        theirs.set_opcode(v4::Opcode::BootReply);
        for option in [
            DhcpOption::MessageType(TheirType::from(contents.kind)),
            DhcpOption::AddressLeaseTime(lease),
            DhcpOption::Renewal(renewal),
            DhcpOption::Rebinding(rebinding),
            DhcpOption::ServerIdentifier(server),
            DhcpOption::RequestedIpAddress(requested),
            DhcpOption::BroadcastAddr(broadcast),
            DhcpOption::SubnetMask(mask),
            DhcpOption::InterfaceMtu(contents.mtu),
            DhcpOption::Router(contents.routers.clone()),
            DhcpOption::DomainNameServer(contents.dns.clone()),
            DhcpOption::NtpServers(contents.ntp.clone()),
            DhcpOption::Hostname(contents.host_name.clone()),
            DhcpOption::DomainName(contents.domain.clone()),
            DhcpOption::DomainSearch(contents.search.iter().map(name).collect()),
            DhcpOption::ClasslessStaticRoute(contents.routes.clone()),
            DhcpOption::ClientIdentifier(contents.client_id.clone()),
        ] {
            theirs.opts_mut().insert(option);
        }

        let ours = Message::parse(&theirs.to_vec().unwrap()).unwrap();
        prop_assert_eq!(ours.yiaddr, yiaddr);
        let options = ours.options;
        prop_assert_eq!(options.message_type(), MessageType::try_from(contents.kind).ok());
        prop_assert_eq!(options.lease_time(), Some(lease));
        prop_assert_eq!(options.renewal_time(), Some(renewal));
        prop_assert_eq!(options.rebinding_time(), Some(rebinding));
        prop_assert_eq!(options.server_id(), Some(server));
        prop_assert_eq!(options.requested_address(), Some(requested));
        prop_assert_eq!(options.broadcast_address(), Some(broadcast));
        prop_assert_eq!(options.subnet_mask(), Some(mask));
        prop_assert_eq!(options.prefix_len(), Some(contents.prefix_len));
        prop_assert_eq!(options.mtu(), Some(contents.mtu));
        prop_assert_eq!(options.routers(), contents.routers);
        prop_assert_eq!(options.dns_servers(), contents.dns);
        prop_assert_eq!(options.ntp_servers(), contents.ntp);
        prop_assert_eq!(options.host_name(), Some(contents.host_name));
        prop_assert_eq!(options.domain_name(), Some(contents.domain));
        prop_assert_eq!(options.search_list(), contents.search);
        prop_assert_eq!(options.client_id(), Some(&contents.client_id[..]));
        let routes: Vec<_> = contents
            .routes
            .iter()
            .map(|(to, via)| ClasslessRoute {
                destination: to.network(),
                prefix_len: to.prefix_len(),
                gateway: *via,
            })
            .collect();
        prop_assert_eq!(options.classless_routes(), Some(routes));
        // And they read their own options out of what we make of them.
        let again = Message { options, ..Message::new(Op::BootReply, 9, ours.chaddr, Options::default()) };
        let again = v4::Message::decode(&mut dhcproto::Decoder::new(&again.emit())).unwrap();
        prop_assert_eq!(again.opts(), theirs.opts());
    }
}
