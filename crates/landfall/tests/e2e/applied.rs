//! What containers get of what the LAN's servers say, where a network's options decide about it.

use lab::{Capture, Lan, Place, ServerOptions};

use crate::site::{Site, default_routes, inside, ip_json, messages, network_args, run_args};

/// The user's router, then none: no way out by Docker's own bridge (`docker_gwbridge`) either.
#[test]
fn default_routes_are_the_users_choice() {
    let site = Site::new(ServerOptions::default());
    site.network("other", &["gateway=10.77.0.9"]);
    site.network("never", &["default_route=never"]);
    site.network("wrong", &["gateway=10.78.0.1"]);
    let idle = site.host_links();

    site.run("web", &["--network", "other"]);
    assert_eq!(site.shown("web", "other").gateway, Lan::LAPTOP.to_string());
    let laptop = (Lan::LAPTOP.to_string(), "eth0".to_owned());
    assert_eq!(default_routes(&site.sandbox("web")), [laptop]);
    site.docker(&["rm", "-f", "web"]);

    site.run("web", &["--network", "never"]);
    let sandbox = site.sandbox("web");
    assert_eq!(default_routes(&sandbox), []);
    assert_eq!(ip_json(&sandbox, &["link"]).len(), 2, "lo and the one on the LAN");
    assert!(!site.docker(&["network", "ls"]).contains("docker_gwbridge"));
    site.reached(site.address("web", "never"));
    // Another network of Docker's may be the way out.
    site.docker(&["network", "connect", "bridge", "web"]);
    let routes = default_routes(&sandbox);
    assert_eq!(routes.len(), 1, "{routes:?}");
    assert_eq!(routes[0].0, "172.17.0.1");
    site.docker(&["rm", "-f", "web"]);

    let said = site.docker_fails(&run_args("web", &["--network", "wrong"]));
    for words in ["gateway=10.78.0.1", "leave `gateway` out", "/16"] {
        assert!(said.contains(words), "no {words:?} in: {said}");
    }
    site.no_lease_is_left();
    site.docker(&["rm", "web"]);
    assert_eq!(site.host_links(), idle);
}

#[test]
fn wrong_choices_are_refused_when_the_network_is_made() {
    let site = Site::new(ServerOptions::default());
    let cases: [(&[&str], &[&str]); 5] = [
        (&["gateway=10.77.0.1/16"], &["gateway=\"10.77.0.1/16\"", "without a prefix"]),
        (&["gateway=10.77.0.1", "default_route=never"], &["leave one of both out"]),
        (&["default_route=no"], &["default_route=\"no\"", "auto or never"]),
        (&["propagate_mtu=1400"], &["propagate_mtu=\"1400\"", "true or false"]),
        (&["gateway=10.77.0.1", "ipv4=false", "ipv6=auto"], &["the network has no IPv4"]),
    ];
    for (options, words) in cases {
        let options = [&["bridge=br0"], options].concat();
        let args = network_args("landfall", "bad", options.iter());
        let said = site.docker_fails(&args.iter().map(String::as_str).collect::<Vec<_>>());
        for word in words {
            assert!(said.contains(word), "{options:?}: no {word:?} in: {said}");
        }
    }
}

/// A start of two packets.
#[test]
fn a_lease_in_answer_to_the_first_packet() {
    let extra = vec!["--dhcp-rapid-commit".into()];
    let site = Site::new(ServerOptions { extra, ..ServerOptions::default() });
    site.network("lan", &["rapid_commit=true"]);
    let capture = Capture::start(site.lan.router_ns(), "eth0").unwrap();
    site.run("web", &["--network", "lan"]);
    let shown = site.shown("web", "lan");
    let said = messages(&capture, &shown.mac).into_iter().map(|(_, message)| message.kind);
    assert_eq!(said.take(2).collect::<Vec<_>>(), [1, 5], "DISCOVER and ACK");
    site.reached(shown.address);
    site.docker(&["rm", "-f", "web"]);
    site.no_lease_is_left();
}

/// The container's end only, from its first packet on; and what the LAN carries comes through.
#[test]
fn the_servers_mtu_is_the_containers() {
    let options = ServerOptions {
        extra: vec!["--dhcp-option=option:mtu,1400".into()],
        ..ServerOptions::default()
    };
    let site = Site::new(options);
    let bridge = site.bridge();
    site.network("lan", &["propagate_mtu=true"]);
    site.network("plain", &[]);
    // What the container sees with its first words.
    let first = ["run", "--rm", "--network", "lan", "busybox", "cat", "/sys/class/net/eth0/mtu"];
    assert_eq!(site.docker(&first), "1400");
    site.run("web", &["--network", "lan"]);
    site.run("db", &["--network", "plain"]);
    assert_eq!(inside(&site.sandbox("web"), "eth0").mtu, 1400);
    assert_eq!(inside(&site.sandbox("db"), "eth0").mtu, 1500);
    assert_eq!(site.bridge(), bridge);
    let address = site.address("web", "lan").to_string();
    // 1400 bytes with their headers.
    let ping = ["ping", "-c", "1", "-W", "5", "-M", "do", "-s", "1372", &address];
    site.lan.ok(Place::Laptop, &ping).unwrap();
}
