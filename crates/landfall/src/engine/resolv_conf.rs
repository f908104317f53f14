//! The text of a container's `/etc/resolv.conf`: Docker's, and what becomes of it with the LAN's DNS.
//!
//! Landfall's text keeps Docker's own in comments, so that it can be put back by whoever finds the file.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The first line of what Landfall wrote.
const HEAD: &str = "# Written by Landfall (propagate_dns); below is Docker's own, which comes back when the network goes.\n";
/// What stands before each line of Docker's own.
const KEPT: &str = "#docker:";
/// Docker's own resolver, on networks that a user made.
const DOCKERS: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 11));
/// Resolvers heed three servers (`MAXNS`).
const MOST_SERVERS: usize = 3;
/// Older ones heed six domains of 256 characters together (`MAXDNSRCH`).
const MOST_DOMAINS: usize = 6;
const LONGEST_SEARCH: usize = 256;

/// What the LAN says of DNS.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Dns {
    /// Whether its servers stand behind Docker's own resolver, and not in its place.
    pub(super) behind: bool,
    /// The servers, best first.
    pub(super) servers: Vec<Server>,
    /// The domains to search, in order.
    pub(super) search: Vec<String>,
}

/// A DNS server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Server {
    pub(super) address: IpAddr,
    /// The interface that a link-local address is on.
    pub(super) interface: Option<Box<str>>,
}

impl Server {
    /// One that can be asked from a container; none: its address is no single machine's on the LAN, or nobody knows on
    /// which interface it is.
    pub(super) fn new(address: IpAddr, interface: Option<&str>) -> Option<Server> {
        let local = matches!(address, IpAddr::V6(address) if is_link_local(address));
        let broadcast = matches!(address, IpAddr::V4(address) if address.is_broadcast());
        if address.is_unspecified() || address.is_loopback() || address.is_multicast() || broadcast
        {
            return None;
        }
        let interface = interface.filter(|_| local).map(Into::into);
        (!local || interface.is_some()).then_some(Server { address, interface })
    }
}

fn is_link_local(address: Ipv6Addr) -> bool {
    address.is_unicast_link_local()
}

/// Docker's own text in what stands in the file; none: somebody else wrote that.
pub(super) fn dockers(text: &str) -> Option<String> {
    if let Some(ours) = text.strip_prefix(HEAD) {
        let kept: Vec<&str> = ours.lines().filter_map(|line| line.strip_prefix(KEPT)).collect();
        return (!kept.is_empty()).then(|| kept.join("\n"));
    }
    let mut servers = words(text, "nameserver").map(str::parse);
    let only_dockers = servers.next() == Some(Ok(DOCKERS)) && servers.next().is_none();
    only_dockers.then(|| text.to_owned())
}

/// What is to stand in the file.
pub(super) fn compose(dockers: &str, dns: &Dns) -> String {
    if dns.servers.is_empty() && dns.search.is_empty() {
        return dockers.to_owned();
    }
    let alone = !dns.behind && !dns.servers.is_empty();
    let mut text = HEAD.to_owned();
    let own = Server { address: DOCKERS, interface: None };
    let servers = (!alone).then_some(&own).into_iter().chain(&dns.servers);
    for Server { address, interface } in servers.take(MOST_SERVERS) {
        let zone = interface.as_deref().map(|name| format!("%{name}")).unwrap_or_default();
        // Writing to a text does not fail.
        let _ = writeln!(text, "nameserver {address}{zone}");
    }
    let dockers_search = words(dockers, "search").map(str::to_owned);
    let search = search(dns.search.iter().cloned().chain(dockers_search));
    if !search.is_empty() {
        let _ = writeln!(text, "search {search}");
    }
    for line in dockers.lines().filter(|line| line.starts_with("options ")) {
        // Of use for names of Docker's only: with it musl searches no domain.
        let words = line.split_whitespace().filter(|word| !alone || *word != "ndots:0");
        let words: Vec<&str> = words.collect();
        if words.len() > 1 {
            let _ = writeln!(text, "{}", words.join(" "));
        }
    }
    for line in dockers.split('\n') {
        let _ = writeln!(text, "{KEPT}{line}");
    }
    text
}

/// As many domains as resolvers heed, each once.
fn search(domains: impl Iterator<Item = String>) -> String {
    let mut search: Vec<String> = Vec::new();
    let mut length = 0;
    for domain in domains {
        length += domain.len() + 1;
        if search.len() < MOST_DOMAINS && length <= LONGEST_SEARCH && !search.contains(&domain) {
            search.push(domain);
        }
    }
    search.join(" ")
}

/// The words behind a keyword at the beginning of lines.
fn words<'a>(text: &'a str, keyword: &'a str) -> impl Iterator<Item = &'a str> {
    let lines = text.lines().map(str::split_whitespace);
    lines.filter_map(move |mut words| (words.next() == Some(keyword)).then_some(words)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Engine 20.10 and Engine 28.5 write it.
    const OF_20: &str = "search home.arpa\nnameserver 127.0.0.11\noptions ndots:0\n";
    const OF_28: &str = "# Generated by Docker Engine.\n# This file can be edited.\n\n\
        nameserver 127.0.0.11\noptions edns0 ndots:0\n\n# Based on host file: '/etc/resolv.conf'\n";

    fn dns(behind: bool, servers: &[&str], search: &[&str]) -> Dns {
        let server = |text: &&str| Server::new(text.parse().unwrap(), Some("eth0")).unwrap();
        Dns {
            behind,
            servers: servers.iter().map(server).collect(),
            search: search.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn the_lans_servers_in_the_place_of_dockers() {
        let text = compose(OF_20, &dns(false, &["10.77.0.1", "fe80::1"], &["lan.test"]));
        assert_eq!(
            text.strip_prefix(HEAD).unwrap(),
            "nameserver 10.77.0.1\nnameserver fe80::1%eth0\nsearch lan.test home.arpa\n\
             #docker:search home.arpa\n#docker:nameserver 127.0.0.11\n#docker:options ndots:0\n\
             #docker:\n"
        );
        let text = compose(OF_28, &dns(false, &["10.77.0.1"], &[]));
        assert!(text.contains("\noptions edns0\n"), "{text}");
    }

    #[test]
    fn the_lans_servers_behind_dockers() {
        let lans = ["10.77.0.1", "10.77.0.2", "10.77.0.3"];
        let text = compose(OF_20, &dns(true, &lans, &[]));
        assert_eq!(
            text.strip_prefix(HEAD).unwrap().split_once("#docker").unwrap().0,
            "nameserver 127.0.0.11\nnameserver 10.77.0.1\nnameserver 10.77.0.2\n\
             search home.arpa\noptions ndots:0\n"
        );
    }

    #[test]
    fn dockers_own_is_put_back_byte_for_byte() {
        for own in [OF_20, OF_28, "nameserver 127.0.0.11", "nameserver 127.0.0.11\n\n"] {
            let once = compose(own, &dns(false, &["10.77.0.1"], &["lan.test"]));
            assert_eq!(dockers(&once).as_deref(), Some(own));
            let twice = compose(&dockers(&once).unwrap(), &dns(true, &["10.77.0.9"], &[]));
            assert_eq!(dockers(&twice).as_deref(), Some(own));
            assert_eq!(compose(&dockers(&twice).unwrap(), &Dns::default()), own);
        }
    }

    #[test]
    fn what_somebody_else_wrote_is_left_alone() {
        for theirs in [
            "",
            "nameserver 10.0.0.1\n",
            "nameserver 127.0.0.11\nnameserver 10.0.0.1\n",
            "nameserver 10.0.0.1\nnameserver 127.0.0.11\n",
            "# nameserver 127.0.0.11\n",
            // Landfall's, of which nothing is left but its head.
            HEAD,
        ] {
            assert_eq!(dockers(theirs), None, "{theirs:?}");
        }
    }

    #[test]
    fn without_a_server_dockers_stays() {
        let text = compose(OF_20, &dns(false, &[], &["lan.test"]));
        assert!(text.contains("\nnameserver 127.0.0.11\nsearch lan.test home.arpa\n"), "{text}");
        assert!(text.contains("\noptions ndots:0\n"), "{text}");
    }

    #[test]
    fn more_domains_than_resolvers_heed() {
        let many: Vec<String> = (0..9).map(|n| format!("d{n}.test")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let text = compose(OF_20, &dns(false, &["10.77.0.1"], &[&many[..1], &many].concat()));
        assert!(
            text.contains("\nsearch d0.test d1.test d2.test d3.test d4.test d5.test\n"),
            "{text}"
        );
        let long = "x".repeat(200);
        let text = compose(OF_28, &dns(false, &["10.77.0.1"], &[&long, &long.replace('x', "y")]));
        assert!(text.contains(&format!("\nsearch {long}\n")), "{text}");
    }

    #[test]
    fn servers_that_cannot_be_asked() {
        for address in
            ["0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255", "::", "::1", "ff02::1"]
        {
            assert_eq!(Server::new(address.parse().unwrap(), Some("eth0")), None, "{address}");
        }
        assert_eq!(Server::new("fe80::1".parse().unwrap(), None), None);
    }
}
