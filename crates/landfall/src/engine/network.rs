//! Making and forgetting networks.

use std::sync::Arc;

use dhcp::v4::Config;
use tokio_util::sync::CancellationToken;

use super::api::NewNetwork;
use super::conflict;
use super::create::random_mac;
use super::events::Kind;
use super::ids::{EndpointId, NetworkId};
use super::mode::{self, Mode};
use super::options::{self, Options};
use super::{Engine, Error};
use crate::fault::point;
use crate::segments::{Access, AcquireError, Segment};
use crate::store::{Change, NetworkRecord};

/// While it lives, nobody else makes or forgets that network.
struct Turn {
    engine: Engine,
    id: NetworkId,
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.engine.lock().changing.remove(&self.id);
        self.engine.0.turn_over.notify_waiters();
    }
}

impl Engine {
    /// Makes a network: checks its options and its bridge, and keeps it for ever, since an engine
    /// tells of a network only once. When it fails, or its future is dropped because the caller
    /// hung up, nothing is left.
    pub(crate) async fn create_network(&self, new: NewNetwork) -> Result<(), Error> {
        if !net::process::in_initial_user_namespace() {
            return Err(Error::Rootless("Landfall itself runs in a user namespace".into()));
        }
        if !new.addresses_from_lan {
            return Err(Error::WrongIpam { uplink: mode::uplink(&new.options) });
        }
        let mut given = new.options;
        // What the runtime's own switches say, where no option says it.
        for (name, wanted) in [(options::name::IPV4, new.ipv4), (options::name::IPV6, new.ipv6)] {
            given.entry(name.to_owned()).or_insert_with(|| wanted.to_string());
        }
        let options = Options::parse(&given)?;
        if let Some(subnet) = new.pool {
            self.check_pool(&options, subnet)?;
        }
        let (internal, pool) = (new.internal, new.pool);
        let record = NetworkRecord { id: new.id, options, internal, pool, apart: false };
        let (id, interface) = (record.id.clone(), record.options.interface.clone());
        self.network_made(record).await.map_err(|error| error.of_network(&id, &interface))
    }

    async fn network_made(&self, record: NetworkRecord) -> Result<(), Error> {
        let turn = self.turn(&record.id).await;
        if let Some(known) = self.lock().networks.get(&record.id) {
            return if **known == record { Ok(()) } else { Err(Error::NetworkExists(record.id)) };
        }
        if let Some(why) = self.lock().unreadable_networks.get(&record.id) {
            return Err(Error::UnreadableNetwork { network: record.id, why: why.clone() });
        }
        let options = &record.options;
        let bridge = self.0.segments.look_for(&options.interface, options.access()).await?;
        if let Some(bridge) = bridge.filter(|_| !options.ignore_conflicts) {
            let links = self.0.host.links().await?;
            let addresses = self.0.host.addresses(None).await?;
            conflict::check(&bridge, &links, &addresses)?;
        }
        let (engine, record) = (self.clone(), Arc::new(record));
        let hung_up = CancellationToken::new();
        // Cancelled when this future is dropped.
        let _caller = hung_up.clone().drop_guard();
        // A port that is made halfway can only be removed when it is made.
        self.to_its_end(async move {
            let _turn = turn;
            engine.lock().networks.insert(record.id.clone(), record.clone());
            point("network: known");
            let made = engine.make_network(&record, &hung_up).await;
            if made.is_err() || hung_up.is_cancelled() {
                engine.forget_network(&record.id).await?;
                if made.is_ok() {
                    // That it was made is told already.
                    engine.happened_on(&record, Kind::NetworkRemoved, |_| {});
                }
            }
            made
        })
        .await
    }

    async fn make_network(
        &self,
        record: &Arc<NetworkRecord>,
        hung_up: &CancellationToken,
    ) -> Result<(), Error> {
        self.0.store.commit(Change::PutNetwork(Box::new((**record).clone()))).await?;
        point("network: recorded");
        // The port is made now: with spanning tree it needs half a minute before its first use.
        let Options { interface, .. } = &record.options;
        let (segment, link) = self.0.segments.get(interface, record.options.access()).await?;
        point("network: port made");
        if record.options.mode == Mode::Ipvlan {
            // Else it would show at the first start.
            self.0.segments.admits_ipvlan(&link).await?;
        }
        let links = self.0.host.links().await?;
        self.lock().look_at_bridges(&links).into_iter().for_each(|news| self.tell(news));
        if record.options.validate_dhcp {
            tokio::select! {
                valid = self.validate(record, &segment) => valid?,
                // Nobody waits for it any more.
                () = hung_up.cancelled() => {}
            }
        }
        self.stock_up(record);
        tracing::info!(network = %record.id, interface, "network made");
        self.happened_on(record, Kind::NetworkMade, |_| {});
        Ok(())
    }

    /// Fails unless a DHCP server offers an address on the network's segment. None is taken.
    async fn validate(&self, record: &NetworkRecord, segment: &Segment) -> Result<(), Error> {
        let (mac, patience) = (random_mac()?, record.options.lease_timeout);
        let config = Config { classes: self.classes(&record.options.identity), ..Config::new(mac) };
        match segment.ask_for_an_offer(&EndpointId::from(&record.id), config, patience).await {
            Ok(_) => Ok(()),
            Err(AcquireError::TimedOut(progress)) => {
                Err(self.no_lease(record, segment, None, mac, progress).await)
            }
            Err(AcquireError::Abandoned | AcquireError::MacInUse(_)) => {
                Err(Error::Abandoned(record.id.clone()))
            }
        }
    }

    /// Forgets a network, and removes the port when no other network uses its bridge. One that
    /// is not known is no error: the engine forgets it whatever we say.
    pub(crate) async fn delete_network(&self, id: &NetworkId) -> Result<(), Error> {
        let (engine, id) = (self.clone(), id.clone());
        self.to_its_end(async move {
            let _turn = engine.turn(&id).await;
            if let Some(network) = engine.forget_network(&id).await? {
                engine.happened_on(&network, Kind::NetworkRemoved, |_| {});
            }
            Ok(())
        })
        .await
    }

    /// A network is made or forgotten by one call at a time: who repeats a call, as engines do, sees how the first one
    /// ended.
    async fn turn(&self, id: &NetworkId) -> Turn {
        loop {
            let next = self.0.turn_over.notified();
            if self.lock().changing.insert(id.clone()) {
                return Turn { engine: self.clone(), id: id.clone() };
            }
            next.await;
        }
    }

    /// Removes the port when no network uses its segment, and none is about to.
    pub(super) async fn close_if_unused(&self, interface: &str, access: Access) {
        let unused = || {
            let state = self.lock();
            let is_here =
                |options: &Options| options.interface == interface && options.access() == access;
            !state.networks.values().any(|network| is_here(&network.options))
                && !state.pools.iter().any(|pool| pool.id.is_on(interface, access))
                && !state.asking.iter().any(|asked| asked == interface)
                && !state
                    .endpoints
                    .values()
                    .any(|endpoint| endpoint.network.apart && is_here(&endpoint.network.options))
        };
        if unused() {
            point("forget: port unused");
            self.0.segments.close(interface, access, unused).await;
            point("forget: port removed");
        }
    }

    /// The network, if it was known.
    async fn forget_network(&self, id: &NetworkId) -> Result<Option<Arc<NetworkRecord>>, Error> {
        let (network, unreadable) = {
            let mut state = self.lock();
            drop(state.stocks.remove(id));
            (state.networks.remove(id), state.unreadable_networks.remove(id))
        };
        let Some(network) = network else {
            if unreadable.is_some() {
                self.0.store.commit(Change::DeleteNetwork(id.clone())).await?;
                tracing::info!(network = %id, "network forgotten, whose record was unreadable");
            }
            return Ok(None);
        };
        point("forget: network known");
        self.end_all(id).await;
        self.0.store.commit(Change::DeleteNetwork(id.clone())).await?;
        point("forget: network recorded");
        let options = &network.options;
        self.close_if_unused(&options.interface, options.access()).await;
        tracing::info!(network = %id, interface = network.options.interface, "network forgotten");
        Ok(Some(network))
    }
}
