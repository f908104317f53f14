//! Addresses that a runtime asks for before it makes endpoints, as Docker asks an IPAM driver.
//!
//! An address is a lease, taken for the container that is about to start. It has an endpoint of its own, without a link
//! ([`Phase::Leased`]), until the runtime makes the one that it was asked for, which goes on with the lease. What nobody
//! comes for is given back.

use std::future;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use dhcp::v4::{Config, Lease};
use ipnet::Ipv4Net;
use wire::MacAddr;

use super::api::{AddressRequest, NewEndpoint, Pool, PoolRequest};
use super::asked::Asked;
use super::client::client_id;
use super::create::{busy, random_mac, undo};
use super::endpoint_options::EndpointOptions;
use super::enter::{Entered, Origin};
use super::events::Kind;
use super::ids::{EndpointId, NetworkId};
use super::lease::Grants;
use super::mode::{IPVLAN, MACVLAN};
use super::obstacle::find_obstacle;
use super::options::{Options, name};
use super::pool::{PoolId, Reach, Wish};
use super::pool_error::PoolError;
use super::{Endpoint, Engine, Error, State, with_prefix};
use crate::segments::{Access, AcquireError};
use crate::store::{NetworkRecord, Phase};

/// What the identifier of a network begins with that stands for a pool.
const STAND_IN: &str = "pool-";

impl Engine {
    /// Finds a segment's subnet and router by asking its DHCP server; no lease is taken.
    pub(crate) async fn request_pool(&self, request: PoolRequest) -> Result<Pool, Error> {
        let wish = Wish::parse(&request.options).map_err(PoolError::from)?;
        self.lock().asking.push(wish.interface.clone());
        let _asking = Asking { engine: self, interface: wish.interface.clone(), reach: wish.reach };
        self.look_for_pool(request, wish).await
    }

    async fn look_for_pool(&self, request: PoolRequest, wish: Wish) -> Result<Pool, Error> {
        let Wish { reach, apart, interface, patience } = wish;
        if request.ipv6 {
            return Err(PoolError::Ipv6.into());
        }
        if !request.range.is_empty() {
            return Err(PoolError::Range { interface, range: request.range }.into());
        }
        let reach = match reach {
            Some(reach) => reach,
            None => self.reach_of(&interface).await?,
        };
        let offer = self.offered_on(&interface, reach.access(), patience).await?;
        let there = with_prefix(&offer).trunc();
        if !request.subnet.is_empty() && request.subnet.parse() != Ok(there) {
            let (server, subnet) = (offer.server, request.subnet);
            return Err(PoolError::NoSuchSubnet { subnet, interface, server, there }.into());
        }
        let id = PoolId { reach, interface, subnet: there, apart };
        let pool = Pool { id, gateway: offer.gateway() };
        tracing::info!(pool = %pool.id, router = ?pool.gateway, "addresses are asked for there");
        self.lock().pools.push(pool.clone());
        Ok(pool)
    }

    /// How an interface leads to its segment.
    async fn reach_of(&self, interface: &str) -> Result<Reach, Error> {
        let link = self.0.host.link(interface).await?;
        let bridge = link.is_some_and(|link| link.kind.as_deref() == Some("bridge"));
        Ok(if bridge { Reach::Bridge(None) } else { Reach::Macvlan })
    }

    /// What a server on that segment would give.
    async fn offered_on(
        &self,
        interface: &str,
        access: Access,
        patience: Duration,
    ) -> Result<Lease, Error> {
        let segment = self.0.segments.get(interface, access).await;
        let (segment, _) = segment.map_err(PoolError::NoPort)?;
        let mac = random_mac()?;
        let config = Config { classes: self.0.classes.clone(), ..Config::new(mac) };
        match segment.ask_for_an_offer(&asker(mac), config, patience).await {
            Ok(offer) => Ok(offer),
            Err(AcquireError::TimedOut(progress)) => Err(PoolError::NoServer {
                interface: interface.to_owned(),
                is_bridge: matches!(access, Access::Bridge(_)),
                obstacle: {
                    let at = (interface, access);
                    find_obstacle(&self.0.host, at, segment.port(), mac, patience).await
                },
                within: patience.as_secs_f64(),
                discovers: progress.discovers,
                mac,
            }
            .into()),
            Err(AcquireError::Abandoned | AcquireError::MacInUse(_)) => {
                Err(PoolError::Abandoned(interface.to_owned()).into())
            }
        }
    }

    /// Whether addresses of that subnet can be had for a network with these options.
    pub(super) fn check_pool(&self, options: &Options, subnet: Ipv4Net) -> Result<(), Error> {
        let reach = Reach::of(options.mode, options.vlan);
        let interface = options.interface.clone();
        let pool = PoolId { reach, interface, subnet, apart: false };
        if !self.lock().use_pool(&pool) {
            let PoolId { interface, .. } = pool;
            return Err(PoolError::OtherSegment { subnet, interface }.into());
        }
        match PoolError::contradiction(options) {
            Some(error) => Err(error.into()),
            None => Ok(()),
        }
    }

    /// A network that had its addresses from there is gone, or was not made.
    pub(crate) async fn release_pool(&self, pool: &PoolId) -> Result<(), Error> {
        let (engine, pool) = (self.clone(), pool.clone());
        self.to_its_end(async move {
            engine.lock().use_pool(&pool);
            engine.close_if_unused(&pool.interface, pool.reach.access()).await;
        })
        .await;
        Ok(())
    }

    /// The networks that have their addresses from there.
    pub(crate) fn networks_of(&self, pool: &PoolId) -> Vec<NetworkId> {
        let state = self.lock();
        let networks = state.networks.values().filter(|network| pool.is_of(network));
        let mut networks: Vec<NetworkId> = networks.map(|network| network.id.clone()).collect();
        networks.sort();
        networks
    }

    /// Takes a lease for an endpoint that is to be made.
    ///
    /// Where nobody can say that it is for one (Docker up to 28 does not, and asks for addresses that are only not to be
    /// given out just as well), a given address is only acknowledged: the lease is taken with the endpoint.
    pub(crate) async fn request_address(&self, request: AddressRequest) -> Result<Ipv4Net, Error> {
        let AddressRequest { pool, address, gateway, name, mut candidates } = request;
        let told =
            |address| Ipv4Net::new(address, pool.subnet.prefix_len()).unwrap_or(address.into());
        // Another driver may have any gateway: Docker's bridge is one itself.
        if let Some(gateway) = address.filter(|_| gateway && pool.apart) {
            return Ok(told(gateway));
        }
        if gateway {
            let router = self.lock().router_of(&pool);
            return match address {
                Some(asked) if Some(asked) == router => Ok(told(asked)),
                asked => Err(PoolError::Gateway { pool, asked, router }.into()),
            };
        }
        if let Some(outside) = address.filter(|address| !pool.subnet.contains(address)) {
            return Err(PoolError::Outside { address: outside, pool }.into());
        }
        // Of several the one that a container is about to start on.
        candidates.retain(|(_, containers)| !containers.is_empty());
        let known = name.is_some() || !candidates.is_empty();
        let (network, candidates) = candidates.into_iter().next().unzip();
        let network = match network.or_else(|| self.networks_of(&pool).into_iter().next()) {
            Some(network) => Some(self.network(&network)?),
            None => pool.stand_in().map(Arc::new),
        };
        let Some(network) = network else { return Err(PoolError::NoNetwork(pool).into()) };
        if let Some(address) = address.filter(|_| !known) {
            return Ok(told(address));
        }
        let candidates = candidates.unwrap_or_default();
        let container = self.lock().sole_candidate(&network.id, &candidates).cloned();
        let wants = container.as_ref().map(|container| &container.options);
        // What is wrong with them is told when the endpoint is made.
        let parsed = wants.and_then(|given| EndpointOptions::parse(given, None, true).ok());
        let mut options = parsed.unwrap_or_default();
        options.ip = address.or(options.ip);
        if let Some(name) = name.as_ref().filter(|name| network.apart && is_host_name(name)) {
            // Nobody learns the host name of another driver's container.
            options.hostname = Some(name.clone());
        }
        let named = options.identity.as_deref();
        let mac = named.map(|name| self.mac_of_name(&network, name));
        let mac = mac.or_else(|| container?.mac);
        let mut new = NewEndpoint {
            network: network.id.clone(),
            id: asker(random_mac()?),
            mac: mac.filter(|mac| mac.is_unicast()),
            options: Default::default(),
            address: None,
            interface: None,
            candidates,
        };
        let only = self.only_mac(&network, &new.id, None).await;
        new.mac = only.map_err(|error| error.of(&network.id, &new.id))?.or(new.mac);
        let leased = async {
            let asked = Asked { network: &network, new: &new, options: &options };
            let Entered::New { mac, origin, .. } =
                self.enter(&asked, None, name.as_deref()).await?
            else {
                return Err(busy(&network, &new.id));
            };
            let leased = self.lease_ahead(&network, &new.id, mac, &origin);
            self.undone_unless(&network, (&new.id, mac), leased).await
        };
        let lease = leased.await.map_err(|error: Error| error.of(&network.id, &new.id))?;
        if !network.apart {
            self.await_join(&new.id);
        }
        Ok(with_prefix(&lease))
    }

    async fn lease_ahead(
        &self,
        network: &NetworkRecord,
        id: &EndpointId,
        mac: MacAddr,
        origin: &Origin,
    ) -> Result<Lease, Error> {
        let options = &network.options;
        let (segment, _) = self.0.segments.get(&options.interface, options.access()).await?;
        if let Some(endpoint) = self.lock().endpoints.get_mut(id) {
            endpoint.segment = Some(segment.clone());
        }
        let (start, grants) = Grants::awaited();
        let record = self.keep_with(id, grants, future::ready(Ok(())), true);
        let lease = self.lease(network, &segment, id, mac, origin, start);
        let (mut lease, _) = tokio::try_join!(lease, record)?;
        if lease.is_none() {
            lease = self.lease_after_all(network, &segment, (id, mac)).await?;
        }
        let lease = lease.ok_or_else(|| busy(network, id))?;
        self.count_start(true, origin);
        {
            let mut state = self.lock();
            let endpoint = state.endpoints.get_mut(id).filter(|e| e.phase == Phase::Creating);
            let endpoint = endpoint.ok_or_else(|| busy(network, id))?;
            endpoint.phase = Phase::Leased;
            endpoint.told = Some(with_prefix(&lease));
            endpoint.remembered = None;
            endpoint.remembered6 = None;
        }
        self.keep(id).await?;
        if network.apart && !self.lock().bridges.knows(&options.interface) {
            // Nobody else has told of it: what becomes of it is followed from here on.
            let links = self.0.host.links().await?;
            self.lock().look_at_bridges(&links).into_iter().for_each(|news| self.tell(news));
        }
        self.happened(
            id,
            match origin {
                Origin::Held(_) | Origin::Spare(_) => Kind::LeaseHandedOver,
                _ => Kind::LeaseGranted,
            },
        );
        Ok(lease)
    }

    /// The endpoint that is there for the lease of a new one. If its lease is another identity's it is given back first,
    /// and the server asked for the address once more.
    pub(super) async fn leased_ahead(
        &self,
        network: &NetworkRecord,
        new: &NewEndpoint,
        options: &mut EndpointOptions,
    ) -> Result<Option<EndpointId>, Error> {
        let Some(told) = new.address.map(|address| address.addr()) else { return Ok(None) };
        if options.ip.is_some_and(|wanted| wanted != told) {
            return Err(Error::AskedAhead {
                network: network.id.clone(),
                endpoint: new.id.clone(),
                wanted: options.ip,
                told,
            });
        }
        let (id, same) = {
            let state = self.lock();
            match state.leased_for(network, told) {
                Some((id, ahead)) => {
                    let mac = new.mac.is_none_or(|mac| mac == ahead.mac);
                    let same = mac && client_id(network, options) == ahead.client_id();
                    if same {
                        options.ip = ahead.options.ip;
                    }
                    (id.clone(), same)
                }
                None => {
                    options.ip = Some(told);
                    return Ok(None);
                }
            }
        };
        if same {
            return Ok(Some(id));
        }
        options.ip = Some(told);
        tracing::info!(endpoint = %new.id, address = %told, "asked for once more, by its own MAC and client identifier");
        self.to_its_end(self.clone().give_back_first(id, Endpoint::is_leased)).await;
        Ok(None)
    }

    /// An address that a runtime asked for is not needed any more. If its endpoint was made, that one's end has told so
    /// already.
    pub(crate) async fn release_address(
        &self,
        pool: &PoolId,
        address: Ipv4Addr,
    ) -> Result<(), Error> {
        let leased = {
            let state = self.lock();
            state
                .leased_at(address, |endpoint| pool.is_of(&endpoint.network))
                .map(|(id, _)| id.clone())
        };
        if let Some(id) = leased {
            self.to_its_end(undo(self.clone(), id)).await;
        }
        Ok(())
    }
}

/// While it lives, a segment is asked for its subnet. Who only asked leaves no port behind.
struct Asking<'a> {
    engine: &'a Engine,
    interface: String,
    /// None: it was not known before it was looked at.
    reach: Option<Reach>,
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        let (engine, interface) = (self.engine.clone(), std::mem::take(&mut self.interface));
        {
            let asking = &mut engine.lock().asking;
            if let Some(place) = asking.iter().position(|asked| *asked == interface) {
                asking.swap_remove(place);
            }
        }
        let all = [Reach::Bridge(None), Reach::Macvlan];
        let reaches = self.reach.map_or(all.to_vec(), |reach| vec![reach]);
        self.engine.0.unfinished.spawn(async move {
            for reach in reaches {
                engine.close_if_unused(&interface, reach.access()).await;
            }
        });
    }
}

impl State {
    /// Crosses out one request for that pool; says whether there was one.
    fn use_pool(&mut self, pool: &PoolId) -> bool {
        let asked = self.pools.iter().position(|asked| asked.id == *pool);
        asked.map(|place| self.pools.swap_remove(place)).is_some()
    }

    /// The router that was told of with that pool.
    fn router_of(&self, pool: &PoolId) -> Option<Ipv4Addr> {
        self.pools.iter().rev().find(|asked| asked.id == *pool)?.gateway
    }

    /// The endpoint that is there for the lease of one on that network, with this address.
    fn leased_for(
        &self,
        network: &NetworkRecord,
        address: Ipv4Addr,
    ) -> Option<(&EndpointId, &Endpoint)> {
        let of =
            |options: &Options| (Reach::of(options.mode, options.vlan), options.interface.clone());
        let here = of(&network.options);
        self.leased_at(address, |endpoint| {
            // Another driver's container has its lease as well.
            endpoint.network.apart == network.apart && of(&endpoint.network.options) == here
        })
    }

    fn leased_at(
        &self,
        address: Ipv4Addr,
        is_there: impl Fn(&Endpoint) -> bool,
    ) -> Option<(&EndpointId, &Endpoint)> {
        let leased = self.endpoints.iter().map(|(id, endpoint)| (id, &**endpoint));
        leased.into_iter().find(|(_, endpoint)| {
            let here = endpoint.told.is_some_and(|told| told.addr() == address);
            here && endpoint.is_leased() && is_there(endpoint)
        })
    }
}

impl PoolId {
    /// The pool that a stored endpoint's network stands for, if that is none of Landfall's.
    pub(super) fn of_stand_in(network: &NetworkId) -> Option<PoolId> {
        let digits = network.as_str().strip_prefix(STAND_IN)?.as_bytes();
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
        let text: Option<Vec<u8>> = digits.chunks(2).map(byte).collect();
        String::from_utf8(text?).ok()?.parse().ok()
    }

    /// What stands for a network of another driver's, of which Landfall knows no more than its pool.
    pub(super) fn stand_in(&self) -> Option<NetworkRecord> {
        if !self.apart {
            return None;
        }
        let digits: String = self.to_string().bytes().map(|byte| format!("{byte:02x}")).collect();
        let reached = match self.reach {
            // Other drivers' containers are in no VLAN of a bridge's.
            Reach::Bridge(_) => vec![(name::BRIDGE, &*self.interface)],
            Reach::Macvlan => vec![(name::MODE, MACVLAN), (name::PARENT, &self.interface)],
            Reach::ParentAlone => vec![(name::MODE, IPVLAN), (name::PARENT, &self.interface)],
        };
        // The link has another MAC than the lease, and would count as somebody else who has the address.
        let rest = [(name::CONFLICT_CHECK, "off"), (name::RELEASE_DELAY, "0")];
        let options = reached.into_iter().chain(rest);
        let options = options.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Some(NetworkRecord {
            id: NetworkId::new(&format!("{STAND_IN}{digits}")).ok()?,
            options: Options::parse(&options).ok()?,
            internal: false,
            pool: Some(self.subnet),
            apart: true,
        })
    }

    /// Whether its segment is reached by that bridge or parent.
    pub(super) fn is_on(&self, interface: &str, access: Access) -> bool {
        self.interface == interface && self.reach.access() == access
    }

    /// Whether that is where a network's addresses come from.
    pub(super) fn is_of(&self, network: &NetworkRecord) -> bool {
        let options = &network.options;
        network.pool == Some(self.subnet)
            && self.reach == Reach::of(options.mode, options.vlan)
            && self.interface == options.interface
            && self.apart == network.apart
    }
}

impl Reach {
    /// What kind of link that needs.
    pub(super) fn access(self) -> Access {
        match self {
            Reach::Bridge(vlan) => Access::Bridge(vlan),
            Reach::Macvlan => Access::Parent,
            Reach::ParentAlone => Access::ParentAlone,
        }
    }
}

impl Endpoint {
    /// Whether it is there only for its lease.
    fn is_leased(&self) -> bool {
        self.phase == Phase::Leased
    }
}

fn is_host_name(name: &str) -> bool {
    wire::dhcp4::fqdn_wish(name).is_some()
}

/// Who asks on nobody's behalf yet.
fn asker(MacAddr(random): MacAddr) -> EndpointId {
    let digits: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    EndpointId::ahead(&digits)
}
