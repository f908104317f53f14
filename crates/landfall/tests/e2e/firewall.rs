//! A host whose iptables see bridged frames (br_netfilter), with the FORWARD policy of DROP that dockerd sets.

use lab::{Dnsmasq, Lan, LanOptions, ServerOptions};

use crate::site::{Site, run_args};

#[test]
fn the_error_has_the_rule_that_helps() {
    let lan = Lan::new(LanOptions { bridge_netfilter: true, ..Default::default() }).unwrap();
    let server = Dnsmasq::start(lan.router_ns(), "eth0", ServerOptions::default()).unwrap();
    let site = Site::on(lan, server, &[]);
    let policy = site.engine.machine().ok(&["iptables", "-S", "FORWARD"]).unwrap();
    assert!(policy.contains("-P FORWARD DROP"), "{policy}");
    site.network("lan", &["lease_timeout=2s"]);

    let said = site.docker_fails(&run_args("web", &["--network", "lan"]));
    assert!(said.contains("no DHCP server answered on br0 within 2s"), "{said}");
    assert!(said.contains("firewall"), "{said}");
    site.no_lease_is_left();

    // What the error says is what helps.
    let quoted = said.split('`').skip(1).step_by(2);
    let rule = quoted.into_iter().find(|command| command.starts_with("iptables ")).unwrap();
    site.engine.machine().ok(&rule.split(' ').collect::<Vec<_>>()).unwrap();
    site.docker(&["start", "web"]);
    site.reached(site.address("web", "lan"));
}
