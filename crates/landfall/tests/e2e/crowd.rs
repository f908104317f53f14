//! Twenty containers started at once, and removed at once.

use std::collections::BTreeSet;
use std::thread;

use lab::{DhcpServer, Lease, Message, ServerOptions};

use crate::site::{SOON, Site};

const CROWD: u8 = 20;

/// Does something for each container, all at the same time.
fn for_all(act: impl Fn(&str, &str) + Sync) {
    thread::scope(|scope| {
        for n in 0..CROWD {
            let act = &act;
            scope.spawn(move || act(&format!("c{n}"), &format!("02:00:00:00:01:{n:02x}")));
        }
    });
}

#[test]
fn twenty_containers_come_and_go_at_once() {
    let site = Site::new(ServerOptions::default());
    site.network("lan", &[]);
    let idle = site.host_links();

    for_all(|name, mac| {
        site.run(name, &["--network", "lan", "--hostname", name, "--mac-address", mac]);
    });
    let named = |leases: &[Lease]| leases.iter().filter(|l| l.name.is_some()).count();
    let all = usize::from(CROWD);
    let leases =
        site.server.wait_leases("a name for each", SOON, &|leases| named(leases) == all).unwrap();
    let addresses: BTreeSet<_> = leases.iter().map(|lease| lease.ip).collect();
    assert_eq!((leases.len(), addresses.len()), (all, all));
    for_all(|name, mac| {
        let lease = leases.iter().find(|lease| lease.mac == mac).unwrap();
        assert_eq!(lease.name.as_deref(), Some(name));
        assert_eq!(site.address(name, "lan"), lease.ip);
        site.reached(lease.ip);
        site.logged(Message::Discover, mac, 1);
    });
    assert_eq!(site.endpoints().len(), all);

    for_all(|name, _| {
        site.docker(&["rm", "-f", name]);
    });
    site.no_lease_is_left();
    for_all(|_, mac| site.logged(Message::Release, mac, 1));
    assert_eq!(site.host_links(), idle);
    assert!(site.endpoints().is_empty());
}
