//! Networks and endpoints: what should exist, in which order, and how it is undone.
//!
//! | file | its job |
//! |---|---|
//! | `api` | what a front door asks and gets |
//! | `options` | a network's options |
//! | `mode` | how its containers reach the segment |
//! | `endpoint_options` | a single endpoint's options |
//! | `identity` | what a network has its endpoints tell DHCP servers |
//! | `applied` | what a network's endpoints get of what servers say |
//! | `stable_mac` | the MAC that belongs to a name |
//! | `client` | what an endpoint's DHCP clients are told |
//! | `conflict` | may this bridge be used |
//! | `network` | make and forget networks |
//! | `asked` | who has the address or identifier that a new endpoint asks for |
//! | `pool` | the name of a segment's addresses |
//! | `pool_error` | why there are none |
//! | `ipam` | addresses that a runtime asks for before it makes endpoints |
//! | `enter` | who a new endpoint is |
//! | `create` | an endpoint with its link, and their undoing |
//! | `lease` | the lease of an endpoint that is being made |
//! | `changes` | what differs between two leases, in words |
//! | `child` | an endpoint's link where it is a macvlan child |
//! | `unfinished` | endpoints that were never made, or never joined |
//! | `join` | hand an endpoint over to a sandbox |
//! | `leave` | take it back, and nothing is left |
//! | `hold` | keep the lease of a container that may come back |
//! | `warm` | leases taken in advance |
//! | `reboot` | leases of an earlier boot |
//! | `worker` | what happens by itself: links that come up, leases that change |
//! | `backlog` | changes of IPv6 that wait to be told, one for each endpoint |
//! | `renewals` | prolong what leases were prolonged, many at a time |
//! | `bridges` | bridges that go and come back |
//! | `ipv6` | an endpoint's IPv6, beside its lease |
//! | `without_ipv4` | endpoints that have nothing else |
//! | `sandbox` | what Landfall changes inside a container |
//! | `mtu` | the MTU that a DHCP server names, on a container's interface |
//! | `dns` | what the LAN says of DNS, in containers |
//! | `resolv_conf` | the text of a container's `/etc/resolv.conf` |
//! | `guest` | who lives in a sandbox: host name and container |
//! | `recover` | go on where an earlier run stopped |
//! | `diagnose` | why there is no lease |
//! | `status` | what people see |
//! | `lease_details` | the same of one endpoint, with all that its servers said |
//! | `events` | telling whoever follows what happens |
//! | `counters` | how often what became of leases, and what was said of IPv6 |

pub(crate) mod api;
mod applied;
mod asked;
mod backlog;
mod bridges;
pub(crate) mod changes;
mod child;
mod client;
mod conflict;
pub(crate) mod counters;
mod create;
mod diagnose;
mod dns;
pub(crate) mod endpoint_options;
mod enter;
mod error;
pub(crate) mod events;
mod guest;
mod hold;
pub(crate) mod identity;
pub(crate) mod ids;
mod ipam;
mod ipv6;
mod join;
mod lease;
mod lease_details;
mod leave;
pub(crate) mod mode;
mod mtu;
mod names;
mod network;
mod obstacle;
pub(crate) mod options;
pub(crate) mod pool;
pub(crate) mod pool_error;
mod reboot;
mod recover;
mod renewals;
mod resolv_conf;
mod sandbox;
mod sandbox_ipv6;
mod stable_mac;
mod status;
mod unfinished;
pub(crate) mod vlan;
mod warm;
mod without_ipv4;
mod worker;

use std::collections::{HashMap, HashSet};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dhcp::Classes;
use ipnet::{Ipv4Net, Ipv6Net};
use net::Netlink;
use nix::unistd::Pid;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio_util::task::TaskTracker;
use wire::MacAddr;

use api::Pool;
use bridges::Bridges;
pub(crate) use error::Error;

use crate::segments::{Access, Live, Segment, Segments};
use crate::store::{
    Audit, Change, EndpointRecord, NameRecord, NetworkRecord, Phase, Secret, Store, StoredIpv6,
    StoredLease, Unreadable,
};
use endpoint_options::EndpointOptions;
use ids::{EndpointId, NetworkId};
use mode::Mode;
use options::Options;
use sandbox::{Configured, Inside};
use worker::LinkNews;

/// How long the end of the process waits for what is being undone. A RELEASE whose way to the
/// server must be asked for takes three seconds; Docker kills a plugin after ten.
const FINISHING: Duration = Duration::from_secs(5);

/// The one place that decides. Cheap to clone: every front door holds one.
#[derive(Clone)]
pub(crate) struct Engine(Arc<Inner>);

struct Inner {
    store: Store,
    segments: Segments,
    /// The host's links.
    host: Netlink,
    instance: String,
    boot_id: Box<str>,
    /// What most networks' clients have.
    classes: Arc<Classes>,
    secret: Secret,
    started: Duration,
    news: mpsc::UnboundedSender<LinkNews>,
    events: events::Events,
    audit: Audit,
    /// What is done to its end, whatever becomes of its caller; the process waits for it.
    unfinished: TaskTracker,
    /// Held by who writes what a container knows of DNS.
    dns: tokio::sync::Mutex<()>,
    /// Whenever an endpoint has been removed.
    removed: Notify,
    /// Whenever a network has been made or forgotten.
    turn_over: Notify,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    networks: HashMap<NetworkId, Arc<NetworkRecord>>,
    /// Those that are being made or forgotten.
    changing: HashSet<NetworkId>,
    /// Boxed, as the table has room for more than are in it.
    endpoints: HashMap<EndpointId, Box<Endpoint>>,
    /// Endpoints by the index of what the host has of their link.
    by_link: HashMap<u32, EndpointId>,
    bridges: Bridges,
    /// What the runtime has asked for to make a network, each time.
    pools: Vec<Pool>,
    /// The bridges and parents whose servers are asked for that just now.
    asking: Vec<String>,
    counters: api::Counters,
    /// Who keeps leases in stock, by the network.
    stocks: HashMap<NetworkId, warm::Stock>,
    /// Names that have a MAC out of a stock, by their keys.
    names: HashMap<Box<str>, NameRecord>,
    /// What the store has records of that cannot be read. They are left alone.
    unreadable_networks: HashMap<NetworkId, Unreadable>,
    unreadable_endpoints: HashMap<EndpointId, Unreadable>,
}

/// An endpoint, as far as its lease does not tell: that is its DHCP client's, in the segment.
struct Endpoint {
    network: Arc<NetworkRecord>,
    phase: Phase,
    mac: MacAddr,
    options: EndpointOptions,
    segment: Option<Arc<Segment>>,
    /// The index of the host's end of its link, or of the child before it has moved; 0 until it is made.
    host_link: u32,
    /// What Docker was told of the address and the router, and goes on to show.
    told: Option<Ipv4Net>,
    told6: Option<Ipv6Net>,
    told_gateway: Option<Ipv4Addr>,
    /// Whether Docker has chosen it for its container's default route.
    way_out: bool,
    /// Whether its interface is up in a sandbox: the host's end has a carrier then.
    carrier: bool,
    /// The interface in the sandbox, once it was seen there: its index and its name.
    interface: Option<(u32, Box<str>)>,
    host_name: Option<Box<str>>,
    /// Docker's identifier of its container, and the container's name.
    container: Option<Box<str>>,
    name: Option<Box<str>>,
    /// Whether these were seen in the sandbox: before, the container is only the one that can be
    /// meant.
    confirmed: bool,
    /// A process of that container.
    guest: Option<Pid>,
    /// Whether it has gone on with the lease of an earlier endpoint.
    claimed: bool,
    /// Whether it is told that it was made, so that its end is to be told too.
    made: bool,
    /// Whether it was made in advance, for a container that is yet to come.
    spare: bool,
    /// Whether an earlier run of the daemon made it.
    recovered: bool,
    /// Whether an earlier run did not finish it: it is only there until its lease is given back.
    unfinished: bool,
    /// The lease of an earlier boot, as long as its container is waited for.
    remembered: Option<Box<StoredLease>>,
    /// Its IPv6 of an earlier boot, or of a time with a bridge.
    remembered6: Option<Box<StoredIpv6>>,
    /// The address that its name had from a DHCPv6 server, which it would like to have again.
    had6: Option<Ipv6Addr>,
    /// Resolves when its link is made, or is not made after all.
    making: Option<oneshot::Receiver<()>>,
    /// What its interface lost together with its last lease, until the next one.
    withdrawn: Option<Box<Configured>>,
    /// What happens later by itself: who lives in the sandbox is found out, or the lease has been
    /// held for long enough.
    pending: Option<AbortHandle>,
    /// Resolves when the RELEASE is out.
    released: Option<oneshot::Receiver<()>>,
}

impl Engine {
    /// Opens the state in `dir` and goes on with all that an earlier run left.
    pub(crate) async fn open(dir: &Path) -> Result<Engine, Error> {
        let (store, loaded) = Store::open(dir)?;
        let host = Netlink::here()?;
        let (lease_events, leases) = mpsc::unbounded_channel();
        let (ipv6_events, ipv6) = mpsc::unbounded_channel();
        let segments = Segments::new(host.clone(), &loaded.instance, lease_events, ipv6_events)?;
        let (news, queue) = mpsc::unbounded_channel();
        let engine = Engine(Arc::new(Inner {
            store,
            segments,
            host,
            instance: loaded.instance.clone(),
            boot_id: net::boot_id()?.into(),
            classes: Arc::new(Classes { vendor: identity::VENDOR_CLASS.into(), user: "".into() }),
            secret: Secret::in_folder(dir),
            started: net::boot_now(),
            news,
            events: events::Events::default(),
            audit: Audit::in_folder(dir),
            unfinished: TaskTracker::new(),
            dns: tokio::sync::Mutex::default(),
            removed: Notify::new(),
            turn_over: Notify::new(),
            state: Mutex::default(),
        }));
        // Before the links are read, so that nothing can happen unseen in between.
        let watch = net::LinkWatch::here()?;
        engine.recover(loaded).await?;
        let inner = Arc::downgrade(&engine.0);
        engine.0.store.ask_when_lost(move || {
            inner.upgrade().map_or_else(Vec::new, |inner| Engine(inner).everything())
        });
        tokio::spawn(worker::watch_links(engine.clone(), watch));
        tokio::spawn(worker::watch_wakings(engine.clone(), net::Wakings::new()?));
        tokio::spawn(worker::work(engine.clone(), queue, leases, ipv6));
        Ok(engine)
    }

    /// Waits until what was begun to be undone is undone, and everything is on the disk. Links and
    /// leases stay: containers run on.
    pub(crate) async fn shutdown(&self) {
        self.0.unfinished.close();
        if tokio::time::timeout(FINISHING, self.0.unfinished.wait()).await.is_err() {
            tracing::warn!("something is half undone: the next start goes on with it");
        }
        self.0.audit.flush().await;
        if let Err(error) = self.0.store.flush().await {
            tracing::error!(%error, "the last changes are not on the disk");
        }
    }

    /// Does work in a task of its own, which goes on when the caller hangs up: what is half
    /// removed is remembered by nobody who could ask again.
    async fn to_its_end<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> T {
        match self.0.unfinished.spawn(work).await {
            Ok(done) => done,
            Err(failed) => match failed.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // Tasks are cancelled only when the runtime ends, and this one with them.
                Err(_) => std::future::pending().await,
            },
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn network(&self, id: &NetworkId) -> Result<Arc<NetworkRecord>, Error> {
        let state = self.lock();
        if let Some(network) = state.networks.get(id) {
            return Ok(network.clone());
        }
        Err(match state.unreadable_networks.get(id) {
            Some(why) => Error::UnreadableNetwork { network: id.clone(), why: why.clone() },
            None => Error::UnknownNetwork(id.clone()),
        })
    }

    /// Everything that the store should have.
    fn everything(&self) -> Vec<Change> {
        let (networks, endpoints, names) = {
            let state = self.lock();
            let networks: Vec<Arc<NetworkRecord>> = state.networks.values().cloned().collect();
            let endpoints: Vec<EndpointId> = state.endpoints.keys().cloned().collect();
            (networks, endpoints, state.names.values().cloned().collect::<Vec<NameRecord>>())
        };
        let networks = networks.iter().map(|n| Change::PutNetwork(Box::new((**n).clone())));
        let endpoints = endpoints.iter().filter_map(|id| self.record(id));
        let endpoints = endpoints.map(|e| Change::PutEndpoint(Box::new(e)));
        let names = names.into_iter().map(|name| Change::PutName(Box::new(name)));
        networks.chain(endpoints).chain(names).collect()
    }

    /// The endpoint's record as it stands, for the store.
    fn record(&self, id: &EndpointId) -> Option<EndpointRecord> {
        let state = self.lock();
        let endpoint = state.endpoints.get(id)?;
        Some(EndpointRecord {
            id: id.clone(),
            network: endpoint.network.id.clone(),
            phase: endpoint.phase.clone(),
            mac: endpoint.mac,
            options: endpoint.options.clone(),
            told: endpoint.told,
            told_gateway: endpoint.told_gateway,
            lease: match (endpoint.lease(), &endpoint.remembered) {
                (Some(lease), _) => Some(self.stored(lease)),
                (None, remembered) => remembered.as_deref().cloned(),
            },
            host_name: endpoint.host_name.clone(),
            container: endpoint.container.clone(),
            name: endpoint.name.clone(),
            confirmed: endpoint.confirmed,
            claimed: endpoint.claimed,
            spare: endpoint.spare,
            told6: endpoint.told6,
            way_out: endpoint.way_out,
            ipv6: self.ipv6_to_store(endpoint),
        })
    }

    fn stored(&self, lease: dhcp::v4::Lease) -> StoredLease {
        StoredLease {
            obtained: status::wall_clock(lease.start),
            boot_id: self.0.boot_id.clone(),
            lease,
        }
    }

    /// Makes a lease durable that an endpoint was granted, as if it were in use already.
    async fn keep_granted(&self, id: &EndpointId, lease: &dhcp::v4::Lease) -> Result<(), Error> {
        let Some(mut record) = self.record(id) else { return Ok(()) };
        record.phase = Phase::Created;
        record.told = Some(with_prefix(lease));
        record.lease = Some(self.stored(lease.clone()));
        Ok(self.0.store.commit(Change::PutEndpoint(Box::new(record))).await?)
    }

    /// Makes what is known of an endpoint durable.
    async fn keep(&self, id: &EndpointId) -> Result<(), Error> {
        match self.record(id) {
            Some(record) => Ok(self.0.store.commit(Change::PutEndpoint(Box::new(record))).await?),
            None => Ok(()),
        }
    }

    /// The same, without waiting for the disk.
    fn keep_later(&self, id: &EndpointId) {
        if let Some(record) = self.record(id) {
            self.0.store.commit_later(Change::PutEndpoint(Box::new(record)));
        }
    }
}

impl Endpoint {
    fn new(network: Arc<NetworkRecord>, phase: Phase, mac: MacAddr) -> Endpoint {
        Endpoint {
            network,
            phase,
            mac,
            options: EndpointOptions::default(),
            segment: None,
            host_link: 0,
            told: None,
            told6: None,
            told_gateway: None,
            way_out: false,
            carrier: false,
            interface: None,
            host_name: None,
            container: None,
            name: None,
            confirmed: false,
            guest: None,
            claimed: false,
            made: false,
            spare: false,
            recovered: false,
            unfinished: false,
            remembered: None,
            remembered6: None,
            had6: None,
            making: None,
            withdrawn: None,
            pending: None,
            released: None,
        }
    }

    /// Its link, once that is up in a sandbox.
    fn live(&self) -> Live {
        if self.is_child() { Live::Child } else { Live::Veth(self.host_link) }
    }

    /// By what its interface is known in a sandbox.
    fn inside(&self, id: &EndpointId) -> Inside {
        match self.is_child() {
            false => Inside::PeerOf(self.host_link),
            true => Inside::child(id),
        }
    }

    fn is_child(&self) -> bool {
        self.network.options.mode != Mode::Bridge
    }

    fn lease(&self) -> Option<dhcp::v4::Lease> {
        self.segment.as_ref()?.view(self.mac)?.lease
    }
}

impl Options {
    /// What kind of link the segment is reached by.
    pub(crate) fn access(&self) -> Access {
        match self.mode {
            Mode::Bridge => Access::Bridge(self.vlan),
            mode if mode.has_parents_mac() => Access::ParentAlone,
            Mode::Macvlan(_) | Mode::Ipvlan => Access::Parent,
        }
    }

    /// Whether another network is on the same segment.
    pub(crate) fn shares_segment(&self, other: &Options) -> bool {
        self.interface == other.interface && self.access() == other.access()
    }
}

/// The link of an endpoint by which the host removes it: one end of a veth goes with the other.
fn own_link(mode: Mode, id: &EndpointId) -> String {
    match mode {
        Mode::Bridge => host_link(id),
        Mode::Macvlan(_) | Mode::Ipvlan => container_link(id),
    }
}

/// The host's end of an endpoint's veth.
fn host_link(id: &EndpointId) -> String {
    format!("lf-{}", id.short())
}

/// The container's end, or the child, while it is in the host's namespace.
fn container_link(id: &EndpointId) -> String {
    format!("lc-{}", id.short())
}

/// An address with the length of its subnet's prefix.
fn with_prefix(lease: &dhcp::v4::Lease) -> Ipv4Net {
    // A lease's prefix length was checked when it was made; 32 bits always are a valid one.
    Ipv4Net::new(lease.address, lease.prefix_len).unwrap_or_else(|_| lease.address.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_on_one_segment() {
        let of = |options: &[(&str, &str)]| {
            let options = options.iter().map(|(name, value)| (name.to_string(), value.to_string()));
            Options::parse(&options.collect()).unwrap()
        };
        let plain = of(&[("bridge", "br0")]);
        assert!(plain.shares_segment(&of(&[("bridge", "br0"), ("ipv6", "auto")])));
        assert!(!plain.shares_segment(&of(&[("bridge", "br0"), ("vlan", "1")])));
        assert!(!plain.shares_segment(&of(&[("bridge", "br1")])));
        let parent = of(&[("mode", "macvlan"), ("parent", "eth0"), ("vlan", "30")]);
        let same = of(&[("mode", "macvlan"), ("parent", "eth0.30"), ("macvlan_mode", "vepa")]);
        assert!(parent.shares_segment(&same));
    }
}
