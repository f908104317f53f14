//! What the LAN says of DNS, in containers.

use lab::{Dnsmasq, EngineVersion, Lan, LanOptions, Mode6, ServerOptions};

use crate::site::{SOON, Site, until};

/// A DNS server beside the DHCP server, that knows the laptop; with `further` words.
fn options(further: &[&str]) -> ServerOptions {
    let words = ["--port=53", "--no-resolv", "--no-hosts", "--address=/nas.lan.test/10.77.0.9"];
    ServerOptions {
        renew: Some(3),
        extra: words.iter().chain(further).map(ToString::to_string).collect(),
        ..ServerOptions::default()
    }
}

fn resolv_conf(site: &Site, container: &str) -> String {
    site.docker(&["exec", container, "cat", "/etc/resolv.conf"])
}

/// Waits until the file says that, once it has been told.
fn wait_line(site: &Site, container: &str, line: &str) -> String {
    until(&format!("{line:?} in resolv.conf"), SOON, || {
        let text = resolv_conf(site, container);
        text.lines().any(|seen| seen == line).then_some(text)
    })
}

/// What a name is in a container, if it is anything, to a program of glibc's: BusyBox looks names up in a way of its own.
fn lookup(site: &Site, container: &str, name: &str) -> Option<String> {
    let file = site.inspect(container, "{{.ResolvConfPath}}");
    let net = site.inspect(container, "{{.NetworkSettings.SandboxKey}}");
    let script =
        "mount --bind \"$1\" /etc/resolv.conf && exec nsenter --net=\"$2\" getent ahosts \"$3\"";
    let argv = ["unshare", "-m", "sh", "-c", script, "lookup", &file, &net, name];
    let said = site.engine.machine().run(&argv).unwrap();
    let errors = String::from_utf8(said.stderr).unwrap();
    assert!(errors.is_empty(), "{errors}");
    String::from_utf8(said.stdout).unwrap().split_whitespace().next().map(str::to_owned)
}

#[test]
fn a_container_asks_the_lan_and_follows_it() {
    let mut site = Site::new(options(&["--dhcp-option=option:domain-search,lan.test,b.test"]));
    site.network("lan", &["propagate_dns=true", "release_delay=60s"]);
    site.network("plain", &[]);
    site.run("web", &["--network", "lan"]);
    let text = wait_line(&site, "web", "nameserver 10.77.0.1");
    assert!(text.contains("\nsearch lan.test b.test"), "{text}");
    assert!(!text.contains("\nnameserver 127.0.0.11"), "{text}");
    assert_eq!(lookup(&site, "web", "nas.lan.test").as_deref(), Some("10.77.0.9"));
    site.run("db", &["--network", "plain"]);
    assert!(resolv_conf(&site, "db").contains("nameserver 127.0.0.11"));

    // The server changes its mind, and the container is told at the renewal.
    let other = ["--dhcp-option=option:dns-server,10.77.0.9"];
    site.server.reconfigure("eth0", options(&other)).unwrap();
    site.docker(&["restart", "-t", "1", "web"]);
    wait_line(&site, "web", "nameserver 10.77.0.9");
    site.server.reconfigure("eth0", options(&[])).unwrap();
    wait_line(&site, "web", "nameserver 10.77.0.1");

    // So it is when the daemon has been away.
    site.landfall().kill9().unwrap();
    site.server.reconfigure("eth0", options(&other)).unwrap();
    site.landfall().restart().unwrap();
    wait_line(&site, "web", "nameserver 10.77.0.9");

    // Docker's own comes back with its network, byte for byte.
    site.docker(&["network", "create", "own"]);
    site.docker(&["network", "connect", "own", "web"]);
    assert!(resolv_conf(&site, "web").contains("nameserver 10.77.0.9"), "left as it is");
    site.docker(&["network", "disconnect", "lan", "web"]);
    let dockers = until("Docker's own", SOON, || {
        let text = resolv_conf(&site, "web");
        (!text.contains("Landfall")).then_some(text)
    });
    assert_eq!(dockers, resolv_conf(&site, "db"));
    site.docker(&["rm", "-f", "web", "db"]);
}

#[test]
fn a_file_that_is_not_dockers_is_left_alone() {
    let site = Site::new(options(&[]));
    site.network("lan", &["propagate_dns=true"]);
    site.docker(&["volume", "create", "own"]);
    let fill = "mkdir -p /own && echo nameserver 192.0.2.53 > /own/resolv.conf";
    site.docker(&["run", "--rm", "-v", "own:/own", "busybox", "sh", "-c", fill]);
    let volume = site.docker(&["volume", "inspect", "-f", "{{.Mountpoint}}", "own"]);
    let mount = format!("{volume}/resolv.conf:/etc/resolv.conf");
    site.run("web", &["--network", "lan", "-v", &mount]);
    site.log().wait_for("has a /etc/resolv.conf of its own", SOON * 2).unwrap();
    assert_eq!(resolv_conf(&site, "web"), "nameserver 192.0.2.53");
    site.docker(&["rm", "-f", "web"]);
}

/// Behind Docker's resolver: names of Docker's are answered, and those of the LAN too, by a container without a gateway,
/// for which Docker Engine 25 and newer ask nobody.
#[test]
fn behind_dockers_resolver() {
    let site = Site::new(options(&[]));
    site.network("lan", &["propagate_dns=fallback", "default_route=never"]);
    site.network("silent", &["default_route=never"]);
    site.run("web", &["--network", "lan"]);
    site.run("db", &["--network", "lan", "--network-alias", "database"]);
    let text = wait_line(&site, "web", "nameserver 10.77.0.1");
    let (docker, lan) =
        (text.find("nameserver 127.0.0.11").unwrap(), text.find("nameserver 10.77.0.1").unwrap());
    assert!(docker < lan, "{text}");
    let database = site.address("db", "lan").to_string();
    assert_eq!(lookup(&site, "web", "database"), Some(database));
    if EngineVersion::from_env().unwrap() != EngineVersion::V20 {
        site.run("deaf", &["--network", "silent"]);
        assert_eq!(lookup(&site, "deaf", "nas.lan.test"), None);
        assert_eq!(lookup(&site, "web", "nas.lan.test").as_deref(), Some("10.77.0.9"));
        site.docker(&["rm", "-f", "deaf"]);
    }
    site.docker(&["rm", "-f", "web", "db"]);
}

/// The routers' word and the DHCPv6 server's, for who has no IPv4.
#[test]
fn without_ipv4() {
    let lan = Lan::new(LanOptions { ipv6: true, ..LanOptions::default() }).unwrap();

    let options = ServerOptions {
        ipv6: Some(Mode6::Stateless),
        ..options(&["--address=/nas.lan.test/2001:db8:77::9"])
    };
    let server = Dnsmasq::start(lan.router_ns(), "eth0", options).unwrap();
    let site = Site::on(lan, server, &[]);
    site.network("lan", &["ipv4=false", "ipv6=auto", "propagate_dns=true"]);
    site.run("web", &["--network", "lan"]);
    until("an answer over IPv6", SOON, || {
        lookup(&site, "web", "nas.lan.test").filter(|address| address == "2001:db8:77::9")
    });
    site.docker(&["rm", "-f", "web"]);
}
