//! What Landfall's links do to the bridge and to the LAN: nothing.

use lab::{Capture, Frame, Lan, LanOptions, Namespace};
use serde_json::Value;
use wire::dhcp4::MessageType;

use crate::container::Container;
use crate::server::{Grant, Server};
use crate::site::{SOON, Site, eventually, host_link, ip_json, link_names, same};

/// The lowest locally administered MAC but one: a bridge without one of its own would take it.
const MAC: &str = "02:00:00:00:00:01";

/// A link's MAC and MTU.
fn looks(ns: &Namespace, link: &str) -> (String, u64) {
    let link = &ip_json(ns, &["link", "show", link])[0];
    (link["address"].as_str().unwrap().to_owned(), link["mtu"].as_u64().unwrap())
}

/// A bridge to which nobody ever gave a MAC or an MTU, with one port that leads to `far`.
fn plain_bridge(lan: &Lan, mtu: u32) -> Namespace {
    let far = Namespace::new("far").unwrap();
    lan.host_ns()
        .ip_batch(&format!(
            "link add br1 type bridge forward_delay 0\nlink set br1 up\n\
             link add up1 mtu {mtu} type veth peer name eth0 mtu {mtu} netns {}\n\
             link set up1 address f2:00:00:00:00:01\nlink set up1 master br1 up\n",
            far.path().display()
        ))
        .unwrap();
    far.ip_batch("addr add 10.77.0.1/16 dev eth0\nlink set eth0 up\n").unwrap();
    far
}

fn looks_never_change(mtu: u32) {
    let lan = Lan::new(LanOptions::default()).unwrap();
    let far = plain_bridge(&lan, mtu);
    let site = Site::on(lan);
    let grant = Grant::new([10, 77, 1, 5]);
    // Option 26: the container's end only, and never the bridge.
    let grant = grant.option(26, &1280_u16.to_be_bytes());
    let _server = Server::start(&far, "eth0", move |request| grant.answer(request));
    let before = looks(site.host(), "br1");
    assert_eq!(before, ("f2:00:00:00:00:01".to_owned(), u64::from(mtu)));
    let unchanged = |when: &str| assert_eq!(looks(site.host(), "br1"), before, "{when}");

    site.network("lan", &[("bridge", "br1")]);
    unchanged("with the port");
    let endpoint = site.create("lan", "web", MAC);
    unchanged("with an endpoint");
    let container = Container::start(&site, endpoint);
    unchanged("with a container");
    assert!(container.ping(Lan::ROUTER));
    container.stop(&site);
    unchanged("after the container");
    site.delete_network("lan");
    unchanged("after the network");
    assert_eq!(site.links(), ["br0", "br1", "laptop", "lo", "router", "up1"]);
}

#[test]
fn a_bridge_without_mac_and_mtu_of_its_own_keeps_its_looks() {
    looks_never_change(1500);
}

#[test]
fn a_bridge_with_a_small_mtu_keeps_its_looks() {
    looks_never_change(1400);
}

#[test]
fn a_small_mtu_reaches_the_container() {
    let lan = Lan::new(LanOptions { mtu: 1400, ..LanOptions::default() }).unwrap();
    let site = Site::on(lan);
    let _server = Server::granting(&site.lan, Grant::new([10, 77, 1, 5]));
    site.network("lan", &[]);
    let container = site.run("lan", "web", MAC);
    assert_eq!(looks(&container.ns, "eth0").1, 1400);
    assert_eq!(looks(site.host(), &host_link("web")).1, 1400);
    // The largest that fits gets through, whole.
    let ping = ["ping", "-n", "-c", "1", "-W", "2", "-M", "do", "-s", "1372", "10.77.0.1"];
    container.ns.ok(&ping).unwrap();
}

/// The inner ends of the ports stand in a namespace of Landfall's own.
fn home(site: &Site) -> Namespace {
    let status = site.status();
    let path = format!("/run/netns/landfall-{}", status["instance"].as_str().unwrap());
    Namespace::open("home", &site.machine().path(&path)).unwrap()
}

#[test]
fn how_our_own_links_are_set() {
    let site = Site::new();
    let _server = Server::granting(&site.lan, Grant::new([10, 77, 1, 5]));
    site.network("lan", &[]);
    let endpoint = site.create("lan", "web", MAC);
    let container_end = site.endpoint_links().into_iter().find(|l| l.starts_with("lc-")).unwrap();
    assert_eq!(looks(site.host(), &container_end).0, MAC);
    let links = ip_json(site.host(), &["link", "show", "master", "br0"]);
    let links: Vec<&Value> = links.as_array().unwrap().iter().collect();
    let name = |link: &Value| link["ifname"].as_str().unwrap().to_owned();
    let ours: Vec<_> = links.into_iter().filter(|l| name(l).starts_with("lf")).collect();
    assert_eq!(ours.len(), 2, "the port and the endpoint: {ours:?}");
    for link in ours {
        assert!(link["address"].as_str().unwrap().starts_with("fe:"), "{link}");
        let learns = link["linkinfo"]["info_slave_data"]["learning"].as_bool().unwrap();
        assert_eq!(learns, !name(link).starts_with("lfp-"), "{link}");
        // No address of the host's, not even a link-local one: its kernel does not speak there.
        let addresses = ip_json(site.host(), &["addr", "show", "dev", &name(link)]);
        let addresses = addresses[0]["addr_info"].as_array().unwrap().clone();
        let v4: Vec<_> = addresses.iter().filter(|a| a["family"] == "inet").collect();
        assert!(v4.is_empty(), "{addresses:?}");
    }
    let home = home(&site);
    let inner: Vec<String> = link_names(&home).into_iter().filter(|name| name != "lo").collect();
    assert_eq!(inner.len(), 1, "{inner:?}");
    let inner = &ip_json(&home, &["addr", "show", "dev", &inner[0]])[0];
    assert_eq!(inner["addr_info"], Value::Array(vec![]), "{inner}");
    assert!(inner["flags"].as_array().unwrap().contains(&"NOARP".into()), "{inner}");
    Container::start(&site, endpoint).stop(&site);
}

#[test]
fn nothing_of_ours_speaks_on_the_lan_by_itself() {
    let options = LanOptions { host_address: Some("10.77.0.2/16".into()), ..LanOptions::default() };
    let lan = Lan::new(options).unwrap();
    let on_lan = Capture::start(lan.router_ns(), "eth0").unwrap();
    let site = Site::on(lan);
    let grant = Grant::new([10, 77, 1, 5]).times(1, 60, 120);
    let server = Server::granting(&site.lan, grant);
    site.network("lan", &[]);
    let endpoint = site.create("lan", "web", MAC);
    // Long enough for MLD reports, router solicitations and duplicate detection, which the kernel sends within a second
    // or two of a link's coming up; two renewals tell the time.
    let renewal = |mark| {
        server.wait_after(mark, "a renewal", SOON, |r| !r.message.ciaddr.is_unspecified());
        server.mark()
    };
    let mark = renewal(0);
    renewal(mark);
    let before_the_sandbox = on_lan.mark();
    let from = |frame: &Frame, mac: &str| frame.source().is_some_and(|source| source == mac);
    let frames = on_lan.frames();
    let odd: Vec<_> = frames[..before_the_sandbox]
        .iter()
        .filter(|f| from(f, MAC) && f.dhcp().is_none() && f.arp().is_none())
        .collect();
    assert!(odd.is_empty(), "with the endpoint's MAC, before anybody has it: {odd:02x?}");

    let container = Container::start(&site, endpoint);
    let mark = server.mark();
    renewal(mark);
    let mut ours: Vec<String> = Vec::new();
    for (ns, name) in [(site.host(), "lf"), (&home(&site), "lfp-")] {
        let links = link_names(ns).into_iter().filter(|link| link.starts_with(name));
        ours.extend(links.map(|link| looks(ns, &link).0));
    }
    assert_eq!(ours.len(), 3, "the port's ends and the endpoint's: {ours:?}");
    container.stop(&site);
    site.delete_network("lan");
    for frame in on_lan.frames() {
        let source = frame.source().unwrap();
        assert!(!ours.contains(&source), "from one of our own ends: {frame:02x?}");
        // ARP for the host's own address is answered by the bridge and by nobody else.
        if let Some(arp) = frame.arp().filter(|arp| arp.sender.octets() == [10, 77, 0, 2]) {
            assert_eq!(arp.sender_mac, looks(site.host(), "br0").0);
        }
    }
}

#[test]
fn who_asks_for_the_hosts_address_hears_one_answer() {
    let options = LanOptions { host_address: Some("10.77.0.2/16".into()), ..LanOptions::default() };
    let site = Site::on(Lan::new(options).unwrap());
    site.network("lan", &[]);
    let capture = Capture::start(site.lan.laptop_ns(), "eth0").unwrap();
    assert!(site.lan.laptop_ns().ping([10, 77, 0, 2].into()).unwrap());
    // The captured answer to the ping is proof that the ARP replies are in: they came before it.
    let echo_reply = |frame: &Frame| {
        let ipv4 = frame.bytes.get(12..14) == Some(&[0x08, 0x00]);
        ipv4 && frame.bytes.get(23) == Some(&1) && frame.bytes.get(34) == Some(&0)
    };
    capture.wait_for("the answer to the ping", SOON, echo_reply).unwrap();
    let replies = capture.pick(|frame| frame.arp().filter(|arp| arp.operation == 2));
    let replies: Vec<_> = replies.iter().filter(|a| a.sender.octets() == [10, 77, 0, 2]).collect();
    assert_eq!(replies.len(), 1, "{replies:?}");
}

#[test]
fn a_deleted_network_leaves_nothing() {
    let site = Site::new();
    let server = Server::granting(&site.lan, Grant::new([10, 77, 1, 5]));
    let before = site.links();
    let fdb = |site: &Site| {
        let table = site.host().ok(&["bridge", "fdb", "show", "br", "br0"]).unwrap();
        table.lines().filter(|line| line.contains(MAC)).count()
    };
    for _ in 0..2 {
        site.network("lan", &[]);
        site.network("other", &[]);
        assert_eq!(site.links().len(), before.len() + 1, "one port for both: {:?}", site.links());
        let container = site.run("lan", "web", MAC);
        assert!(container.ping(Lan::ROUTER));
        container.stop(&site);
        site.delete_network("lan");
        assert_eq!(site.links().len(), before.len() + 1, "the other network needs the port");
        site.delete_network("other");
        assert_eq!(site.links(), before);
        assert_eq!(link_names(&home(&site)), ["lo"]);
        assert_eq!(fdb(&site), 0);
    }
    server.wait_count(MessageType::Release, 2);
    eventually("nothing in the status", SOON, || {
        let status = site.status();
        let lists =
            [&status["networks"], &status["endpoints"]].map(|list| list.as_array().unwrap().len());
        same(lists, &[0, 0])
    });
}
