//! What options say to Kea and to ISC dhcpd, what these say to containers, and which addresses they give: the rest of the tests
//! have dnsmasq.

use lab::{Capture, DhcpServer, Isc, Kea, Lan, LanOptions, ServerOptions};
use serde_json::Value;

use crate::identities::identity;
use crate::site::{DISCOVER, REQUEST, SOON, Site, inside, messages, run_args, until};

const MAC: &str = "02:00:00:00:00:48";
const OFFER: u8 = 2;
const ACK: u8 = 5;
/// What the server sends to whom it has recognised: by vendor class, user class, the name in option 81 and the client
/// identifier.
const SEEN: [u64; 4] = [224, 225, 226, 227];

/// The server's configuration, in its own words.
struct Words {
    /// An MTU of 1400, and what it recognises clients by.
    recognise: &'static str,
    /// Beside that a route to 10.99.0.0/16 by the laptop, and the default one by the router (option 121).
    with_a_route: &'static str,
}

const KEA: Words = Words {
    recognise: r#"{"client-classes": [
        {"name": "vendor", "test": "option[60].text == 'acme'",
         "option-data": [{"code": 224, "csv-format": false, "data": "01", "always-send": true}]},
        {"name": "user", "test": "option[77].hex == 0x03696f74",
         "option-data": [{"code": 225, "csv-format": false, "data": "01", "always-send": true}]},
        {"name": "name", "test": "substring(option[81].hex, 3, 4) == 0x03776562",
         "option-data": [{"code": 226, "csv-format": false, "data": "01", "always-send": true}]},
        {"name": "client", "test": "option[61].hex == 0x006469736b37",
         "option-data": [{"code": 227, "csv-format": false, "data": "01", "always-send": true}]}],
        "option-data": [{"name": "interface-mtu", "data": "1400"}]}"#,
    with_a_route: r#"{"option-data": [{"name": "interface-mtu", "data": "1400"},
        {"code": 121, "csv-format": false, "data": "100A630A4D0009000A4D0001"}]}"#,
};

const ISC: Words = Words {
    recognise: "option seen-vendor code 224 = unsigned integer 8;\n\
        option seen-user code 225 = unsigned integer 8;\n\
        option seen-name code 226 = unsigned integer 8;\n\
        option seen-client code 227 = unsigned integer 8;\n\
        option interface-mtu 1400;\n\
        if option vendor-class-identifier = \"acme\" { option seen-vendor 1; }\n\
        if option user-class = 03:69:6f:74 { option seen-user 1; }\n\
        if option fqdn.hostname = \"web\" { option seen-name 1; }\n\
        if option dhcp-client-identifier = 00:64:69:73:6b:37 { option seen-client 1; }\n\
        option dhcp-parameter-request-list = concat(option dhcp-parameter-request-list, e0:e1:e2:e3);",
    with_a_route: "option interface-mtu 1400;\n\
        option routes-too code 121 = array of unsigned integer 8;\n\
        option routes-too 16, 10, 99, 10, 77, 0, 9, 0, 10, 77, 0, 1;",
};

fn options(words: &str) -> ServerOptions {
    ServerOptions {
        lease: 120,
        // A renewal that finds the server gone is repeated soon.
        renew: Some(3),
        rebind: Some(6),
        extra: vec![words.to_owned()],
        ..ServerOptions::default()
    }
}

#[test]
fn options_with_kea() {
    let lan = Lan::new(LanOptions::default()).unwrap();
    let server = Kea::start(lan.router_ns(), "eth0", options(KEA.recognise)).unwrap();
    what_options_do(Site::on(lan, server, &[]), &KEA);
}

#[test]
fn options_with_isc_dhcpd() {
    let lan = Lan::new(LanOptions::default()).unwrap();
    let server = Isc::start(lan.router_ns(), "eth0", options(ISC.recognise)).unwrap();
    what_options_do(Site::on(lan, server, &[]), &ISC);
}

/// What is taken in advance, asked for, and kept for a name.
#[test]
fn which_address_a_container_has() {
    let lan = || Lan::new(LanOptions::default()).unwrap();
    let on_kea = lan();
    let kea = Kea::start(on_kea.router_ns(), "eth0", ServerOptions::default()).unwrap();
    which_it_is(&Site::on(on_kea, kea, &[]));
    let on_isc = lan();
    let isc = Isc::start(on_isc.router_ns(), "eth0", ServerOptions::default()).unwrap();
    which_it_is(&Site::on(on_isc, isc, &[]));
}

fn which_it_is<S: DhcpServer>(site: &Site<S>) {
    const ASKED: &str = "10.77.5.50";
    const BY_OPTION: &str = "name=lan,driver-opt=ip=10.77.5.50";
    const BY_NAME: [&str; 2] = ["--network", "name=lan,driver-opt=identity=disk7"];
    let kind = site.server.kind();
    let has = |name: &str, options: &[&str]| {
        site.run(name, options);
        let has = identity(site, name, "lan");
        site.reached(has.1);
        site.docker(&["rm", "-f", name]);
        has
    };
    let pool = ["landfall", "--ipam-opt", "bridge=br0", "--subnet", "10.77.0.0/16"];
    let mut mac_of_disk7 = None;
    // Without and with Landfall as IPAM driver, and how an address is asked for then.
    for (name, ipam, asks) in [
        ("web", &["null"][..], &["--network", BY_OPTION][..]),
        ("db", &pool, &["--network", "lan", "--ip", ASKED]),
    ] {
        let create = ["network", "create", "-d", "landfall", "-o", "bridge=br0"];
        let options = ["-o", "warm=2", "lan", "--ipam-driver"];
        site.docker(&[&create[..], &options, ipam].concat());
        let stock = site.stock(2);
        let new = has(name, &["--network", "lan"]);
        let taken = (new.0.clone(), format!("{}/16", new.1));
        assert!(stock.contains(&taken), "{kind}: {new:?} of {stock:?}");
        assert_eq!(has(name, &["--network", "lan"]), new, "{kind}");
        let disk = has("one", &BY_NAME);
        assert_eq!(has("two", &BY_NAME), disk, "{kind}");
        // Its lease went with the network before, and its address may be in stock by now.
        assert_eq!(*mac_of_disk7.get_or_insert(disk.0.clone()), disk.0, "{kind}");

        site.run("own", &[asks, &["--mac-address", MAC]].concat());
        let own = identity(site, "own", "lan");
        assert_eq!(own, (MAC.to_owned(), ASKED.parse().unwrap()), "{kind}");
        site.reached(own.1);
        let said = site.docker_fails(&run_args("other", asks));
        assert!(said.contains(ASKED), "{kind}: {said}");
        site.docker(&["rm", "-f", "own", "other"]);
        site.docker(&["network", "rm", "lan"]);
        site.no_lease_is_left();
        assert_eq!(site.endpoints().len(), 0, "{kind}");
    }
}

/// The codes of the options that the container's server has sent.
fn sent(site: &Site<impl DhcpServer>, container: &str) -> Vec<u64> {
    let shown = site.landfall_says(&["lease", "show", container, "--json"]);
    let shown: Value = serde_json::from_str(&shown).unwrap();
    shown[0]["options"].as_array().unwrap().iter().map(|o| o["code"].as_u64().unwrap()).collect()
}

fn what_options_do<S: DhcpServer>(mut site: Site<S>, words: &Words) {
    let capture = Capture::start(site.lan.router_ns(), "eth0").unwrap();
    let told = ["vendor_class=acme", "user_class=iot", "register_dns=true"];
    site.network("told", &[&told[..], &["rapid_commit=true", "propagate_mtu=true"]].concat());
    site.network("plain", &["hostname=none"]);

    let on_told = "name=told,driver-opt=hostname=web,driver-opt=client_id=disk7";
    site.run("one", &["--network", on_told, "--hostname", "box", "--mac-address", MAC]);
    let codes = sent(&site, "one");
    assert!(SEEN.iter().all(|seen| codes.contains(seen)), "{codes:?}");
    assert_eq!(inside(&site.sandbox("one"), "eth0").mtu, 1400);
    // Neither commits at once (RFC 4039): it offers as ever.
    let kinds = messages(&capture, MAC).into_iter().map(|(_, message)| message.kind);
    assert_eq!(kinds.take(4).collect::<Vec<_>>(), [DISCOVER, OFFER, REQUEST, ACK]);

    // Who says nothing of that is not taken for it, and has its own MTU.
    site.run("two", &["--network", "plain", "--hostname", "box"]);
    let codes = sent(&site, "two");
    assert!(!SEEN.iter().any(|seen| codes.contains(seen)), "{codes:?}");
    assert_eq!(inside(&site.sandbox("two"), "eth0").mtu, 1500);

    site.server.reconfigure("eth0", options(words.with_a_route)).unwrap();
    let sandbox = site.sandbox("one");
    let route = "10.99.0.0/16 via 10.77.0.9";
    until("the route", SOON * 2, || {
        let routes = sandbox.ok(&["ip", "route"]).unwrap();
        routes.lines().any(|line| line.starts_with(route)).then_some(())
    });
    let routes = sandbox.ok(&["ip", "route", "show", "default"]).unwrap();
    assert!(routes.starts_with("default via 10.77.0.1 "), "{routes}");

    // A renewal later, its name is as unknown as it was.
    let two = site.shown("two", "plain").mac;
    let named = site.server.leases().unwrap().into_iter().find(|lease| lease.mac == two).unwrap();
    assert_eq!(named.name, None);

    site.docker(&["rm", "-f", "one", "two"]);
    site.no_lease_is_left();
}
