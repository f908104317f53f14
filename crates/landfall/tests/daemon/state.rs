//! The state folder is damaged, of another version, full or read-only: containers start, and those that run keep their
//! lease.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use lab::Lan;
use redb::{Database, TableDefinition};
use serde_json::{Value, json};
use wire::dhcp4::MessageType;

use crate::container::Container;
use crate::server::{Grant, Request, Server};
use crate::site::{SOON, Site, endpoint_argument, eventually, id, same};

const FOLDER: &str = "/var/lib/landfall";
const FILE: &str = "/var/lib/landfall/landfall.redb";

/// Longer than the longest pause between two tries to write.
const NEXT_TRY: Duration = Duration::from_secs(25);

/// Who gets what: the last byte of the MAC is that of the address.
fn by_mac(request: &Request) -> Grant {
    Grant::new([10, 77, 1, request.message.chaddr.0[5]]).times(1800, 3150, 3600)
}

fn server_by_mac(lan: &Lan) -> Server {
    Server::start(lan.router_ns(), "eth0", |request| by_mac(request).answer(request))
}

fn mac(last: u8) -> String {
    format!("02:00:00:00:00:{last:02x}")
}

/// A site with a network and containers `c1` to `c3`, whose daemon was ended with `SIGTERM`, or killed.
fn stopped(in_order: bool) -> (Site, Server, Vec<Container>) {
    let mut site = Site::new();
    let server = server_by_mac(&site.lan);
    site.network("lan", &[]);
    let run = |last| site.run("lan", &format!("c{last}"), &mac(last));
    let containers: Vec<Container> = (1..=3).map(run).collect();
    eventually("all in the status", SOON, || {
        let shown = (1..=3).map(|n| site.shown(&format!("c{n}"))["interface"].clone());
        same(shown.collect::<Vec<Value>>(), &vec![json!("eth0"); 3])
    });
    if in_order {
        assert!(site.landfall.stop().unwrap().success());
    } else {
        site.landfall.kill9().unwrap();
    }
    (site, server, containers)
}

fn file(site: &Site) -> PathBuf {
    site.machine().path(FILE)
}

/// A new container starts, gets its address, and ends.
fn starts_a_container(site: &Site, last: u8) {
    let container = site.run("lan", &format!("n{last}"), &mac(last));
    assert_eq!(container.endpoint.address, format!("10.77.1.{last}/16"));
    assert!(container.ping(Lan::ROUTER));
    container.stop(site);
}

/// Which of the three containers the daemon still speaks for.
fn kept(site: &Site) -> Vec<u8> {
    let address = |last| site.shown(&format!("c{last}"))["address"].clone();
    (1..=3).filter(|last| address(*last) == format!("10.77.1.{last}/16")).collect()
}

/// The names of the files that were set aside.
fn set_aside(site: &Site) -> Vec<String> {
    let entries = fs::read_dir(site.machine().path(FOLDER)).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.contains(".damaged-")).collect()
}

fn sh(site: &Site, script: &str) {
    site.machine().ok(&["sh", "-euc", script]).unwrap();
}

#[test]
fn a_file_of_something_else() {
    let (mut site, server, containers) = stopped(true);
    fs::write(file(&site), b"not a database, but somebody's notes\n").unwrap();
    site.landfall.restart().unwrap();
    let state = site.status()["state"].clone();
    assert_eq!(state["set_aside"], format!("{FILE}.damaged-1"), "{state}");
    assert_eq!(state["fault"], Value::Null, "{state}");
    let aside = fs::read(site.machine().path(&format!("{FILE}.damaged-1"))).unwrap();
    assert!(aside.starts_with(b"not a database"), "nothing is thrown away");
    let told = site.landfall.log().grep("the state is damaged");
    assert!(!told.is_empty() && told[0].contains("ERROR"), "{told:?}");
    // The network is known, though nothing of the file could be read; the leases were in it only.
    starts_a_container(&site, 21);
    assert!(kept(&site).is_empty());
    for container in containers {
        assert!(container.ping(Lan::ROUTER), "its address is its own until the lease ends");
        container.stop(&site);
    }
    assert_eq!(server.count(MessageType::Discover), 4);
    // From then on all is as if nothing had been.
    site.landfall.restart().unwrap();
    assert_eq!(site.status()["state"]["set_aside"], Value::Null);
    starts_a_container(&site, 22);
    assert_eq!(set_aside(&site).len(), 1);
}

#[test]
fn a_file_that_was_cut_short() {
    let (mut site, server, containers) = stopped(true);
    let whole = fs::read(file(&site)).unwrap();
    // Every 512 bytes are tried without a daemon (`store::tests`); here, where the records lie and beyond.
    let mut ever_kept = 0;
    for length in (0..whole.len()).step_by(65_536).chain([512, 4096, 12_288, whole.len() - 512]) {
        let _ = site.landfall.kill9();
        fs::write(file(&site), &whole[..length]).unwrap();
        site.landfall.restart().unwrap();
        assert_eq!(site.status()["networks"][0]["id"], id("lan"), "cut at {length}");
        starts_a_container(&site, 21);
        ever_kept = ever_kept.max(kept(&site).len());
    }
    // The last cut took nothing of a record.
    assert_eq!(kept(&site), [1, 2, 3], "best: {ever_kept}");
    assert!(containers.iter().all(|container| container.ping(Lan::ROUTER)));
    assert_eq!(server.count(MessageType::Release) as u8, set_aside(&site).len() as u8 + 1);
}

#[test]
fn a_file_with_flipped_bytes() {
    for in_order in [true, false] {
        let (mut site, _server, containers) = stopped(in_order);
        let whole = fs::read(file(&site)).unwrap();
        let used: Vec<usize> = (0..whole.len()).filter(|at| whole[*at] != 0).collect();
        // A generator of its own, so that a failing round can be repeated.
        let mut seed: u64 = 0x1a4d_fa11;
        let mut next = |below: usize| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) as usize % below
        };
        for round in 0..8 {
            let mut changed = whole.clone();
            changed[used[next(used.len())]] ^= 1 << next(8);
            let _ = site.landfall.kill9();
            fs::write(file(&site), &changed).unwrap();
            site.landfall.restart().unwrap();
            let kept = kept(&site);
            // A flip costs the record that it hits, and no other.
            assert!(kept.len() >= 2, "round {round}, closed in order: {in_order}: {kept:?}");
            starts_a_container(&site, 21);
        }
        assert!(containers.iter().all(|container| container.ping(Lan::ROUTER)));
    }
}

#[test]
fn records_of_a_newer_version() {
    let (mut site, server, containers) = stopped(true);
    let newer = br#"{"v":1000,"what":"nobody knows"}"#;
    let insert = |table, key: &str| {
        let database = Database::open(file(&site)).unwrap();
        let transaction = database.begin_write().unwrap();
        let table: TableDefinition<'_, &str, &[u8]> = TableDefinition::new(table);
        transaction.open_table(table).unwrap().insert(key, &newer[..]).unwrap();
        transaction.commit().unwrap();
    };
    insert("networks", &id("new"));
    insert("endpoints", &id("c3"));
    insert("endpoints", &id("other"));
    site.landfall.restart().unwrap();
    assert_eq!(site.status()["state"]["unreadable"], 3);
    assert_eq!(kept(&site), [1, 2]);
    starts_a_container(&site, 21);
    let refusal = site.try_create("new", "web", "").unwrap_err();
    for words in [&id("new")[..12], "newer Landfall", "version 1000", "docker network rm"] {
        assert!(refusal.contains(words), "no {words}: {refusal}");
    }
    let refusal = site.try_create("lan", "c3", &mac(3)).unwrap_err();
    assert!(refusal.contains("newer Landfall"), "{refusal}");
    // What is left alone can be deleted, and only so is it gone.
    let mut containers = containers;
    containers.pop().unwrap().stop(&site);
    assert_eq!(site.status()["state"]["unreadable"], 2);
    let (networks, mut endpoints) = site.stop_and_read_store();
    endpoints.sort();
    assert_eq!(networks, [id("lan"), id("new")]);
    assert_eq!(endpoints, [id("c1"), id("c2"), id("other")]);
    site.landfall.restart().unwrap();
    site.delete_network("new");
    assert_eq!(site.status()["state"]["unreadable"], 1);
    assert_eq!(site.stop_and_read_store().0, [id("lan")]);
    assert_eq!(server.count(MessageType::Discover), 4);
}

/// What lies in `store/fixtures/v3` was left by a daemon that is older than this one, in another boot. Who comes back asks
/// for the address that it had then.
#[test]
fn a_folder_of_version_3() {
    let mut site = Site::new();
    // `web` and `db` of the fixture, whose addresses the server still keeps for them.
    let grant = |request: &Request| {
        let last = match request.message.chaddr.0[5] {
            0x42 => 121,
            0x43 => 122,
            other => other,
        };
        Grant::new([10, 77, 3, last]).times(1800, 3150, 3600).answer(request)
    };
    let server = Server::start(site.lan.router_ns(), "eth0", grant);
    assert!(site.landfall.stop().unwrap().success());
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store/fixtures/v3");
    sh(&site, &format!("rm -rf {FOLDER}/*"));
    for file in ["landfall.networks", "landfall.secret", "landfall.redb.gz"] {
        site.machine().copy_in(&fixtures.join(file), &format!("{FOLDER}/{file}")).unwrap();
    }
    sh(&site, &format!("gzip -d {FOLDER}/landfall.redb.gz"));
    // As it was made in another boot, at a time that is past.
    site.boot(false);
    let sound = json!({ "fault": null, "waiting": 0, "unreadable": 0, "set_aside": null });
    assert_eq!(site.status()["state"], sound);
    for (name, last) in [("web", "42"), ("db", "43")] {
        assert_eq!(site.shown(name)["mac"], format!("02:00:00:00:00:{last}"));
    }

    let web = site.run("lan", "web2", "02:00:00:00:00:42");
    let asked = [("hostname", "db"), ("client_id", "disk 7")];
    let db = site.try_create_asking("dmz", "db2", "02:00:00:00:00:43", &asked).unwrap();
    for (endpoint, address, mac) in
        [(&web.endpoint, "10.77.3.121", "42"), (&db, "10.77.3.122", "43")]
    {
        assert_eq!(endpoint.address, format!("{address}/16"));
        let said = server.requests();
        let its = |r: &&Request| r.message.chaddr.to_string().ends_with(mac);
        let first = said.iter().find(its).unwrap();
        assert_eq!(first.kind, MessageType::Request, "the lease is asked about, not for");
        let wanted = first.message.options.requested_address();
        assert_eq!(wanted.map(|of| of.to_string()).as_deref(), Some(address));
    }
    assert!(web.ping(Lan::ROUTER));
    // A name's MAC is made of the secret.
    let named = [("identity", "printer")];
    let printer = site.try_create_asking("lan", "named2", "", &named).unwrap();
    assert_eq!(printer.mac, "02:1b:46:94:f4:d0");
}

#[test]
fn a_folder_that_is_read_only() {
    // Killed, so that reading the file takes a repair, which must not be written.
    let (mut site, server, containers) = stopped(false);
    let before = fs::read(file(&site)).unwrap();
    sh(&site, &format!("mount --bind {FOLDER} {FOLDER}; mount -o remount,bind,ro {FOLDER}"));
    site.landfall.restart().unwrap();
    assert_eq!(kept(&site), [1, 2, 3]);
    let state = site.status()["state"].clone();
    let fault = state["fault"].as_str().unwrap();
    assert!(fault.contains(FILE) && fault.contains("Read-only file system"), "{fault}");
    let told = site.landfall.log().grep("cannot write the state");
    assert!(told.iter().any(|line| line.contains("ERROR")), "{told:?}");
    let doctor = site.machine().run(&["/usr/local/bin/landfall", "doctor", "--json", "--no-probe"]);
    let said = String::from_utf8(doctor.unwrap().stdout).unwrap();
    assert!(said.contains("are in memory only"), "{said}");
    starts_a_container(&site, 21);
    let runs = site.run("lan", "c4", &mac(4));
    site.network("dmz", &[("lease_timeout", "700ms")]);
    assert!(site.status()["state"]["waiting"].as_u64().unwrap() >= 2);
    assert_eq!(fs::read(file(&site)).unwrap(), before, "nothing is written");

    sh(&site, &format!("mount -o remount,bind,rw {FOLDER}"));
    eventually("no fault", NEXT_TRY, || {
        same(site.status()["state"]["fault"].clone(), &Value::Null)
    });
    assert_eq!(site.status()["state"]["waiting"], 0);
    site.landfall.kill9().unwrap();
    site.landfall.restart().unwrap();
    assert_eq!(kept(&site), [1, 2, 3]);
    assert_eq!(site.shown("c4")["address"], "10.77.1.4/16");
    assert_eq!(site.status()["networks"].as_array().unwrap().len(), 2);
    assert!(containers.iter().chain([&runs]).all(|container| container.ping(Lan::ROUTER)));
    assert_eq!(server.count(MessageType::Discover), 5);
    assert_eq!(set_aside(&site).len(), 0);
}

/// A daemon whose state folder is a file system of that size.
fn on_a_small_disk(size: &str) -> Site {
    let mut site = Site::new();
    assert!(site.landfall.stop().unwrap().success());
    sh(&site, &format!("mount -t tmpfs -o size={size} small {FOLDER}"));
    site.landfall.restart().unwrap();
    site
}

#[test]
fn a_disk_that_becomes_full() {
    let mut site = on_a_small_disk("4m");
    let server = server_by_mac(&site.lan);
    site.network("lan", &[]);
    let first = site.run("lan", "c1", &mac(1));
    sh(&site, &format!("dd if=/dev/zero of={FOLDER}/full bs=4k 2>/dev/null || true"));
    let mut containers: Vec<Container> = Vec::new();
    // The database has some room of its own.
    for last in 2..=250 {
        let endpoint = site.create("lan", &format!("c{last}"), &mac(last));
        if site.status()["state"]["fault"] != Value::Null {
            containers.push(Container::start(&site, endpoint));
            break;
        }
    }
    let fault = site.status()["state"]["fault"].clone();
    assert!(fault.as_str().is_some_and(|fault| fault.contains("No space left")), "{fault}");
    let last = containers.last().unwrap().endpoint.mac.clone();
    for more in [251, 252] {
        containers.push(site.run("lan", &format!("c{more}"), &mac(more)));
    }
    containers.pop().unwrap().stop(&site);
    assert!(containers.iter().chain([&first]).all(|container| container.ping(Lan::ROUTER)));
    let endpoints = site.status()["endpoints"].as_array().unwrap().len();

    sh(&site, &format!("rm {FOLDER}/full"));
    eventually("no fault", NEXT_TRY, || {
        same(site.status()["state"]["fault"].clone(), &Value::Null)
    });
    site.landfall.kill9().unwrap();
    site.landfall.restart().unwrap();
    let after = site.status();
    assert_eq!(after["state"]["set_aside"], Value::Null, "{}", site.landfall.log().tail(30));
    assert_eq!(after["endpoints"].as_array().unwrap().len(), endpoints);
    assert_eq!(site.shown("c251")["address"], "10.77.1.251/16");
    let macs: Vec<&Value> =
        after["endpoints"].as_array().unwrap().iter().map(|e| &e["mac"]).collect();
    assert!(macs.contains(&&json!(last)), "{last}: {macs:?}");
    assert_eq!(server.count(MessageType::Release), 1);
}

#[test]
fn a_disk_that_is_full_when_the_daemon_comes_back() {
    let mut site = on_a_small_disk("4m");
    let server = server_by_mac(&site.lan);
    site.network("lan", &[]);
    let container = site.run("lan", "c1", &mac(1));
    // Killed, so that the file takes a repair.
    site.landfall.kill9().unwrap();
    sh(&site, &format!("dd if=/dev/zero of={FOLDER}/full bs=4k 2>/dev/null || true"));
    site.landfall.restart().unwrap();
    assert_eq!(site.shown("c1")["address"], "10.77.1.1/16");
    starts_a_container(&site, 21);
    sh(&site, &format!("rm {FOLDER}/full"));
    eventually("no fault", NEXT_TRY, || {
        same(site.status()["state"]["fault"].clone(), &Value::Null)
    });
    assert_eq!(site.status()["state"]["set_aside"], Value::Null);
    assert!(container.ping(Lan::ROUTER));
    assert_eq!(server.count(MessageType::Discover), 2);
    assert_eq!(site.stop_and_read_store(), (vec![id("lan")], vec![id("c1")]));
}

#[test]
fn a_disk_that_is_full_at_the_start() {
    let mut site = Site::new();
    let server = server_by_mac(&site.lan);
    assert!(site.landfall.stop().unwrap().success());
    sh(
        &site,
        &format!(
            "mount -t tmpfs -o size=2m small {FOLDER}; \
             dd if=/dev/zero of={FOLDER}/full bs=4k 2>/dev/null || true"
        ),
    );
    for _ in 0..2 {
        site.landfall.restart().unwrap();
        let fault = site.status()["state"]["fault"].clone();
        assert!(fault.as_str().is_some_and(|fault| fault.contains("No space left")), "{fault}");
    }
    site.network("lan", &[]);
    starts_a_container(&site, 21);
    let container = site.run("lan", "c1", &mac(1));
    sh(&site, &format!("rm {FOLDER}/full"));
    eventually("no fault", NEXT_TRY, || {
        same(site.status()["state"]["fault"].clone(), &Value::Null)
    });
    site.landfall.kill9().unwrap();
    site.landfall.restart().unwrap();
    assert_eq!(site.shown("c1")["address"], "10.77.1.1/16");
    assert_eq!(site.status()["state"]["set_aside"], Value::Null);
    assert!(container.ping(Lan::ROUTER));
    assert_eq!(server.count(MessageType::Release), 1);
}

#[test]
fn killed_in_the_middle_of_many_starts() {
    let mut site = Site::new();
    let server = server_by_mac(&site.lan);
    site.network("lan", &[]);
    let stays = site.run("lan", "stays", &mac(200));
    for round in 0..5_u8 {
        let names: Vec<(String, u8)> =
            (0..20).map(|n| (format!("r{round}{n:02}"), round * 20 + n + 1)).collect();
        let begin = |(name, last): &(String, u8)| {
            site.begin("CreateEndpoint", &endpoint_argument("lan", name, &mac(*last)))
        };
        let mark = server.mark();
        let calls: Vec<_> = names.iter().map(begin).collect();
        // While records are being written: some of them have their lease, others not.
        server.wait_after(mark, "a REQUEST", SOON, |r| r.kind == MessageType::Request);
        thread::sleep(Duration::from_millis(u64::from(round) * 2));
        site.landfall.kill9().unwrap();
        drop(calls);
        site.landfall.restart().unwrap();
        let status = site.status();
        let sound = json!({ "fault": null, "waiting": 0, "unreadable": 0, "set_aside": null });
        assert_eq!(status["state"], sound, "round {round}");
        assert_eq!(site.shown("stays")["address"], "10.77.1.200/16");
        // The engine cleans up after what it did not get.
        for (name, _) in &names {
            let endpoint = json!({ "NetworkID": id("lan"), "EndpointID": id(name) });
            site.ok("DeleteEndpoint", &endpoint);
        }
    }
    assert!(stays.ping(Lan::ROUTER));
    eventually("one endpoint", SOON, || {
        same(site.status()["endpoints"].as_array().unwrap().len(), &1)
    });
    assert_eq!(site.stop_and_read_store(), (vec![id("lan")], vec![id("stays")]));
}

#[test]
fn a_folder_that_another_landfall_uses() {
    let site = Site::new();
    // In the same machine, with sockets of its own.
    let argv = ["/usr/local/bin/landfall", "serve", "--plugin-socket", "/run/b.sock"];
    let argv: Vec<&str> = argv.into_iter().chain(["--admin-socket", "/run/c.sock"]).collect();
    let output = site.machine().run(&argv).unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("another Landfall") && said.contains("--state-dir"), "{said}");
    assert_eq!(site.status()["state"]["fault"], Value::Null);
}
