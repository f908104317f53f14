//! Making and forgetting networks.

use std::sync::Arc;

use super::api::NewNetwork;
use super::conflict;
use super::ids::NetworkId;
use super::options::{self, Options};
use super::{Engine, Error};
use crate::store::{Change, NetworkRecord};

impl Engine {
    /// Makes a network: checks its options and its bridge, and keeps it for ever, since an engine
    /// tells of a network only once.
    pub(crate) async fn create_network(&self, new: NewNetwork) -> Result<(), Error> {
        if !net::process::in_initial_user_namespace() {
            return Err(Error::Rootless("Landfall itself runs in a user namespace".into()));
        }
        if !new.addresses_from_lan {
            return Err(Error::WrongIpam {
                bridge: new.options.get(options::name::BRIDGE).cloned(),
            });
        }
        if new.ipv6 {
            return Err(Error::Ipv6);
        }
        let options = Options::parse(&new.options)?;
        let record = NetworkRecord { id: new.id, options, internal: new.internal };
        if let Some(known) = self.lock().networks.get(&record.id) {
            return if **known == record { Ok(()) } else { Err(Error::NetworkExists(record.id)) };
        }
        if !record.options.ignore_conflicts {
            let bridge = self.0.segments.bridge(&record.options.bridge).await?;
            let links = self.0.host.links().await?;
            let addresses = self.0.host.addresses(None).await?;
            conflict::check(&bridge, &links, &addresses)?;
        }
        // The port is made now: with spanning tree it needs half a minute before its first use.
        self.0.segments.get(&record.options.bridge).await?;
        self.0.store.commit(Change::PutNetwork(Box::new(record.clone()))).await?;
        tracing::info!(network = %record.id, bridge = record.options.bridge, "network made");
        self.lock().networks.insert(record.id.clone(), Arc::new(record));
        Ok(())
    }

    /// Forgets a network, and removes the port when no other network uses its bridge. One that
    /// is not known is no error: the engine forgets it whatever we say.
    pub(crate) async fn delete_network(&self, id: &NetworkId) -> Result<(), Error> {
        let (engine, id) = (self.clone(), id.clone());
        self.to_its_end(async move { engine.forget_network(&id).await }).await
    }

    async fn forget_network(&self, id: &NetworkId) -> Result<(), Error> {
        let (network, last) = {
            let mut state = self.lock();
            let Some(network) = state.networks.remove(id) else { return Ok(()) };
            let bridge = &network.options.bridge;
            let last = !state.networks.values().any(|other| other.options.bridge == *bridge);
            (network, last)
        };
        self.0.store.commit(Change::DeleteNetwork(id.clone())).await?;
        if last {
            self.0.segments.close(&network.options.bridge).await;
        }
        tracing::info!(network = %id, bridge = network.options.bridge, "network forgotten");
        Ok(())
    }
}
