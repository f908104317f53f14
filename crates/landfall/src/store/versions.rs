//! Stores that earlier versions have left, as they lie out there.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::tests::{end, endpoint as record, id, insert_raw, put_endpoint, temporary};
use super::*;
use crate::engine::options::Options;

/// Versions 1 and 2 of records, as they lie in stores out there. Never to be changed.
const VERSION_1: &str = include_str!("fixtures/v1.txt");

#[tokio::test]
async fn records_of_version_1() {
    let folder = temporary();
    for line in VERSION_1.lines() {
        let [table, key, value] = line.splitn(3, ' ').collect::<Vec<_>>().try_into().unwrap();
        let table = if table == "networks" { "networks" } else { "endpoints" };
        insert_raw(folder.path(), table, key, value.as_bytes());
    }
    let (_store, loaded) = Store::open(folder.path()).unwrap();
    assert!(loaded.unreadable_networks.is_empty() && loaded.unreadable_endpoints.is_empty());
    let [lan] = &loaded.networks[..] else { panic!("{loaded:?}") };
    let options = [("bridge", "br0"), ("skip_routes", "true")];
    let options = options.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    assert_eq!(lan.options, Options::parse(&options).unwrap(), "the defaults for the rest");
    let [new, web] = &loaded.endpoints[..] else { panic!("{loaded:?}") };
    assert_eq!((&new.phase, &new.lease), (&Phase::Creating, &None));
    assert_eq!(web.phase, Phase::Joined("/var/run/docker/netns/0123456789ab".into()));
    let lease = &web.lease.as_ref().unwrap().lease;
    assert_eq!(lease.address, std::net::Ipv4Addr::new(10, 77, 1, 66));
    assert_eq!(lease.gateway(), Some([10, 77, 0, 1].into()));
    assert_eq!((&web.name, web.confirmed), (&None, true));
}

/// A state folder as a daemon with records of version 3 has left it, `landfall.redb` packed. Never to be changed.
fn folder_of_version_3() -> tempfile::TempDir {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store/fixtures/v3");
    let folder = temporary();
    for file in [COPY, "landfall.secret"] {
        fs::copy(fixtures.join(file), folder.path().join(file)).unwrap();
    }
    let unpacked = Command::new("gzip").arg("-dc").arg(fixtures.join("landfall.redb.gz")).output();
    fs::write(folder.path().join(FILE), unpacked.unwrap().stdout).unwrap();
    folder
}

#[tokio::test]
async fn the_folder_of_version_3() {
    let folder = folder_of_version_3();
    for _ in 0..2 {
        let (store, loaded) = Store::open(folder.path()).unwrap();
        assert!(!loaded.salvaged && loaded.unreadable_networks.is_empty());
        assert!(loaded.unreadable_endpoints.is_empty());
        assert_eq!(loaded.instance, "57a6");
        let network = |name: &str| loaded.networks.iter().find(|n| n.id.as_str() == id(name));
        let options = |given: &[(&str, &str)]| {
            let given = [("bridge", "br0"), ("release_delay", "1h")].iter().chain(given);
            let text = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
            Options::parse(&given.map(text).collect()).unwrap()
        };
        assert_eq!(loaded.networks.len(), 2);
        let lan = options(&[("warm", "1"), ("ipv6", "auto")]);
        assert_eq!(network("lan").unwrap().options, lan);
        let dmz = [("vendor_class", "acme"), ("lease_timeout", "25s"), ("dhcp_guard", "true")];
        assert_eq!(network("dmz").unwrap().options, options(&dmz));

        let endpoint = |name: &str| loaded.endpoints.iter().find(|e| e.id.as_str() == id(name));
        let [web, named, db] = ["web", "named", "db"].map(|name| endpoint(name).unwrap());
        assert_eq!(loaded.endpoints.len(), 3);
        let of = |endpoint: &EndpointRecord| {
            let lease = &endpoint.lease.as_ref().unwrap().lease;
            let [address, server] = [lease.address, lease.server].map(|of| of.to_string());
            (endpoint.mac.to_string(), address, server, lease.lifetime().as_secs())
        };
        let lease =
            |mac: &str, address: &str| (mac.into(), address.into(), "10.77.0.1".into(), 3600);
        assert_eq!(of(web), lease("02:00:00:00:00:42", "10.77.3.121"));
        assert_eq!(of(named), lease("02:1b:46:94:f4:d0", "10.77.6.220"));
        assert_eq!(of(db), lease("02:00:00:00:00:43", "10.77.3.122"));
        assert_eq!(web.phase, Phase::Joined("/run/docker/netns/776562000000".into()));
        assert!(matches!(db.phase, Phase::Held(_)), "{:?}", db.phase);
        assert_eq!(named.options.identity.as_deref(), Some("printer"));
        assert_eq!(db.options.hostname.as_deref(), Some("db"));
        assert_eq!(db.options.client_id.as_deref(), Some("disk 7"));
        assert_eq!(web.told6, Some("2001:db8:77::1:e686/128".parse().unwrap()));
        let saved = &web.ipv6.as_ref().unwrap().saved;
        let global = saved.configuration.addresses.iter().map(|of| of.address.to_string());
        let addresses = ["2001:db8:77::ff:fe00:42", "2001:db8:77::1:e686"];
        assert_eq!(global.collect::<Vec<_>>(), addresses);

        let [mailer] = &loaded.names[..] else { panic!("{:?}", loaded.names) };
        assert_eq!((&*mailer.key, mailer.mac.0), ("br0/mailer", [2, 0, 0, 0, 0, 0x44]));
        let secret = fs::read(folder.path().join("landfall.secret")).unwrap();
        assert_eq!(Secret::in_folder(folder.path()).get()[..], secret);
        // What this version writes is there the next time, beside what was.
        store.commit(put_endpoint("new", "lan", 1)).await.unwrap();
        store.commit(Change::DeleteEndpoint(record("new", "lan", 1).id)).await.unwrap();
        end(store, folder.path());
    }
}
