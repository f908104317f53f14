//! What dhcproto reads and what we read, side by side.
//!
//! Its word counts where each option is well-formed: it drops all that follows a bad one, sorts
//! what it keeps, and a status of less than two bytes brings it down.

use dhcproto::Decodable;
use dhcproto::v6::{self, DhcpOption, OptionCode};
use wire::dhcp6::{Ia, Message, Options};

/// Both read the same message out of these bytes. The options must be well-formed.
#[track_caller]
pub(crate) fn assert_the_same(payload: &[u8]) {
    let ours = Message::parse(payload).unwrap();
    let theirs = v6::Message::decode(&mut dhcproto::Decoder::new(payload)).unwrap();
    assert_eq!(u8::from(theirs.msg_type()), u8::from(ours.kind));
    assert_eq!(theirs.xid_num(), ours.xid);
    same_options(ours.options, theirs.opts());
}

fn same_options(ours: Options<'_>, theirs: &v6::DhcpOptions) {
    let codes = |option: &DhcpOption| u16::from(OptionCode::from(option));
    let mut our_codes: Vec<_> = ours.iter().map(|(code, _)| code).collect();
    our_codes.sort_unstable();
    let mut their_codes: Vec<_> = theirs.iter().map(codes).collect();
    their_codes.sort_unstable();
    assert_eq!(our_codes, their_codes);
    // Its order is its own.
    let associations = |kind: &str| -> Vec<Ia<'_>> {
        let mut all: Vec<_> = match kind {
            "na" => ours.ia_na().collect(),
            "ta" => ours.ia_ta().collect(),
            _ => ours.ia_pd().collect(),
        };
        all.sort_by_key(|ia| ia.iaid);
        all
    };
    let (mut na, mut ta, mut pd) = (Vec::new(), Vec::new(), Vec::new());
    for option in theirs.iter() {
        match option {
            DhcpOption::ClientId(id) => assert_eq!(ours.client_id(), Some(&id[..])),
            DhcpOption::ServerId(id) => assert_eq!(ours.server_id(), Some(&id[..])),
            DhcpOption::IANA(ia) => na.push((ia.id, ia.t1, ia.t2, &ia.opts)),
            DhcpOption::IATA(ia) => ta.push((ia.id, 0, 0, &ia.opts)),
            DhcpOption::IAPD(ia) => pd.push((ia.id, ia.t1, ia.t2, &ia.opts)),
            DhcpOption::IAAddr(theirs) => {
                let ours = ours.addresses().find(|address| address.address == theirs.addr);
                let ours = ours.unwrap();
                assert_eq!(
                    (ours.preferred, ours.valid),
                    (theirs.preferred_life, theirs.valid_life)
                );
                same_options(ours.options, &theirs.opts);
            }
            DhcpOption::IAPrefix(theirs) => {
                let ours = ours.prefixes().find(|prefix| prefix.prefix == theirs.prefix_ip);
                let ours = ours.unwrap();
                assert_eq!(ours.length, theirs.prefix_len);
                let lifetimes = (theirs.preferred_lifetime, theirs.valid_lifetime);
                assert_eq!((ours.preferred, ours.valid), lifetimes);
                same_options(ours.options, &theirs.opts);
            }
            DhcpOption::ORO(oro) => {
                let codes: Vec<_> = oro.opts.iter().map(|code| u16::from(*code)).collect();
                assert_eq!(ours.option_request().collect::<Vec<_>>(), codes);
            }
            DhcpOption::Preference(value) => assert_eq!(ours.preference(), *value),
            DhcpOption::ElapsedTime(time) => assert_eq!(ours.elapsed_time(), Some(*time)),
            DhcpOption::StatusCode(status) => {
                assert_eq!(u16::from(ours.status().code), u16::from(status.status));
                assert_eq!(ours.status().text, status.msg.as_bytes());
            }
            DhcpOption::RapidCommit => assert!(ours.rapid_commit()),
            DhcpOption::ReconfAccept => assert!(ours.reconfigure_accept()),
            DhcpOption::UserClass(class) => {
                assert!(ours.user_class().eq(class.data.iter().map(Vec::as_slice)));
            }
            DhcpOption::VendorClass(class) => {
                let ours = ours.vendor_classes().next().unwrap();
                assert_eq!(ours.enterprise, class.num);
                assert!(ours.classes().eq(class.data.iter().map(Vec::as_slice)));
            }
            DhcpOption::DomainNameServers(servers) => {
                assert!(ours.dns_servers().eq(servers.iter().copied()));
            }
            DhcpOption::DomainSearchList(names) => {
                let names: Vec<_> = names
                    .iter()
                    .map(|name| name.to_ascii().trim_end_matches('.').to_owned())
                    .collect();
                assert_eq!(ours.domain_list(), names);
            }
            DhcpOption::Unknown(option) => {
                assert!(ours.all(option.code().into()).any(|data| data == option.data()));
            }
            other => panic!("not made here: {other:?}"),
        }
    }
    for (kind, mut theirs) in [("na", na), ("ta", ta), ("pd", pd)] {
        theirs.sort_by_key(|(id, ..)| *id);
        let ours = associations(kind);
        assert_eq!(ours.len(), theirs.len());
        for (ours, (id, t1, t2, options)) in ours.iter().zip(theirs) {
            assert_eq!((ours.iaid, ours.t1, ours.t2), (id, t1, t2));
            same_options(ours.options, options);
        }
    }
}
