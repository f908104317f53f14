//! Files as the engines 20.10 and 28.5 wrote them, cut down to what is read.

use std::os::unix::fs::symlink;
use std::path::PathBuf;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::docker::containers::Containers;

const NETWORK: &str = "aafbec79164291d68b8ee1ddcffb1b1c204e199111ca31b40567bb95827110b6";

/// A host with an engine's data folder.
struct Host(TempDir);

impl Host {
    fn new() -> Host {
        let host = Host(tempfile::tempdir().unwrap());
        fs::create_dir_all(host.data().join("containers")).unwrap();
        host
    }

    fn data(&self) -> PathBuf {
        self.0.path().join("var/lib/docker")
    }

    fn write(&self, id: &str, config: &Value, host_config: &Value) {
        let folder = self.data().join("containers").join(id);
        fs::create_dir_all(&folder).unwrap();
        // As the engine does it: a new file under the old name.
        for (name, value) in [(CONFIG, config), (HOST_CONFIG, host_config)] {
            fs::write(folder.join("new"), value.to_string()).unwrap();
            fs::rename(folder.join("new"), folder.join(name)).unwrap();
        }
    }

    /// Mounts the root file system of a container: what counts is that another device is there.
    fn mount(&self, id: &str) {
        let layers = self.data().join("image/overlay2/layerdb/mounts").join(id);
        fs::create_dir_all(&layers).unwrap();
        fs::write(layers.join("mount-id"), format!("layer-{id}")).unwrap();
        let layer = self.data().join("overlay2").join(format!("layer-{id}"));
        fs::create_dir_all(&layer).unwrap();
        symlink("/proc", layer.join("merged")).unwrap();
    }

    /// The names of those that are being started.
    async fn starting(&self, fingerprint: &Value) -> Vec<String> {
        let containers = Containers::under(vec![self.0.path().to_owned()]);
        starting(&containers, fingerprint).await
    }
}

async fn starting(containers: &Containers, fingerprint: &Value) -> Vec<String> {
    let fingerprint = Fingerprint::of(fingerprint.as_object().unwrap());
    let network = NetworkId::new(NETWORK).unwrap();
    let found = containers.starting(&network, fingerprint).await;
    let mut names: Vec<String> = found.iter().map(|container| container.name.to_string()).collect();
    names.sort();
    names
}

fn config(name: &str, running: bool, networks: &Value) -> Value {
    json!({
        "StreamConfig": {},
        "State": {"Running": running, "Paused": false, "Restarting": false, "Pid": 0},
        "ID": name,
        "Config": {"Hostname": format!("{name}-host"), "Labels": {}},
        "NetworkSettings": {"Networks": networks, "Ports": null},
        "Name": format!("/{name}"),
        "Driver": "overlay2",
    })
}

fn on_lan() -> Value {
    json!({"lan": {"IPAMConfig": null, "NetworkID": NETWORK, "EndpointID": "", "DriverOpts": null}})
}

fn host_config() -> Value {
    json!({"NetworkMode": "lan", "PortBindings": {}, "Dns": [], "UTSMode": ""})
}

#[tokio::test]
async fn a_container_whose_root_is_mounted_and_that_does_not_run_is_being_started() {
    let host = Host::new();
    for (name, running, mounted) in
        [("up", true, true), ("down", false, false), ("web", false, true)]
    {
        host.write(name, &config(name, running, &on_lan()), &host_config());
        if mounted {
            host.mount(name);
        }
    }
    let containers = Containers::under(vec![host.0.path().join("nothing"), host.0.path().into()]);
    let network = NetworkId::new(NETWORK).unwrap();
    let found = containers.starting(&network, Fingerprint::default()).await;
    let web = Container {
        id: "web".into(),
        others: Arc::new(["up", "down", "web"].map(Into::into).into()),
        name: "web".into(),
        host_name: Some("web-host".into()),
        mac: None,
        address: None,
        options: BTreeMap::new(),
    };
    assert_eq!(found, [web]);
}

/// When an address is asked for, nothing else tells for whom.
#[tokio::test]
async fn an_address_is_for_who_wants_it() {
    let host = Host::new();
    let wants = |address: &str| {
        let mut lan = on_lan();
        lan["lan"]["IPAMConfig"] = json!({"IPv4Address": address});
        // Engine 26, and with an option of the engine's own.
        lan["lan"]["DesiredMacAddress"] = json!("02:00:00:00:00:42");
        lan["lan"]["DriverOpts"] =
            json!({"identity": "web", "com.docker.network.endpoint.ifname": "lan0"});
        config("web", false, &lan)
    };
    host.write("web", &wants("10.77.5.60"), &host_config());
    // Engine 20.10.
    let mut other = config("other", false, &on_lan());
    other["Config"]["MacAddress"] = json!("02:00:00:00:00:43");
    host.write("other", &other, &host_config());
    let containers = Containers::under(vec![host.0.path().into()]);
    let network = NetworkId::new(NETWORK).unwrap();
    let asking = async |name: Option<&str>, address: Option<&str>| {
        let address = address.map(|address| address.parse().unwrap());
        let name = name.map(Into::into);
        let found = containers.asking(vec![network.clone()], name, address).await;
        let [(of, found)] = found.try_into().unwrap();
        assert_eq!(of, network);
        found
    };
    assert_eq!(asking(None, Some("10.77.5.60")).await, [], "it is not being started");
    host.mount("web");
    host.mount("other");
    let web = &asking(None, Some("10.77.5.60")).await[..];
    let [Container { name, mac, options, .. }] = web else { panic!("{web:?}") };
    assert_eq!((&**name, *mac), ("web", Some(MacAddr([2, 0, 0, 0, 0, 0x42]))));
    assert_eq!(*options, BTreeMap::from([("identity".to_owned(), "web".to_owned())]));
    let other = &asking(None, None).await[..];
    let [Container { name, mac, .. }] = other else { panic!("{other:?}") };
    assert_eq!((&**name, *mac), ("other", Some(MacAddr([2, 0, 0, 0, 0, 0x43]))));
    assert_eq!(asking(None, Some("10.77.5.61")).await, []);
    assert_eq!(asking(Some("web"), None).await, [], "it wants another");
    assert_eq!(asking(Some("other"), None).await.len(), 1);
}

#[tokio::test]
async fn one_that_waits_for_its_restart_counts_as_running_for_the_engine_and_not_here() {
    let host = Host::new();
    let mut config = config("web", true, &on_lan());
    config["State"]["Restarting"] = json!(true);
    host.write("web", &config, &host_config());
    host.mount("web");
    assert_eq!(host.starting(&json!({})).await, ["web"]);
}

#[tokio::test]
async fn a_container_names_its_network_by_identifier_or_as_its_user_did() {
    let never_started = |called: &str| json!({called: {"NetworkID": ""}});
    for (networks, known, found) in [
        (on_lan(), true, true),
        (never_started("lan"), true, true),
        // Nobody tells what the network is called: it may be this one.
        (never_started("lan"), false, true),
        (never_started("other"), true, false),
        (never_started("aafbec79164"), true, true),
        // Removed and made again under its name.
        (json!({"lan": {"NetworkID": "0123"}}), true, true),
        (json!({"bridge": {"NetworkID": "0123"}}), true, false),
        (json!({}), true, false),
        (json!(null), true, false),
    ] {
        let host = Host::new();
        host.write("web", &config("web", false, &networks), &host_config());
        host.mount("web");
        if known {
            host.write("other", &config("other", true, &on_lan()), &host_config());
        }
        let expected: &[&str] = if found { &["web"] } else { &[] };
        assert_eq!(host.starting(&json!({})).await, expected, "{networks} {known}");
    }
}

#[tokio::test]
async fn ports_and_dns_servers_tell_containers_apart() {
    let host = Host::new();
    let mut exposing = config("exposing", false, &on_lan());
    exposing["Config"]["ExposedPorts"] = json!({"80/tcp": {}});
    host.write("exposing", &exposing, &host_config());
    let mut publishing = host_config();
    publishing["PortBindings"] = json!({"80/tcp": [{"HostIp": "", "HostPort": "8080"}]});
    host.write("publishing", &exposing, &publishing);
    let mut all = host_config();
    all["PublishAllPorts"] = json!(true);
    host.write("all", &exposing, &all);
    let mut resolving = host_config();
    resolving["Dns"] = json!(["192.0.2.53"]);
    host.write("resolving", &config("resolving", false, &on_lan()), &resolving);
    let mut ranged = host_config();
    ranged["PortBindings"] = json!({"80/tcp": [{"HostPort": "8000-8010"}]});
    host.write("ranged", &exposing, &ranged);
    let ids = ["exposing", "publishing", "all", "resolving", "ranged"];
    ids.iter().for_each(|id| host.mount(id));
    for id in ids {
        // Named as their folders are.
        let file = host.data().join("containers").join(id).join(CONFIG);
        let mut config: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        config["Name"] = json!(format!("/{id}"));
        config["ID"] = json!(id);
        fs::write(file, config.to_string()).unwrap();
    }

    let exposed = json!([{"Proto": 6, "Port": 80}]);
    let exposed = |port_map: Value, dns: Value| {
        json!({
            "com.docker.network.endpoint.exposedports": exposed,
            "com.docker.network.portmap": port_map,
            "com.docker.network.endpoint.dnsservers": dns,
        })
    };
    let published = |host: u16| json!([{"Proto": 6, "Port": 80, "HostPort": host}]);
    assert_eq!(
        host.starting(&exposed(json!([]), json!([]))).await,
        ["all", "exposing", "ranged"],
        "what cannot be compared stays possible"
    );
    let found = host.starting(&exposed(published(8080), json!([]))).await;
    assert_eq!(found, ["all", "publishing", "ranged"]);
    assert_eq!(host.starting(&exposed(published(8081), json!([]))).await, ["all", "ranged"]);
    let dns = json!({"com.docker.network.endpoint.dnsservers": ["192.0.2.53"]});
    assert_eq!(host.starting(&dns).await, ["resolving"]);
    assert!(host.starting(&json!({})).await.is_empty());
}

#[tokio::test]
async fn what_has_changed_is_read_again_and_what_is_gone_forgotten() {
    let host = Host::new();
    let containers = Containers::under(vec![host.0.path().into()]);
    assert!(starting(&containers, &json!({})).await.is_empty());
    host.write("web", &config("web", false, &on_lan()), &host_config());
    host.mount("web");
    assert_eq!(starting(&containers, &json!({})).await, ["web"]);
    host.write("web", &config("web", true, &on_lan()), &host_config());
    assert!(starting(&containers, &json!({})).await.is_empty());
    host.write("web", &config("web", false, &on_lan()), &host_config());
    assert_eq!(starting(&containers, &json!({})).await, ["web"]);
    fs::remove_dir_all(host.data().join("containers/web")).unwrap();
    assert!(starting(&containers, &json!({})).await.is_empty());
}

#[tokio::test]
async fn what_cannot_be_read_is_passed_over() {
    let host = Host::new();
    host.write("web", &config("web", false, &on_lan()), &host_config());
    host.mount("web");
    host.write("odd", &json!({"State": 3}), &host_config());
    let folder = host.data().join("containers");
    fs::write(folder.join("file"), "").unwrap();
    fs::create_dir(folder.join("empty")).unwrap();
    fs::create_dir_all(folder.join("folder").join(CONFIG)).unwrap();
    assert_eq!(host.starting(&json!({})).await, ["web"]);
}

#[tokio::test]
async fn a_container_with_the_host_s_name_has_none_of_its_own() {
    let host = Host::new();
    let mut host_config = host_config();
    host_config["UTSMode"] = json!("host");
    host.write("web", &config("web", false, &on_lan()), &host_config);
    host.mount("web");
    let containers = Containers::under(vec![host.0.path().into()]);
    let network = NetworkId::new(NETWORK).unwrap();
    let [container] =
        containers.starting(&network, Fingerprint::default()).await.try_into().unwrap();
    assert_eq!(container.host_name, None);
}
