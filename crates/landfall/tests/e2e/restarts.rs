//! Containers that start again, end at once, or are removed by force.

use std::net::Ipv4Addr;

use lab::{DhcpServer, Message, Reservation, ServerOptions};

use crate::site::{SOON, Site, until};

const MAC: &str = "02:00:00:00:00:43";
const RESERVED: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 50);

#[test]
fn restarts_and_sudden_ends() {
    let reservation = Reservation { mac: MAC.into(), ip: RESERVED, name: None };
    let site = Site::new(ServerOptions { reservations: vec![reservation], ..Default::default() });
    site.network("lan", &[]);

    docker_restart(&site);
    restart_policy(&site);
    removed_by_force(&site);
    ended_at_once(&site);
}

/// How many leases of the MAC were asked for and given back by now.
#[derive(Clone, Copy)]
struct Counts {
    discovers: usize,
    releases: usize,
}

impl Counts {
    fn now(site: &Site) -> Counts {
        let count = |message| site.server.logged(message, MAC).len();
        Counts { discovers: count(Message::Discover), releases: count(Message::Release) }
    }

    fn grow(self, site: &Site, discovers: usize, releases: usize) {
        site.logged(Message::Discover, MAC, self.discovers + discovers);
        site.logged(Message::Release, MAC, self.releases + releases);
    }
}

fn docker_restart(site: &Site) {
    let (idle, before) = (site.host_links(), Counts::now(site));
    site.run("web", &["--network", "lan", "--hostname", "web", "--mac-address", MAC]);
    assert_eq!(site.named_lease(MAC, "web").ip, RESERVED);

    site.docker(&["restart", "web"]);
    assert_eq!(site.named_lease(MAC, "web").ip, RESERVED);
    assert_eq!(site.address("web", "lan"), RESERVED);
    site.reached(RESERVED);
    before.grow(site, 2, 1);

    site.docker(&["rm", "-f", "web"]);
    site.no_lease_is_left();
    before.grow(site, 2, 2);
    assert_eq!(site.host_links(), idle);
}

fn restart_policy(site: &Site) {
    let (idle, before) = (site.host_links(), Counts::now(site));
    site.run("web", &["--network", "lan", "--mac-address", MAC, "--restart", "always"]);
    let pid = site.inspect("web", "{{.State.Pid}}");
    site.engine.machine().ok(&["kill", "-9", &pid]).unwrap();
    until("the container runs again", SOON, || {
        let state = site.inspect("web", "{{.RestartCount}} {{.State.Running}}");
        (state == "1 true").then_some(())
    });
    site.reached(RESERVED);
    assert_eq!(site.address("web", "lan"), RESERVED);
    before.grow(site, 2, 1);

    site.docker(&["rm", "-f", "web"]);
    site.no_lease_is_left();
    before.grow(site, 2, 2);
    assert_eq!(site.host_links(), idle);
}

fn removed_by_force(site: &Site) {
    let (idle, before) = (site.host_links(), Counts::now(site));
    site.run("web", &["--network", "lan", "--mac-address", MAC]);
    // At once: the server may not know the name yet.
    site.docker(&["rm", "-f", "web"]);
    site.no_lease_is_left();
    before.grow(site, 1, 1);
    assert_eq!(site.host_links(), idle);
}

fn ended_at_once(site: &Site) {
    const TIMES: usize = 10;
    let idle = site.host_links();
    let discovers = site.server.logged(Message::Discover, "").len();
    let releases = site.server.logged(Message::Release, "").len();
    for _ in 0..TIMES {
        site.docker(&["run", "--rm", "--network", "lan", "busybox", "true"]);
    }
    site.no_lease_is_left();
    site.logged(Message::Discover, "", discovers + TIMES);
    site.logged(Message::Release, "", releases + TIMES);
    assert_eq!(site.host_links(), idle);
    assert!(site.endpoints().is_empty());
}
