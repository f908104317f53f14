//! The store on folders of all kinds.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use dhcp::v4::Lease;
use redb::{ReadableDatabase, TableDefinition};

use super::encoding::{VERSION, decode, encode, salvage};
use super::*;
use crate::engine::endpoint_options::EndpointOptions;
use crate::engine::options::Options;

/// How long may take what the store does by itself.
const PATIENCE: Duration = Duration::from_secs(20);

/// In memory, where nothing waits for a disk.
pub(super) fn temporary() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

pub(super) fn id(name: &str) -> String {
    let digits: String = name.bytes().map(|byte| format!("{byte:02x}")).collect();
    format!("{digits:0<64}")
}

fn network(name: &str) -> NetworkRecord {
    let options = [("bridge".to_owned(), format!("br-{name}"))].into();
    let options = Options::parse(&options).unwrap();
    let id = NetworkId::new(&id(name)).unwrap();
    NetworkRecord { id, options, internal: false, pool: None, apart: false }
}

pub(super) fn endpoint(name: &str, network: &str, last: u8) -> EndpointRecord {
    let second = |n| dhcp::Instant::from_boot(Duration::from_secs(n));
    let lease = Lease {
        address: [10, 77, 1, last].into(),
        prefix_len: 16,
        server: [10, 77, 0, 1].into(),
        next_hop: None,
        start: second(1),
        renew_at: second(1800),
        rebind_at: second(3150),
        expires_at: second(3600),
        options: wire::dhcp4::Options::default(),
    };
    EndpointRecord {
        id: EndpointId::new(&id(name)).unwrap(),
        network: NetworkId::new(&id(network)).unwrap(),
        phase: Phase::Joined("/run/docker/netns/0123456789ab".into()),
        mac: wire::MacAddr([2, 0, 0, 0, 0, last]),
        options: EndpointOptions::default(),
        told: Some("10.77.1.1/16".parse().unwrap()),
        told_gateway: Some([10, 77, 0, 1].into()),
        lease: Some(StoredLease {
            lease,
            boot_id: "11111111-2222-3333-4444-555555555555".into(),
            obtained: "2026-11-22T08:00:00Z".parse().unwrap(),
        }),
        host_name: Some("web".into()),
        container: Some("1a2b3c4d5e6f".into()),
        name: Some("web".into()),
        confirmed: true,
        claimed: false,
        spare: false,
        told6: None,
        way_out: true,
        ipv6: None,
    }
}

fn put_network(name: &str) -> Change {
    Change::PutNetwork(Box::new(network(name)))
}

pub(super) fn put_endpoint(name: &str, network: &str, last: u8) -> Change {
    Change::PutEndpoint(Box::new(endpoint(name, network, last)))
}

/// Ends a store, and waits until its thread has closed the file.
pub(super) fn end(store: Store, dir: &Path) {
    drop(store);
    let until = Instant::now() + PATIENCE;
    while lock(dir).is_err() {
        assert!(Instant::now() < until, "the writer does not end");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A folder with two networks and endpoints `e0` to `e9`, each rewritten once, and what is in it.
async fn full(dir: &Path) -> (Vec<NetworkRecord>, HashMap<EndpointId, EndpointRecord>) {
    let (store, _) = Store::open(dir).unwrap();
    for name in ["lan", "dmz"] {
        store.commit(put_network(name)).await.unwrap();
    }
    for round in 0..2 {
        for n in 0..10 {
            store.commit(put_endpoint(&format!("e{n}"), "lan", 10 * n + round)).await.unwrap();
        }
    }
    end(store, dir);
    let (store, loaded) = Store::open(dir).unwrap();
    assert_eq!((loaded.networks.len(), loaded.endpoints.len()), (2, 10));
    end(store, dir);
    (loaded.networks, loaded.endpoints.into_iter().map(|e| (e.id.clone(), e)).collect())
}

/// Puts bytes into a table as somebody else would.
pub(super) fn insert_raw(dir: &Path, table: &'static str, key: &str, value: &[u8]) {
    let database = redb::Database::create(dir.join(FILE)).unwrap();
    let transaction = database.begin_write().unwrap();
    let definition: TableDefinition<'_, &str, &[u8]> = TableDefinition::new(table);
    transaction.open_table(definition).unwrap().insert(key, value).unwrap();
    transaction.commit().unwrap();
}

fn raw(dir: &Path, table: &'static str, key: &str) -> Option<Vec<u8>> {
    let database = redb::Database::create(dir.join(FILE)).unwrap();
    let transaction = database.begin_read().unwrap();
    let definition: TableDefinition<'_, &str, &[u8]> = TableDefinition::new(table);
    let table = transaction.open_table(definition).unwrap();
    table.get(key).unwrap().map(|value| value.value().to_vec())
}

fn set_aside(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.to_string_lossy().contains(".damaged-")).collect()
}

#[tokio::test]
async fn what_was_committed_is_there_again() {
    let folder = temporary();
    let dir = folder.path().join("a/state");
    let (store, first) = Store::open(&dir).unwrap();
    assert_eq!(fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!((first.networks.len(), first.endpoints.len()), (0, 0));
    store.commit(put_network("lan")).await.unwrap();
    store.commit(put_endpoint("web", "lan", 1)).await.unwrap();
    store.commit_later(put_endpoint("web", "lan", 2));
    store.commit(put_endpoint("gone", "lan", 3)).await.unwrap();
    store.commit(Change::DeleteEndpoint(endpoint("gone", "lan", 3).id)).await.unwrap();
    store.flush().await.unwrap();
    assert_eq!(store.health(), Health::default());
    end(store, &dir);
    let (_store, again) = Store::open(&dir).unwrap();
    assert_eq!(again.instance, first.instance);
    assert_eq!(again.networks, [network("lan")]);
    assert_eq!(again.endpoints, [endpoint("web", "lan", 2)]);
    assert!(again.unreadable_networks.is_empty() && !again.salvaged);
}

#[tokio::test]
async fn a_folder_in_use_is_an_error() {
    let folder = temporary();
    let (_store, _) = Store::open(folder.path()).unwrap();
    let error = Store::open(folder.path()).err().unwrap().to_string();
    assert!(error.contains("another Landfall") && error.contains("--state-dir"), "{error}");

    // By one that locks the file only.
    let folder = temporary();
    let _older = redb::Database::create(folder.path().join(FILE)).unwrap();
    let error = Store::open(folder.path()).err().unwrap().to_string();
    assert!(error.contains("another Landfall"), "{error}");
}

#[test]
fn no_changed_byte_goes_unseen() {
    let record = endpoint("web", "lan", 1);
    let bytes = encode(&record, 7).unwrap();
    assert_eq!(decode(&bytes), Ok((record.clone(), 7)));
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << bit;
            let read = decode::<EndpointRecord>(&changed);
            assert!(read.is_err(), "byte {at}, bit {bit}: {}", String::from_utf8_lossy(&changed));
        }
        assert!(decode::<EndpointRecord>(&bytes[..at]).is_err(), "cut at {at}");
    }
}

#[test]
fn the_newest_copy_is_salvaged() {
    let old = encode(&endpoint("web", "lan", 1), 7).unwrap();
    let new = encode(&endpoint("web", "lan", 2), 8).unwrap();
    let torn = &encode(&endpoint("web", "lan", 3), 9).unwrap()[..200];
    let lan = encode(&network("lan"), 1).unwrap();
    for order in [[&new[..], &old, torn, &lan], [torn, &lan, &old, &new]] {
        let found = salvage(&order.join(&b"\xff{\"v\":{"[..]));
        assert_eq!(found.endpoints, HashMap::from([(id("web"), (8, new.clone()))]));
        assert_eq!(found.networks, HashMap::from([(id("lan"), (1, lan.clone()))]));
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_left_alone() {
    let folder = temporary();
    let dir = folder.path();
    full(dir).await;
    let newer = format!(r#"{{"v":{},"new":[1]}}"#, VERSION + 1);
    let torn = &encode(&endpoint("torn", "lan", 1), 1).unwrap()[..100];
    insert_raw(dir, "networks", &id("new"), newer.as_bytes());
    insert_raw(dir, "networks", &id("none"), b"\0\n\xff");
    insert_raw(dir, "endpoints", &id("new"), newer.as_bytes());
    insert_raw(dir, "endpoints", &id("torn"), torn);
    // Its copy is whole.
    insert_raw(dir, "networks", &id("dmz"), b"{");
    for _ in 0..2 {
        let (store, loaded) = Store::open(dir).unwrap();
        let mut names: Vec<&str> =
            loaded.networks.iter().map(|n| n.options.interface.as_str()).collect();
        names.sort_unstable();
        assert_eq!((names, loaded.endpoints.len()), (vec!["br-dmz", "br-lan"], 10));
        let new = NetworkId::new(&id("new")).unwrap();
        assert_eq!(loaded.unreadable_networks[&new], Unreadable::Newer(VERSION + 1));
        assert_eq!(loaded.unreadable_networks.len(), 2);
        let torn = EndpointId::new(&id("torn")).unwrap();
        let why = &loaded.unreadable_endpoints[&torn];
        assert!(matches!(why, Unreadable::Damaged(_)), "{why:?}");
        assert_eq!(loaded.unreadable_endpoints.len(), 2);
        store.commit(put_network("lan")).await.unwrap();
        store.commit(put_endpoint("e0", "lan", 99)).await.unwrap();
        assert_eq!(store.health(), Health::default());
        end(store, dir);
    }
    assert_eq!(raw(dir, "networks", &id("new")).unwrap(), newer.as_bytes());
    assert_eq!(raw(dir, "networks", &id("none")).unwrap(), b"\0\n\xff");
    assert_eq!(raw(dir, "endpoints", &id("new")).unwrap(), newer.as_bytes());
    assert_eq!(raw(dir, "endpoints", &id("torn")).unwrap(), torn);
    // Until Docker deletes them.
    let (store, _) = Store::open(dir).unwrap();
    let new = NetworkId::new(&id("new")).unwrap();
    store.commit(Change::DeleteNetwork(new)).await.unwrap();
    end(store, dir);
    assert_eq!(raw(dir, "networks", &id("new")), None);
}

/// Opens a folder whose file was damaged: all networks are there, all endpoints that are were so at
/// some time, and it goes on as if nothing had been. Gives how many endpoints there are as they were
/// last.
async fn goes_on(
    dir: &Path,
    damaged: &[u8],
    (networks, endpoints): &(Vec<NetworkRecord>, HashMap<EndpointId, EndpointRecord>),
    what: &str,
) -> usize {
    for file in set_aside(dir) {
        fs::remove_file(file).unwrap();
    }
    fs::write(dir.join(FILE), damaged).unwrap();
    let (store, loaded) = Store::open(dir).unwrap();
    let mut found = loaded.networks.clone();
    found.sort_by(|a, b| a.id.cmp(&b.id));
    assert_eq!(&found, networks, "{what}");
    let mut as_they_were = 0;
    for record in &loaded.endpoints {
        let last = &endpoints[&record.id];
        as_they_were += usize::from(record == last);
        // The lease before the last change of it, or the last.
        assert_eq!((&record.network, &record.told), (&last.network, &last.told), "{what}");
    }
    if loaded.salvaged {
        let kept = set_aside(dir);
        assert_eq!(kept.len(), 1, "{what}");
        assert_eq!(fs::read(&kept[0]).unwrap(), damaged, "{what}: as it was found");
        assert_eq!(store.health().set_aside.as_ref(), kept.first(), "{what}");
    }
    store.commit(put_endpoint("next", "lan", 200)).await.unwrap();
    store.flush().await.unwrap();
    assert_eq!(store.health().fault, None, "{what}");
    end(store, dir);
    let (store, again) = Store::open(dir).unwrap();
    assert!(!again.salvaged, "{what}: all is well the next time");
    assert_eq!(again.instance, loaded.instance, "{what}");
    assert_eq!(again.networks.len(), networks.len(), "{what}");
    assert_eq!(again.endpoints.len(), loaded.endpoints.len() + 1, "{what}");
    store.commit(Change::DeleteEndpoint(endpoint("next", "lan", 200).id)).await.unwrap();
    end(store, dir);
    as_they_were
}

#[tokio::test]
async fn a_file_that_was_cut_short() {
    let folder = temporary();
    let dir = folder.path();
    let known = full(dir).await;
    let bytes = fs::read(dir.join(FILE)).unwrap();
    let mut saved = Vec::new();
    for length in (512..bytes.len()).step_by(512) {
        let what = format!("cut at {length} of {}", bytes.len());
        assert!(file::content(bytes[..length].to_vec()).is_err(), "{what}");
        if length % 16_384 == 0 {
            saved.push(goes_on(dir, &bytes[..length], &known, &what).await);
        }
    }
    goes_on(dir, &[], &known, "empty").await;
    assert!(saved.is_sorted(), "{saved:?}");
    assert_eq!(saved.last(), Some(&10), "{saved:?}");
}

#[tokio::test]
async fn a_file_with_flipped_bytes() {
    let folder = temporary();
    let dir = folder.path();
    let known = full(dir).await;
    let bytes = fs::read(dir.join(FILE)).unwrap();
    let used: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at] != 0).collect();
    let seed = 0x1a4d_fa11;
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut saved = 0;
    for round in 0..60 {
        let mut changed = bytes.clone();
        let flips = rng.usize(1..4);
        for _ in 0..flips {
            changed[used[rng.usize(..used.len())]] ^= 1 << rng.u8(..8);
        }
        let what = format!("seed {seed:#x}, round {round}");
        let as_they_were = goes_on(dir, &changed, &known, &what).await;
        // A flip costs at most the record in which it is.
        assert!(as_they_were + flips >= 10, "{what}: {as_they_were} after {flips} flips");
        saved += as_they_were;
    }
    assert!(saved < 600, "no flip has hit anything");
}

#[tokio::test]
async fn a_file_of_something_else() {
    let folder = temporary();
    let dir = folder.path();
    let known = full(dir).await;
    let mut rng = fastrand::Rng::with_seed(7);
    let noise: Vec<u8> = std::iter::repeat_with(|| rng.u8(..)).take(20_000).collect();
    for garbage in [&b"x"[..], b"# not a database\n", &noise, &[0; 8192]] {
        assert_eq!(goes_on(dir, garbage, &known, "garbage").await, 0);
    }
    // A file that is gone, and one whose copy of the networks is gone as well.
    fs::remove_file(dir.join(FILE)).unwrap();
    let (store, loaded) = Store::open(dir).unwrap();
    assert_eq!(loaded.networks.len(), 2);
    end(store, dir);
    let bytes = fs::read(dir.join(FILE)).unwrap();
    fs::remove_file(dir.join(COPY)).unwrap();
    fs::write(dir.join(FILE), &bytes[..bytes.len() - 512]).unwrap();
    let (_store, loaded) = Store::open(dir).unwrap();
    assert_eq!(loaded.networks.len(), 2, "from the file itself");
}

#[tokio::test]
async fn what_could_not_be_written_is_written_when_it_can_be() {
    let folder = temporary();
    let dir = folder.path().join("state");
    fs::write(&dir, "no folder").unwrap();
    let (store, loaded) = Store::open(&dir).unwrap();
    store.commit(put_network("lan")).await.unwrap();
    store.commit(put_endpoint("web", "lan", 1)).await.unwrap();
    for n in 0..100 {
        // What comes and goes meanwhile leaves one entry until the disk is seen again.
        store.commit(put_endpoint("other", "lan", n)).await.unwrap();
        store.commit(Change::DeleteEndpoint(endpoint("other", "lan", n).id)).await.unwrap();
    }
    let health = store.health();
    let fault = health.fault.unwrap();
    assert!(
        fault.contains("cannot write the state in") && fault.contains("Not a directory"),
        "{fault}"
    );
    assert_eq!(health.waiting, 3);
    assert!(store.flush().await.is_err());
    fs::remove_file(&dir).unwrap();
    let until = Instant::now() + PATIENCE;
    while store.health().fault.is_some() {
        assert!(Instant::now() < until, "{:?}", store.health());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(store.health(), Health::default());
    drop(store);
    let until = Instant::now() + PATIENCE;
    let again = loop {
        match Store::open(&dir) {
            Ok((_, again)) => break again,
            Err(error) => assert!(Instant::now() < until, "{error}"),
        }
    };
    assert_eq!(again.instance, loaded.instance);
    assert_eq!(again.networks, [network("lan")]);
    assert_eq!(again.endpoints, [endpoint("web", "lan", 1)]);
}

#[tokio::test]
async fn a_file_that_is_damaged_under_a_running_daemon_is_written_anew() {
    let folder = temporary();
    let dir = folder.path().join("state");
    fs::write(&dir, "no folder").unwrap();
    let (store, _) = Store::open(&dir).unwrap();
    store.ask_when_lost(|| vec![put_network("lan"), put_endpoint("web", "lan", 1)]);
    store.commit(put_endpoint("web", "lan", 2)).await.unwrap();
    fs::remove_file(&dir).unwrap();
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join(FILE), "garbage").unwrap();
    store.flush().await.unwrap();
    assert_eq!(store.health().set_aside, set_aside(&dir).pop());
    assert_eq!(fs::read(&set_aside(&dir)[0]).unwrap(), b"garbage");
    drop(store);
    let until = Instant::now() + PATIENCE;
    let again = loop {
        match Store::open(&dir) {
            Ok((_, again)) => break again,
            Err(error) => assert!(Instant::now() < until, "{error}"),
        }
    };
    assert_eq!(
        (again.networks, again.endpoints),
        (vec![network("lan")], vec![endpoint("web", "lan", 2)])
    );
}
