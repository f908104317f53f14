//! The packages on Debian 12 and 13 with their systemd and engines, from the installation to the end: the Debian one (`make deb`)
//! by the README's lines, the RPM (`make rpm`) by Debian's own `rpm`, which runs its scripts as another system's does.

use std::thread;

use lab::{DhcpServer, Dnsmasq, Lan, LanOptions, Machine, Message, Place, Roots, ServerOptions};

use crate::documents::{README, block, repository};
use crate::site::{SOON, eventually, link_names, same};
use crate::systemd::{CREATE, RUN, boot, of, ok};

#[test]
fn on_debian_12() {
    deb("bookworm-systemd");
}

#[test]
fn on_debian_13() {
    deb("trixie-systemd");
}

/// The lines of the README are `make deb`, which has been run, and two more.
fn deb(root: &str) {
    let [_, install, enable] = block(README, "make deb")[..] else { panic!("not three lines") };
    let package = install.strip_prefix("dpkg --install ").unwrap();
    installed_and_removed(root, package, [install, enable, install], |machine| {
        ok(machine, "dpkg --remove landfall");
        assert!(machine.path("/var/lib/landfall/landfall.redb").exists(), "until it is purged");
        ok(machine, "dpkg --purge landfall");
    });
}

/// What it knows stays, as RPM has no word for more, and so does its network namespace, until the machine boots.
#[test]
fn as_an_rpm() {
    let package = concat!("dist/landfall-", env!("CARGO_PKG_VERSION"), "-1.x86_64.rpm");
    // Debian's `rpm` knows nothing of what dpkg has installed, such as /bin/sh.
    let install = format!("rpm --install --nodeps {package}");
    let again = format!("rpm --upgrade --nodeps --force {package}");
    let enable = "systemctl enable --now landfall";
    installed_and_removed("trixie-systemd", package, [&install, enable, &again], |machine| {
        assert_eq!(
            ok(machine, "rpm --query landfall").trim(),
            concat!("landfall-", env!("CARGO_PKG_VERSION"), "-1.x86_64")
        );
        ok(machine, "rpm --erase landfall");
        assert!(machine.path("/var/lib/landfall/landfall.redb").exists());
        ok(machine, "rm -r /var/lib/landfall");
        let namespaces = ok(machine, "find /run/netns -name landfall-*");
        let [namespace] = namespaces.lines().collect::<Vec<_>>()[..] else {
            panic!("{namespaces}")
        };
        ok(machine, &format!("umount {namespace}"));
        ok(machine, &format!("rm {namespace}"));
    });
}

/// The command that makes one more network.
fn another(driver: &str, name: &str) -> String {
    format!("docker network create -d {driver} --ipam-driver null -o bridge=br0 {name}")
}

/// `package`: made in the source's folder. The lines install it, enable its unit, and install it over itself.
fn installed_and_removed(
    root: &str,
    package: &str,
    [install, enable, again]: [&str; 3],
    remove: impl FnOnce(&Machine),
) {
    let lan = Lan::new(LanOptions::default()).unwrap();
    let server = Dnsmasq::start(lan.router_ns(), "eth0", ServerOptions::default()).unwrap();
    let root = Roots::of(root).unwrap();
    let machine = Machine::start_with_systemd("dockerhost", &root, lan.host_ns()).unwrap();
    let before = (link_names(lan.host_ns()), left(&machine));
    machine.copy_in(&repository().join(package), &format!("/{package}")).unwrap();
    ok(&machine, install);
    // It is the user's to say when it begins.
    assert_eq!(of(&machine, "landfall", "ActiveState"), "inactive");
    ok(&machine, enable);
    boot(&machine);
    for unit in ["landfall.service", "landfall.socket"] {
        assert_eq!(of(&machine, unit, "ActiveState"), "active", "{unit}");
    }
    ok(&machine, "docker import /lab/busybox.tar busybox");
    ok(&machine, CREATE);
    ok(&machine, RUN);
    let leases = server.wait_leases("one", SOON, &|leases| leases.len() == 1).unwrap();
    let (mac, ip) = (leases[0].mac.as_str(), leases[0].ip);
    assert!(lan.ping(Place::Laptop, ip).unwrap());

    // Restarted, and installed once more as an upgrade is: neither the container nor the server notices.
    let ip_text = ip.to_string();
    let argv = ["ping", "-n", "-i", "0.05", "-c", "100", "-W", "1", &ip_text];
    let output = thread::scope(|scope| {
        let ping = scope.spawn(|| lan.laptop_ns().run(&argv).unwrap());
        ok(&machine, "systemctl restart landfall");
        ok(&machine, again);
        ping.join().unwrap()
    });
    let output = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.contains(" 0% packet loss"), "{output}");
    assert_eq!(of(&machine, "landfall", "ActiveState"), "active");
    let status = ok(&machine, "landfall status");
    assert!(status.contains(&ip_text) && status.contains("BOUND"), "{status}");

    // Docker's call is what starts it, by either of its names.
    ok(&machine, "systemctl stop landfall.service");
    assert_eq!(of(&machine, "landfall", "ActiveState"), "inactive");
    ok(&machine, &another("landfall:latest", "other"));
    assert_eq!(of(&machine, "landfall", "ActiveState"), "active");
    ok(&machine, "docker network rm other");
    one_that_cannot_start_keeps_nobody_waiting(&machine);
    assert!(lan.ping(Place::Laptop, ip).unwrap());
    assert_eq!(server.logged(Message::Discover, mac).len(), 1);
    assert_eq!(server.logged(Message::Release, mac).len(), 0);

    ok(&machine, "docker rm -f web");
    ok(&machine, "docker network rm lan");
    server.wait_leases("no lease", SOON, &<[_]>::is_empty).unwrap();
    remove(&machine);
    assert!(!machine.path("/run/docker/plugins/landfall.sock").exists());
    ok(&machine, &format!("rm /{package}"));
    eventually("as before", SOON, || same((link_names(lan.host_ns()), left(&machine)), &before));
}

/// With a daemon that cannot start, a call waits on the socket until systemd gives up, which is soon.
fn one_that_cannot_start_keeps_nobody_waiting(machine: &Machine) {
    let sound = machine.read("/etc/default/landfall").unwrap();
    machine.write("/etc/default/landfall", "LANDFALL_METRICS_LISTEN=nowhere\n").unwrap();
    ok(machine, "systemctl stop landfall.service");
    let line = another("landfall", "never");
    let argv: Vec<&str> = ["timeout", "60"].into_iter().chain(line.split(' ')).collect();
    let output = machine.run(&argv).unwrap();
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{words}");
    machine.write("/etc/default/landfall", &sound).unwrap();
    ok(machine, "systemctl reset-failed landfall.service landfall.socket");
    ok(machine, "systemctl start landfall.service");
}

/// All that has to do with Landfall by its name, links included, but for what Docker and the journal keep of what was.
fn left(machine: &Machine) -> Vec<String> {
    let found = ok(machine, "find / /run /tmp -xdev -name *landfall*");
    found.lines().map(str::to_owned).collect()
}
