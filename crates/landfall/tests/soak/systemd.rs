//! A machine with systemd, on which Landfall is installed as README.md says.

use std::path::Path;
use std::thread;

use lab::{
    DhcpServer, Dnsmasq, Lan, LanOptions, Machine, Message, Place, Roots, ServerOptions,
    landfall_binary,
};

use crate::site::{SOON, eventually, same};

const SERVICE: &str = include_str!("../../../../packaging/systemd/landfall.service");
const SOCKET: &str = include_str!("../../../../packaging/systemd/landfall.socket");
pub(crate) const RUN: &str = "docker run -d --restart=always --stop-signal=KILL --network lan --name web busybox sleep infinity";
pub(crate) const CREATE: &str =
    "docker network create -d landfall --ipam-driver null -o bridge=br0 -o release_delay=10m lan";

pub(crate) fn ok(machine: &Machine, line: &str) -> String {
    let argv: Vec<&str> = line.split(' ').collect();
    machine.ok(&argv).unwrap_or_else(|error| {
        let journal = machine.run(&["journalctl", "--no-pager", "-n", "60"]).unwrap();
        panic!("{error}\n{}", String::from_utf8_lossy(&journal.stdout))
    })
}

/// A property of a unit.
pub(crate) fn of(machine: &Machine, unit: &str, property: &str) -> String {
    ok(machine, &format!("systemctl show --value -p {property} {unit}")).trim().to_owned()
}

/// Engine and driver end, and start again as with a boot.
pub(crate) fn boot(machine: &Machine) {
    ok(machine, "systemctl stop docker.socket docker.service containerd.service landfall.service");
    for unit in ["docker", "landfall"] {
        assert_eq!(of(machine, unit, "ActiveState"), "inactive");
    }
    // All that it wants and that does not run.
    ok(machine, "systemctl start multi-user.target");
    eventually("the engine", SOON, || same(of(machine, "docker", "ActiveState"), &"active".into()));
    let moment = |unit, of_what: &str| -> u64 {
        of(machine, unit, &format!("{of_what}TimestampMonotonic")).parse().unwrap()
    };
    // dockerd calls its driver before it is up itself.
    let (ready, begins) = (moment("landfall", "ActiveEnter"), moment("docker", "InactiveExit"));
    assert!(ready != 0 && ready <= begins, "ready at {ready} µs, dockerd begins at {begins} µs");
}

#[test]
fn it_is_installed_started_before_the_engine_and_restarted_under_a_container() {
    let lan = Lan::new(LanOptions::default()).unwrap();
    let server = Dnsmasq::start(lan.router_ns(), "eth0", ServerOptions::default()).unwrap();
    let root = Roots::of("forky").unwrap();
    let machine = Machine::start_with_systemd("dockerhost", &root, lan.host_ns()).unwrap();
    machine.copy_in(&landfall_binary().unwrap(), "/usr/local/bin/landfall").unwrap();
    machine.write("/etc/systemd/system/landfall.service", SERVICE).unwrap();
    machine.write("/etc/systemd/system/landfall.socket", SOCKET).unwrap();
    ok(&machine, "systemctl enable --now landfall");
    boot(&machine);
    ok(&machine, "docker import /lab/busybox.tar busybox");
    ok(&machine, CREATE);
    ok(&machine, RUN);
    let leases = server.wait_leases("one", SOON, &|leases| leases.len() == 1).unwrap();
    let (mac, ip) = (leases[0].mac.as_str(), leases[0].ip);
    assert!(lan.ping(Place::Laptop, ip).unwrap());

    // Asked for and not: neither the container nor the server notices.
    let ip_text = ip.to_string();
    let argv = ["ping", "-n", "-i", "0.05", "-c", "60", "-W", "1", &ip_text];
    let output = thread::scope(|scope| {
        let ping = scope.spawn(|| lan.laptop_ns().run(&argv).unwrap());
        ok(&machine, "systemctl restart landfall");
        ok(&machine, "systemctl kill -s KILL landfall");
        ping.join().unwrap()
    });
    let output = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.contains(" 0% packet loss"), "{output}");
    eventually("started again by systemd", SOON, || {
        let seen = ["NRestarts", "ActiveState"].map(|what| of(&machine, "landfall", what));
        same(seen, &["1", "active"].map(String::from))
    });
    let status = ok(&machine, "landfall status");
    assert!(status.contains(&ip_text) && status.contains("BOUND"), "{status}");
    assert_eq!(server.logged(Message::Discover, mac).len(), 1);
    assert_eq!(server.logged(Message::Release, mac).len(), 0);

    // The container starts with the engine, and is who it was.
    boot(&machine);
    eventually("the container", SOON, || same(lan.ping(Place::Laptop, ip).unwrap(), &true));
    assert_eq!(server.logged(Message::Discover, mac).len(), 1);
    ok(&machine, "docker rm -f web");
    ok(&machine, "docker network rm lan");
    server.wait_leases("no lease", SOON, &<[_]>::is_empty).unwrap();

    // What the unit takes away is nothing that the daemon misses.
    let failed = ok(&machine, "systemctl list-units --failed --plain --no-legend landfall.service");
    assert_eq!(failed, "");
    let journal = ok(&machine, "journalctl --no-pager -o cat -u landfall");
    for word in [" WARN ", " ERROR "] {
        assert!(!journal.contains(word), "{journal}");
    }
    assert!(Path::new(&machine.path("/var/lib/landfall/landfall.redb")).exists());
}
