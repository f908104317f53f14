//! dhcproto as a witness, where its word counts.

use std::collections::BTreeSet;
use std::net::Ipv6Addr;

use dhcproto::v6::{self, DhcpOption, DhcpOptions};
use dhcproto::{Encodable, Name};
use proptest::prelude::*;
use wire::dhcp6::{Builder, Fqdn, Ia, IaAddress, IaPrefix, Message, MessageType, code};

use crate::oracle::assert_the_same;

#[derive(Debug, Clone)]
struct Association {
    times: (u32, u32),
    addresses: BTreeSet<u64>,
    lifetimes: (u32, u32),
    length: u8,
    status: Option<(u16, String)>,
}

#[derive(Debug, Clone)]
struct Contents {
    kind: u8,
    xid: u32,
    ids: [Vec<u8>; 2],
    /// At most one for each number: what they sort by.
    associations: Vec<Association>,
    dns: Vec<u64>,
    domains: Vec<String>,
    requested: Vec<u16>,
    preference: u8,
    elapsed: u16,
    flags: [bool; 2],
    status: Option<(u16, String)>,
    class: (u32, Vec<Vec<u8>>),
}

fn host(bits: u64) -> Ipv6Addr {
    Ipv6Addr::from_bits((0x2001_0db8 << 96) | u128::from(bits))
}

fn site(bits: u64, length: u8) -> Ipv6Addr {
    let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
    Ipv6Addr::from_bits(((0x2001_0db8 << 96) | (u128::from(bits) << 40)) & mask)
}

fn contents() -> impl Strategy<Value = Contents> {
    let status = || prop::option::of((0..7u16, "[ -~]{0,30}"));
    let association = (
        any::<(u32, u32)>(),
        prop::collection::btree_set(any::<u64>(), 0..4),
        any::<(u32, u32)>(),
        104..=128u8,
        status(),
    )
        .prop_map(|(times, addresses, lifetimes, length, status)| Association {
            times,
            addresses,
            lifetimes,
            length,
            status,
        });
    let id = || prop::collection::vec(any::<u8>(), 3..=130);
    let domain =
        prop::collection::vec("[a-z][a-z0-9-]{0,20}", 1..4).prop_map(|labels| labels.join("."));
    let lists = (
        prop::collection::vec(any::<u64>(), 1..9),
        // Where two end alike, dhcproto writes a pointer, which RFC 8415 §10 forbids.
        prop::collection::vec(domain, 1..12).prop_map(|domains| {
            let apart = |(n, domain): (usize, String)| format!("{domain}.x{n}");
            domains.into_iter().enumerate().map(apart).collect::<Vec<_>>()
        }),
        prop::collection::vec(1..200u16, 0..20),
        prop::collection::vec(prop::collection::vec(any::<u8>(), 1..20), 1..4),
    );
    let numbers = (1..=11u8, 0..1u32 << 24, any::<u8>(), any::<u16>(), any::<u32>());
    let flags = (any::<[bool; 2]>(), status());
    let ias = prop::collection::vec(association, 0..5);
    (numbers, [id(), id()], ias, lists, flags).prop_map(
        |(numbers, ids, associations, lists, (flags, status))| {
            let (kind, xid, preference, elapsed, enterprise) = numbers;
            let (dns, domains, requested, classes) = lists;
            let class = (enterprise, classes);
            Contents {
                kind,
                xid,
                ids,
                associations,
                dns,
                domains,
                requested,
                preference,
                elapsed,
                flags,
                status,
                class,
            }
        },
    )
}

fn status_data((code, text): &(u16, String)) -> Vec<u8> {
    [&code.to_be_bytes()[..], text.as_bytes()].concat()
}

fn add_status(message: Builder, status: &Option<(u16, String)>) -> Builder {
    match status {
        Some(status) => message.option(code::STATUS_CODE, &status_data(status)),
        None => message,
    }
}

/// The message as our writer makes it.
fn ours(contents: &Contents) -> Vec<u8> {
    let kind = MessageType::try_from(contents.kind).unwrap();
    let mut message = Builder::new(kind, contents.xid)
        .option(code::CLIENT_ID, &contents.ids[0])
        .option(code::SERVER_ID, &contents.ids[1])
        .option(code::PREFERENCE, &[contents.preference])
        .option(code::ELAPSED_TIME, &contents.elapsed.to_be_bytes());
    for (iaid, association) in (0u32..).zip(&contents.associations) {
        let ((t1, t2), (preferred, valid)) = (association.times, association.lifetimes);
        message = message.nest(code::IA_NA, &Ia::header(iaid, t1, t2), |ia| {
            let ia = association.addresses.iter().fold(ia, |ia, bits| {
                let data = IaAddress::header(host(*bits), preferred, valid);
                ia.nest(code::IA_ADDRESS, &data, |address| add_status(address, &association.status))
            });
            add_status(ia, &association.status)
        });
        let length = association.length;
        message = message.nest(code::IA_PD, &Ia::header(iaid, t1, t2), |ia| {
            let sites: BTreeSet<_> =
                association.addresses.iter().map(|bits| site(*bits, length)).collect();
            sites.into_iter().fold(ia, |ia, site| {
                ia.option(code::IA_PREFIX, &IaPrefix::header(site, length, preferred, valid))
            })
        });
        message = message
            .nest(code::IA_TA, &iaid.to_be_bytes(), |ia| add_status(ia, &association.status));
    }
    let requested: Vec<u8> = contents.requested.iter().flat_map(|c| c.to_be_bytes()).collect();
    let dns: Vec<u8> = contents.dns.iter().flat_map(|bits| host(*bits).octets()).collect();
    let domains: Vec<u8> = contents
        .domains
        .iter()
        .flat_map(|name| Fqdn::wish(&format!("{name}.")).unwrap()[1..].to_vec())
        .collect();
    let (enterprise, classes) = &contents.class;
    let pieces: Vec<u8> = classes
        .iter()
        .flat_map(|class| [&(class.len() as u16).to_be_bytes()[..], class].concat())
        .collect();
    message = message
        .option(code::OPTION_REQUEST, &requested)
        .option(code::DNS_SERVERS, &dns)
        .option(code::DOMAIN_LIST, &domains)
        .option(code::USER_CLASS, &pieces)
        .option(code::VENDOR_CLASS, &[&enterprise.to_be_bytes()[..], &pieces].concat())
        .option(code::SOL_MAX_RT, &[1, 2, 3, 4]);
    for (flag, code) in contents.flags.iter().zip([code::RAPID_COMMIT, code::RECONFIGURE_ACCEPT]) {
        if *flag {
            message = message.option(code, &[]);
        }
    }
    add_status(message, &contents.status).finish()
}

/// The message as their writer makes it.
fn theirs(contents: &Contents) -> Vec<u8> {
    let mut message = v6::Message::new(v6::MessageType::from(contents.kind));
    message.set_xid_num(contents.xid);
    let status = |options: &mut DhcpOptions, status: &Option<(u16, String)>| {
        if let Some((code, text)) = status {
            let status = v6::StatusCode { status: (*code).into(), msg: text.clone() };
            options.insert(DhcpOption::StatusCode(status));
        }
    };
    let options = message.opts_mut();
    options.insert(DhcpOption::ClientId(contents.ids[0].clone()));
    options.insert(DhcpOption::ServerId(contents.ids[1].clone()));
    options.insert(DhcpOption::Preference(contents.preference));
    options.insert(DhcpOption::ElapsedTime(contents.elapsed));
    for (id, association) in (0u32..).zip(&contents.associations) {
        let ((t1, t2), (preferred, valid)) = (association.times, association.lifetimes);
        let mut opts = DhcpOptions::new();
        for bits in &association.addresses {
            opts.insert(DhcpOption::IAAddr(v6::IAAddr {
                addr: host(*bits),
                preferred_life: preferred,
                valid_life: valid,
                opts: DhcpOptions::new(),
            }));
        }
        status(&mut opts, &association.status);
        options.insert(DhcpOption::IANA(v6::IANA { id, t1, t2, opts }));
        let mut opts = DhcpOptions::new();
        let length = association.length;
        let sites: BTreeSet<_> =
            association.addresses.iter().map(|bits| site(*bits, length)).collect();
        for site in sites {
            opts.insert(DhcpOption::IAPrefix(v6::IAPrefix {
                preferred_lifetime: preferred,
                valid_lifetime: valid,
                prefix_len: length,
                prefix_ip: site,
                opts: DhcpOptions::new(),
            }));
        }
        options.insert(DhcpOption::IAPD(v6::IAPD { id, t1, t2, opts }));
    }
    let name = |text: &String| Name::from_ascii(format!("{text}.")).unwrap();
    let dns = contents.dns.iter().map(|bits| host(*bits)).collect();
    options.insert(DhcpOption::DomainNameServers(dns));
    options.insert(DhcpOption::DomainSearchList(contents.domains.iter().map(name).collect()));
    status(options, &contents.status);
    message.to_vec().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn they_read_what_we_write(contents in contents()) {
        assert_the_same(&ours(&contents));
    }

    #[test]
    fn we_read_what_they_write(contents in contents()) {
        let payload = theirs(&contents);
        assert_the_same(&payload);
        let options = Message::parse(&payload).unwrap().options;
        prop_assert_eq!(options.ia_na().count(), contents.associations.len());
        prop_assert_eq!(options.domain_list(), contents.domains);
        let dns: Vec<_> = contents.dns.iter().map(|bits| host(*bits)).collect();
        prop_assert_eq!(options.dns_servers().collect::<Vec<_>>(), dns);
    }
}
