//! The managed plugin from one version to another and back, with the power cut in between.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::SystemTime;

use lab::{Capture, Log, Message, Namespace, Pings, ServerOptions};

use crate::identities::identity;
use crate::plugin::{DRIVER, folder, registry};
use crate::site::{
    DISCOVER, RELEASE, SOON, Site, count, lan_with_dnsmasq, last_request, renewal_once_back,
};

const MAC: &str = "02:00:00:00:00:4d";
const T1: u32 = 4;
const ONE: &str = "localhost:5000/landfall:one";
const TWO: &str = "localhost:5000/landfall:two";
/// One that the engine has nothing of yet.
const THREE: &str = "localhost:5000/landfall:three";
/// How much of an image comes before the power is cut: its layer is longer.
const CUT_AFTER: usize = 300_000;

#[test]
fn to_another_version_and_back() {
    let (lan, server) =
        lan_with_dnsmasq(ServerOptions { lease: 120, renew: Some(T1), ..Default::default() });
    let mut site = Site::without_landfall(lan, server, &[], &[]);
    site.engine
        .machine()
        .copy_in(&folder().join("rootfs/landfall"), "/usr/local/bin/landfall")
        .unwrap();
    let _registry = registry(&site);
    for version in [ONE, TWO, THREE] {
        push(&site, version);
    }
    let on_lan = Capture::start(site.lan.router_ns(), "eth0").unwrap();
    site.docker(&["plugin", "install", "--alias", "landfall", "--grant-all-permissions", ONE]);
    let own = ["-o", "bridge=br0", "-o", "release_delay=10m", "lan"];
    site.docker(
        &[&["network", "create", "-d", DRIVER, "--ipam-driver", "null"], &own[..]].concat(),
    );
    site.run("web", &["--network", "lan", "--hostname", "web", "--mac-address", MAC]);
    let address = site.named_lease(MAC, "web").ip;
    // One that is known by its name alone, and is made anew with the next version.
    site.run("db", &["--network", "lan"]);
    let db = identity(&site, "db", "lan");
    let of_web = |site: &Site| {
        let mut all = site.endpoints().into_iter();
        all.find(|endpoint| endpoint["mac"] == MAC).unwrap()
    };

    let pings = Pings::start(site.lan.laptop_ns(), address).unwrap();
    for version in [TWO, ONE] {
        let before = of_web(&site);
        let last = last_request(&on_lan, MAC);
        site.docker(&["plugin", "disable", "-f", "landfall"]);
        site.docker(&upgrade(version));
        site.docker(&["plugin", "enable", "landfall"]);
        let back = SystemTime::now();
        assert_eq!(installed(&site), version);
        let after = of_web(&site);
        for field in ["id", "container", "mac", "address", "server", "host_name", "interface"] {
            assert_eq!(after[field], before[field], "{field}, with {version}");
        }
        renewal_once_back(&on_lan, MAC, T1, last, back);
        site.docker(&["rm", "-f", "db"]);
        site.run("db", &["--network", "lan"]);
        assert_eq!(identity(&site, "db", "lan"), db, "with {version}");
    }
    site.docker(&["rm", "-f", "db"]);
    assert_eq!(pings.lost().unwrap(), [] as [usize; 0]);
    assert_eq!(count(&on_lan, MAC, DISCOVER), 1, "the lease is that of the start");

    the_power_is_cut_on_the_way_to(&mut site, THREE);
    // The version from before is whole, and who has come back is who it was.
    assert_eq!(installed(&site), ONE);
    site.docker(&["plugin", "enable", "landfall"]);
    site.docker(&["start", "web"]);
    assert_eq!(site.address("web", "lan"), address);
    site.reached(address);
    assert_eq!(count(&on_lan, MAC, DISCOVER), 1);
    assert_eq!(count(&on_lan, MAC, RELEASE), 0);
    // And the way to the next one is open still.
    site.docker(&["plugin", "disable", "-f", "landfall"]);
    site.docker(&upgrade(THREE));
    site.docker(&["plugin", "enable", "landfall"]);
    assert_eq!(installed(&site), THREE);
    site.reached(address);
    site.docker(&["rm", "-f", "web"]);
    site.docker(&["network", "rm", "lan"]);
    site.no_lease_is_left();
    site.logged(Message::Discover, MAC, 1);
}

fn upgrade(version: &str) -> [&str; 6] {
    ["plugin", "upgrade", "--grant-all-permissions", "--skip-remote-check", "landfall", version]
}

/// Which version is installed, by what it says of itself.
fn installed(site: &Site) -> String {
    site.docker(&["plugin", "inspect", "-f", "{{.Config.Description}}", "landfall"])
}

/// Puts a version into the registry: the plugin as `make plugin` has made it, with its reference for a description.
fn push(site: &Site, version: &str) {
    let machine = site.engine.machine();
    let config = fs::read_to_string(folder().join("config.json")).unwrap();
    let mut config: serde_json::Value = serde_json::from_str(&config).unwrap();
    config["description"] = version.into();
    machine.write("/tmp/version/config.json", &config.to_string()).unwrap();
    let rootfs = "/tmp/version/rootfs";
    machine
        .ok(&[
            "mkdir",
            "-p",
            &format!("{rootfs}/run/docker/plugins"),
            &format!("{rootfs}/var/lib/landfall"),
        ])
        .unwrap();
    machine.copy_in(&folder().join("rootfs/landfall"), &format!("{rootfs}/landfall")).unwrap();
    // Another version is another content.
    machine.write(&format!("{rootfs}/version"), version).unwrap();
    site.docker(&["plugin", "create", version, "/tmp/version"]);
    site.docker(&["plugin", "push", version]);
    site.docker(&["plugin", "rm", version]);
}

/// dockerd is killed while it downloads the image, and starts again.
fn the_power_is_cut_on_the_way_to(site: &mut Site, version: &str) {
    let stalls = a_registry_that_stalls(site);
    let through = version.replace(":5000/", ":5001/");
    site.docker(&["plugin", "disable", "-f", "landfall"]);
    let argv: Vec<&str> = ["docker"].into_iter().chain(upgrade(&through)).collect();
    let log = Log::new("the upgrade");
    let upgrading = site.engine.machine().spawn("the upgrade", &[], &argv, &log).unwrap();
    stalls.recv_timeout(SOON * 3).unwrap_or_else(|_| panic!("nothing stalls: {}", log.tail(9)));
    assert!(upgrading.status().is_none(), "{}", log.tail(9));
    site.engine.kill_dockerd(&[]).unwrap();
    assert!(!upgrading.wait(SOON).unwrap().success());
}

/// What listens at `localhost:5001` and hands on to the registry, until [`CUT_AFTER`] bytes of answers: then nothing more
/// comes, and the receiver is told.
fn a_registry_that_stalls(site: &Site) -> Receiver<()> {
    let net = Namespace::open("dockerhost", site.lan.host_ns().path()).unwrap();
    let here = |port| (Ipv4Addr::LOCALHOST, port);
    let listener = net.enter(|| TcpListener::bind(here(5001))).unwrap().unwrap();
    let (stalled, receiver) = mpsc::channel();
    thread::spawn(move || {
        for caller in listener.incoming().flatten() {
            let Ok(Ok(registry)) = net.enter(|| TcpStream::connect(here(5000))) else { return };
            let (from, to) = (caller.try_clone().unwrap(), registry.try_clone().unwrap());
            thread::spawn(move || hand_on(from, to, usize::MAX, None));
            let stalled = stalled.clone();
            thread::spawn(move || hand_on(registry, caller, CUT_AFTER, Some(stalled)));
        }
    });
    receiver
}

/// Hands on so many bytes.
fn hand_on(mut from: TcpStream, mut to: TcpStream, most: usize, stalled: Option<Sender<()>>) {
    let mut handed = 0;
    let mut buffer = [0; 16_384];
    let done: io::Result<()> = (|| {
        while handed < most {
            let length = from.read(&mut buffer)?;
            if length == 0 {
                let _ = to.shutdown(Shutdown::Write);
                return Ok(());
            }
            to.write_all(&buffer[..length])?;
            handed += length;
        }
        Ok(())
    })();
    if let (Ok(()), Some(stalled), true) = (done, stalled, handed >= most) {
        let _ = stalled.send(());
        // Held open for as long as the test runs.
        loop {
            thread::park();
        }
    }
}
