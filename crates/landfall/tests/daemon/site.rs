//! A LAN with the daemon on it, and the calls of the plugin protocol.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use lab::{Answer, Lan, LanOptions, Landfall, Machine, Namespace, landfall_binary};
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition, TableError};
use serde_json::{Value, json};

use crate::container::Container;

/// How long anything may take that is not a matter of seconds by itself.
pub(crate) const SOON: Duration = Duration::from_secs(10);

/// A LAN, and the daemon on its Docker host.
pub(crate) struct Site {
    // The daemon goes before the network that it stands in.
    pub(crate) landfall: Landfall,
    pub(crate) lan: Lan,
}

/// An endpoint, as the engine knows it after CreateEndpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub(crate) network: String,
    pub(crate) id: String,
    pub(crate) mac: String,
    /// With its prefix length: `10.77.1.1/16`.
    pub(crate) address: String,
    /// The same for IPv6; empty: none.
    pub(crate) address6: String,
}

impl Site {
    /// On a LAN as it is by default; nobody serves DHCP there yet.
    pub(crate) fn new() -> Site {
        Site::on(Lan::new(LanOptions::default()).unwrap())
    }

    /// On a LAN that was made for the test.
    pub(crate) fn on(lan: Lan) -> Site {
        Site::with(lan, &landfall_binary().unwrap(), &[])
    }

    /// With a binary of the test's own, and further `NAME=value` of its environment.
    pub(crate) fn with(lan: Lan, binary: &Path, env: &[&str]) -> Site {
        let env = [&["LOG_LEVEL=debug"], env].concat();
        let landfall = Landfall::spawn_in(lan.host_ns(), binary, &[], &env).unwrap();
        Site { landfall, lan }
    }

    /// What the daemon runs in.
    pub(crate) fn machine(&self) -> &Machine {
        self.landfall.machine().unwrap()
    }

    /// The Docker host's network.
    pub(crate) fn host(&self) -> &Namespace {
        self.lan.host_ns()
    }

    /// Calls the daemon; whatever it answers.
    pub(crate) fn answer(&self, method: &str, body: &str) -> Answer {
        self.landfall.call(method, body).unwrap_or_else(|error| {
            panic!("{error}\nThe daemon's last lines:\n{}", self.landfall.log().tail(30))
        })
    }

    /// Calls a method of the network driver; `Err` is the daemon's refusal.
    pub(crate) fn call(&self, method: &str, argument: &Value) -> Result<Value, String> {
        let answer = self.answer(&format!("NetworkDriver.{method}"), &argument.to_string());
        let body: Value = serde_json::from_str(&answer.body)
            .unwrap_or_else(|error| panic!("{method} was answered {answer:?}: {error}"));
        match body.get("Err").and_then(Value::as_str) {
            Some(refusal) => Err(refusal.to_owned()),
            None => {
                assert_eq!(answer.status, 200, "{method}: {answer:?}");
                Ok(body)
            }
        }
    }

    /// As [`Self::call`], and it must succeed.
    pub(crate) fn ok(&self, method: &str, argument: &Value) -> Value {
        self.call(method, argument).unwrap_or_else(|refusal| {
            panic!(
                "{method} {argument}: {refusal}\nThe daemon's last lines:\n{}",
                self.landfall.log().tail(30)
            )
        })
    }

    /// Begins a call and leaves it at that: dropping the connection is hanging up.
    pub(crate) fn begin(&self, method: &str, argument: &Value) -> Pending {
        Pending::begin(self, &format!("NetworkDriver.{method}"), argument)
    }

    /// Makes a network on the LAN's bridge, or on that of the option `bridge`, or in another `mode`. Without the option
    /// `release_delay` leases are given back at once.
    pub(crate) fn network(&self, name: &str, options: &[(&str, &str)]) {
        self.ok("CreateNetwork", &self.network_argument(name, options));
    }

    /// The argument of CreateNetwork.
    pub(crate) fn network_argument(&self, name: &str, options: &[(&str, &str)]) -> Value {
        let mut generic: BTreeMap<&str, &str> = options.iter().copied().collect();
        if !generic.contains_key("mode") {
            generic.entry("bridge").or_insert(self.lan.bridge());
        }
        generic.entry("release_delay").or_insert("0");
        json!({
            "NetworkID": id(name),
            "Options": {
                "com.docker.network.enable_ipv6": false,
                "com.docker.network.generic": generic,
            },
            "IPv4Data": [{
                "AddressSpace": "null", "Pool": "0.0.0.0/0", "Gateway": "0.0.0.0/0",
                "AuxAddresses": null,
            }],
            "IPv6Data": [],
        })
    }

    /// DeleteNetwork.
    pub(crate) fn delete_network(&self, name: &str) {
        assert_eq!(self.ok("DeleteNetwork", &json!({ "NetworkID": id(name) })), json!({}));
    }

    /// CreateEndpoint; with an empty `mac` the daemon makes one.
    pub(crate) fn try_create(
        &self,
        network: &str,
        name: &str,
        mac: &str,
    ) -> Result<Endpoint, String> {
        self.try_create_asking(network, name, mac, &[])
    }

    /// The same with the user's driver options.
    pub(crate) fn try_create_asking(
        &self,
        network: &str,
        name: &str,
        mac: &str,
        options: &[(&str, &str)],
    ) -> Result<Endpoint, String> {
        let mut argument = endpoint_argument(network, name, mac);
        for (option, value) in options {
            argument["Options"][*option] = json!(value);
        }
        let answer = self.call("CreateEndpoint", &argument)?;
        let interface = &answer["Interface"];
        let wanted = interface.get("AddressIPv6").is_none_or(|address| address != "");
        assert!(wanted, "a field is left out where there is nothing: {answer}");
        let made = interface["MacAddress"].as_str().unwrap();
        // None at all where the link has its parent's.
        let changes = !mac.is_empty() && !made.is_empty();
        assert!(!changes, "engines take that for a change: {answer}");
        Ok(Endpoint {
            network: id(network),
            id: id(name),
            mac: format!("{mac}{made}"),
            address: interface["Address"].as_str().unwrap().to_owned(),
            address6: interface["AddressIPv6"].as_str().unwrap_or_default().to_owned(),
        })
    }

    /// As [`Self::try_create`], and it must succeed.
    pub(crate) fn create(&self, network: &str, name: &str, mac: &str) -> Endpoint {
        self.try_create(network, name, mac).unwrap_or_else(|refusal| {
            panic!("{refusal}\nThe daemon's last lines:\n{}", self.landfall.log().tail(30))
        })
    }

    /// A container that runs: CreateEndpoint, Join, and the link in its sandbox.
    pub(crate) fn run(&self, network: &str, name: &str, mac: &str) -> Container {
        let endpoint = self.create(network, name, mac);
        Container::start(self, endpoint)
    }

    /// What `landfall status --json` shows, from the socket where that asks.
    pub(crate) fn status(&self) -> Value {
        let (head, body) = get(self.landfall.admin_socket(), "/v1/status");
        assert!(head.starts_with("HTTP/1.1 200"), "{head}{body}");
        serde_json::from_str(&body).unwrap()
    }

    /// An endpoint as `landfall status` shows it; null if it does not.
    pub(crate) fn shown(&self, name: &str) -> Value {
        let status = self.status();
        let endpoints = status["endpoints"].as_array().unwrap().iter();
        endpoints.clone().find(|e| e["id"] == id(name)).cloned().unwrap_or(Value::Null)
    }

    /// How many leases `landfall status` counts under that name.
    pub(crate) fn leases(&self, counter: &str) -> u64 {
        let status = self.status();
        status["leases"][counter].as_u64().unwrap_or_else(|| panic!("{counter}: {status}"))
    }

    /// The names of the links in the Docker host's namespace, sorted.
    pub(crate) fn links(&self) -> Vec<String> {
        link_names(self.host())
    }

    /// The links in the Docker host's namespace that carry an endpoint.
    pub(crate) fn endpoint_links(&self) -> Vec<String> {
        let mut links = self.links();
        links.retain(|name| name.starts_with("lf-") || name.starts_with("lc-"));
        links
    }

    /// Boots: every link of Landfall's is gone, and the boot has another identifier. `clock`: whether there is one on a
    /// battery, so that the time of day can be trusted.
    pub(crate) fn boot(&mut self, clock: bool) {
        self.landfall.kill9().unwrap();
        for link in self.links().iter().filter(|name| name.starts_with("lf")) {
            // One end goes with the other.
            let _ = self.host().run(&["ip", "link", "delete", link]).unwrap();
        }
        let hctosys = u8::from(clock);
        let script = format!(
            "set -e; umount /run/netns/landfall-* || true; rm -f /run/netns/landfall-*\n\
             echo 00000000-1111-4222-8333-444444444444 > /run/boot_id\n\
             mount --bind /run/boot_id /proc/sys/kernel/random/boot_id\n\
             mount -t tmpfs none /sys/class; mkdir -p /sys/class/rtc/rtc0\n\
             echo {hctosys} > /sys/class/rtc/rtc0/hctosys"
        );
        self.machine().ok(&["sh", "-c", &script]).unwrap();
        self.landfall.restart().unwrap();
    }

    /// Stops the daemon and reads its state folder: the identifiers of the networks, and of the endpoints.
    pub(crate) fn stop_and_read_store(&mut self) -> (Vec<String>, Vec<String>) {
        assert!(self.landfall.stop().unwrap().success(), "{}", self.landfall.log().tail(30));
        let folder = tempfile::tempdir().unwrap();
        let copy = folder.path().join("landfall.redb");
        fs::copy(self.machine().path("/var/lib/landfall/landfall.redb"), &copy).unwrap();
        let database = Database::open(&copy).unwrap();
        let transaction = database.begin_read().unwrap();
        let keys = |table| -> Vec<String> {
            let table: TableDefinition<'_, &str, &[u8]> = TableDefinition::new(table);
            let table = match transaction.open_table(table) {
                Ok(table) => table,
                // Nothing was ever written.
                Err(TableError::TableDoesNotExist(_)) => return Vec::new(),
                Err(error) => panic!("{error}"),
            };
            table.iter().unwrap().map(|entry| entry.unwrap().0.value().to_owned()).collect()
        };
        (keys("networks"), keys("endpoints"))
    }
}

/// The head and the body of the answer to a GET.
pub(crate) fn get(socket: &Path, path: &str) -> (String, String) {
    exchange(UnixStream::connect(socket).unwrap(), path)
}

/// The same on any connection.
pub(crate) fn exchange(mut stream: impl Read + Write, path: &str) -> (String, String) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: landfall\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

/// A call that was begun.
pub(crate) struct Pending(UnixStream);

impl Pending {
    /// As [`Site::begin`], of the IPAM driver.
    pub(crate) fn ipam(site: &Site, method: &str, argument: &Value) -> Pending {
        Pending::begin(site, &format!("IpamDriver.{method}"), argument)
    }

    fn begin(site: &Site, path: &str, argument: &Value) -> Pending {
        let mut stream = UnixStream::connect(site.landfall.plugin_socket()).unwrap();
        let body = argument.to_string();
        let head = format!(
            "POST /{path} HTTP/1.1\r\nHost: plugin\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n",
            body.len()
        );
        stream.write_all((head + &body).as_bytes()).unwrap();
        Pending(stream)
    }

    /// The caller gives up.
    pub(crate) fn hang_up(self) {
        self.0.shutdown(Shutdown::Both).unwrap();
    }

    /// Waits for the answer: status line, headers and body.
    pub(crate) fn answer(mut self) -> String {
        self.0.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let mut answer = String::new();
        self.0.read_to_string(&mut answer).unwrap();
        answer
    }
}

/// Docker's identifier of what the tests call `name`: 64 hexadecimal digits, told apart by the first twelve.
pub(crate) fn id(name: &str) -> String {
    assert!((1..=6).contains(&name.len()), "{name}");
    let digits: String = name.bytes().map(|byte| format!("{byte:02x}")).collect();
    format!("{digits:0<64}")
}

/// The host's end of the link of the endpoint that the tests call `name`.
pub(crate) fn host_link(name: &str) -> String {
    format!("lf-{}", &id(name)[..12])
}

/// The argument of CreateEndpoint.
pub(crate) fn endpoint_argument(network: &str, name: &str, mac: &str) -> Value {
    json!({
        "NetworkID": id(network),
        "EndpointID": id(name),
        "Interface": { "Address": "", "AddressIPv6": "", "MacAddress": mac },
        "Options": {
            "com.docker.network.endpoint.exposedports": [],
            "com.docker.network.portmap": [],
        },
    })
}

/// The addresses of the leases that no container has yet.
fn in_stock(site: &Site) -> BTreeSet<String> {
    let status = site.status();
    let all = status["endpoints"].as_array().unwrap().iter().filter(|e| e["spare"] == json!(true));
    all.map(|endpoint| endpoint["address"].as_str().unwrap().to_owned()).collect()
}

/// The same once there are so many.
pub(crate) fn stocked(site: &Site, count: usize) -> BTreeSet<String> {
    eventually("leases in stock", SOON, || same(in_stock(site).len(), &count));
    in_stock(site)
}

/// The same by the first daemon, once they are on the disk as well: what is not is given back by the next one.
pub(crate) fn stocked_for_good(site: &Site, count: usize) -> BTreeSet<String> {
    let stock = stocked(site, count);
    eventually("they are recorded", SOON, || {
        same(site.landfall.log().grep("a lease taken in advance").len(), &count)
    });
    stock
}

/// The names of the links in a namespace, sorted.
pub(crate) fn link_names(ns: &Namespace) -> Vec<String> {
    let links = ip_json(ns, &["link", "show"]);
    let names = links.as_array().unwrap().iter().map(|l| l["ifname"].as_str().unwrap().to_owned());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

/// `ip -json -details ARGS…` in a namespace.
pub(crate) fn ip_json(ns: &Namespace, args: &[&str]) -> Value {
    let argv: Vec<&str> = ["ip", "-json", "-details"].iter().chain(args).copied().collect();
    let output = ns.ok(&argv).unwrap();
    if output.trim().is_empty() { json!([]) } else { serde_json::from_str(&output).unwrap() }
}

/// Does something for each at the same time.
pub(crate) fn at_once<T: Send, R: Send>(items: Vec<T>, work: impl Fn(T) -> R + Sync) -> Vec<R> {
    thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> =
            items.into_iter().map(|item| scope.spawn(move || work(item))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

/// Waits until `look` finds what it looks for; `seen` tells what there is instead.
pub(crate) fn eventually<T>(
    what: &str,
    patience: Duration,
    mut look: impl FnMut() -> Result<T, String>,
) -> T {
    let until = Instant::now() + patience;
    loop {
        match look() {
            Ok(found) => return found,
            Err(seen) if Instant::now() >= until => {
                panic!("{what}: not within {patience:?}; seen: {seen}")
            }
            // For what the kernel, the store or the daemon's status tells only when asked.
            Err(_) => thread::sleep(Duration::from_millis(10)),
        }
    }
}

/// Waits until the address that a DHCPv6 server has leased to the endpoint `name` is prolonged once more.
pub(crate) fn prolonged(site: &Site, name: &str) {
    let until = || {
        let shown = site.shown(name);
        let all = shown["ipv6"]["addresses"].as_array().cloned().unwrap_or_default();
        let leased = all.iter().find(|address| address["origin"] == "dhcp");
        leased.and_then(|leased| leased["preferred_until"].as_str().map(str::to_owned))
    };
    let before = eventually("a leased address", SOON, || until().ok_or("none".to_owned()));
    eventually("a renewal", 2 * SOON, || match until() {
        Some(until) if until > before => Ok(()),
        other => Err(format!("{other:?} after {before}")),
    });
}

/// `Ok` if both are the same, else what was seen: for [`eventually`].
pub(crate) fn same<T: PartialEq + std::fmt::Debug>(seen: T, wanted: &T) -> Result<T, String> {
    if seen == *wanted { Ok(seen) } else { Err(format!("{seen:?} and not {wanted:?}")) }
}
