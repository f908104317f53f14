//! The managed plugin as IPAM driver too, and in containers' files, which it reaches over the host's processes alone.

use lab::{Message, ServerOptions};

use crate::plugin::{DRIVER, folder};
use crate::site::{SOON, Site, lan_with_dnsmasq, until};

const MAC: &str = "02:00:00:00:00:49";
/// In the server's pool.
const ASKED: &str = "10.77.5.60";

fn naming(dns: &str) -> ServerOptions {
    let extra = vec![format!("--dhcp-option=option:dns-server,{dns}")];
    // A renewal that finds the server gone is repeated soon.
    let (renew, rebind) = (Some(3), Some(6));
    ServerOptions { lease: 120, renew, rebind, extra, ..ServerOptions::default() }
}

#[test]
fn addresses_before_endpoints_and_the_lans_dns() {
    let (lan, server) = lan_with_dnsmasq(naming("10.77.0.1"));
    let mut site = Site::without_landfall(lan, server, &[], &[]);
    site.engine.install_plugin(&folder(), &["LOG_LEVEL=debug"]).unwrap();
    let links = site.host_links();
    let create = |site: &Site, options: &[&str]| {
        let mut args = vec!["network", "create", "-d", DRIVER, "--ipam-driver", DRIVER];
        args.extend(["--ipam-opt", "bridge=br0", "-o", "bridge=br0", "-o", "release_delay=0"]);
        site.docker(&[&args[..], options, &["lan"]].concat());
        let shown = "{{range .IPAM.Config}}{{.Subnet}} {{.Gateway}}{{end}}";
        let shown = site.docker(&["network", "inspect", "-f", shown, "lan"]);
        assert!(shown.starts_with("10.77.0.0/16 10.77.0.1"), "{shown}");
    };
    create(&site, &[]);
    site.docker(&["network", "rm", "lan"]);
    create(
        &site,
        &["--subnet", "10.77.0.0/16", "--gateway", "10.77.0.1", "-o", "propagate_dns=true"],
    );

    site.run("web", &["--network", "lan", "--ip", ASKED, "--mac-address", MAC]);
    assert_eq!(site.address("web", "lan").to_string(), ASKED);
    site.reached(ASKED.parse().unwrap());
    site.logged(Message::Discover, MAC, 1);
    let asks = |site: &Site, dns: &str| {
        until(&format!("{dns} in resolv.conf"), SOON * 2, || {
            let text = site.docker(&["exec", "web", "cat", "/etc/resolv.conf"]);
            let servers: Vec<&str> =
                text.lines().filter_map(|line| line.strip_prefix("nameserver ")).collect();
            (servers == [dns]).then_some(())
        });
    };
    asks(&site, "10.77.0.1");
    site.server.reconfigure("eth0", naming("10.77.0.9")).unwrap();
    asks(&site, "10.77.0.9");

    site.docker(&["rm", "-f", "web"]);
    site.no_lease_is_left();
    site.docker(&["network", "rm", "lan"]);
    until("nothing is left", SOON, || (site.host_links() == links).then_some(()));
}
