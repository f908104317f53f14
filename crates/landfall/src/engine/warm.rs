//! Leases taken in advance (`warm`): a container that has none of its own yet starts without a word to a server.
//!
//! A spare is an endpoint for a container that is yet to come. Its lease is held as that of a container which has ended: the
//! port answers for its address and renewals go on, but for no time of its own. With the lease a container gets the MAC, and
//! its name keeps that.

use std::sync::Arc;
use std::time::Duration;

use dhcp::Instant;
use dhcp::ipv6::Saved;
use futures_util::FutureExt;
use futures_util::future::join_all;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::sleep;
use wire::MacAddr;

use super::create::{Undo, busy, random_mac};
use super::enter::Origin;
use super::events::Kind;
use super::ids::{EndpointId, NetworkId};
use super::reboot::Remembered;
use super::{Endpoint, Engine, Error, State, ipv6};
use crate::fault::point;
use crate::segments::Start;
use crate::store::{NetworkRecord, Phase};

/// How many spares of a network are asked for at a time.
const AT_ONCE: usize = 8;
/// How long servers are left alone when one had none to give: at first, and at most.
const PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(600);
/// The same when a spare was lost: somebody else needs the address, or the server takes it back.
const AFTER_A_LOSS: Duration = Duration::from_secs(60);

/// Who keeps a network's spares at their number.
pub(super) struct Stock {
    news: Arc<News>,
    task: AbortHandle,
}

/// What the one who keeps a stock is told.
#[derive(Default)]
struct News {
    /// One may be missing.
    missing: Notify,
    /// One was lost: who needs its address must not find that another spare has it.
    lost: Notify,
}

impl Drop for Stock {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Engine {
    /// Keeps as many spares as the network wants, from now on and until its [`Stock`] goes.
    pub(super) fn stock_up(&self, network: &Arc<NetworkRecord>) {
        if network.options.warm == 0 {
            return;
        }
        let news = Arc::<News>::default();
        let mut state = self.lock();
        let keeping = tokio::spawn(self.clone().keep_in_stock(network.clone(), news.clone()));
        let stock = Stock { news, task: keeping.abort_handle() };
        state.stocks.insert(network.id.clone(), stock);
    }

    async fn keep_in_stock(self, network: Arc<NetworkRecord>, news: Arc<News>) {
        let mut pause = PAUSE;
        loop {
            let missing = self.lock().missing(&network);
            if missing == 0 {
                news.missing.notified().await;
                continue;
            }
            if news.lost.notified().now_or_never().is_some() {
                sleep(AFTER_A_LOSS).await;
                continue;
            }
            let spares = (0..missing.min(AT_ONCE)).map(|_| self.make_spare(&network));
            let all_made = tokio::select! {
                made = join_all(spares) => made.into_iter().all(|made| made),
                // Those that are not made yet are undone.
                () = news.lost.notified() => {
                    sleep(AFTER_A_LOSS).await;
                    continue;
                }
            };
            if all_made {
                pause = PAUSE;
            } else {
                sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }

    /// Takes a lease in advance; says whether there was one.
    async fn make_spare(&self, network: &Arc<NetworkRecord>) -> bool {
        let Ok(random) = random_mac() else { return false };
        let Some((id, mac, origin, before)) = self.lock().begin_spare(network, random) else {
            return false;
        };
        let undo = Undo::of(self, &id);
        match self.lease_in_advance(network, &id, (&origin, before)).await {
            Ok(true) => {
                undo.not_needed();
                return true;
            }
            Ok(false) => {
                tracing::info!(network = %network.id, %mac, "no server gives a lease in advance");
            }
            Err(error) => {
                tracing::warn!(network = %network.id, %mac, %error, "no lease in advance");
            }
        }
        undo.now().await;
        false
    }

    async fn lease_in_advance(
        &self,
        network: &Arc<NetworkRecord>,
        id: &EndpointId,
        (origin, before): (&Origin, Option<Saved>),
    ) -> Result<bool, Error> {
        let options = &network.options;
        let (segment, bridge) = self.0.segments.get(&options.interface, options.access()).await?;
        let config = {
            let mut state = self.lock();
            let Some(endpoint) = state.endpoints.get_mut(id) else { return Err(busy(network, id)) };
            endpoint.segment = Some(segment.clone());
            self.client_config(endpoint)
        };
        point("warm: known");
        self.keep(id).await?;
        point("warm: recorded");
        // Not as for a container: nothing that is held gives way to it.
        let start = Start::recorded_before();
        let leased =
            segment.acquire(id, config, origin.begin(), options.lease_timeout, start.clone());
        let of_ipv6 = self.ask_for_ipv6(network, &segment, bridge.mtu, id, before, start);
        let (leased, of_ipv6) = tokio::join!(leased, of_ipv6);
        of_ipv6?;
        if !matches!(leased, Ok(Some(_))) {
            return Ok(false);
        }
        point("warm: granted");
        {
            let mut state = self.lock();
            let endpoint = state.endpoints.get_mut(id).filter(|e| e.phase == Phase::Creating);
            let Some(endpoint) = endpoint else { return Err(busy(network, id)) };
            endpoint.phase = Phase::Held(Instant::NEVER);
            (endpoint.remembered, endpoint.remembered6, endpoint.claimed) = (None, None, false);
        }
        self.keep(id).await?;
        point("warm: lease recorded");
        tracing::info!(network = %network.id, endpoint = %id, "a lease taken in advance");
        self.happened(id, Kind::LeaseGranted);
        Ok(true)
    }
}

impl State {
    /// How many spares a network lacks.
    fn missing(&self, network: &NetworkRecord) -> usize {
        let there = self.endpoints.values().filter(|e| e.is_spare(&network.id)).count();
        network.options.warm.saturating_sub(there)
    }

    /// Enters a new spare: one that had a lease before the machine booted, if there is one. None if the network is
    /// no more.
    fn begin_spare(
        &mut self,
        network: &Arc<NetworkRecord>,
        random: MacAddr,
    ) -> Option<(EndpointId, MacAddr, Origin, Option<Saved>)> {
        self.networks.get(&network.id)?;
        let of_earlier_boot = |e: &Endpoint| {
            e.spare && e.network.id == network.id && e.is_held() && e.is_remembered()
        };
        let mut all = self.endpoints.iter();
        let earlier = all.find(|(_, e)| of_earlier_boot(e)).map(|(id, _)| id.clone());
        let (id, mut endpoint) = match earlier {
            Some(id) => {
                let endpoint = self.claim(&id)?;
                (id, endpoint)
            }
            None => {
                let digits: String = random.0.iter().map(|byte| format!("{byte:02x}")).collect();
                let id = EndpointId::new(&format!("warm{digits}")).ok()?;
                (id, Endpoint::new(network.clone(), Phase::Creating, random))
            }
        };
        if let Some(pending) = endpoint.pending.take() {
            pending.abort();
        }
        let clock_is_set = net::wall_clock_is_set();
        let before = endpoint.remembered6.as_deref();
        let before = before.and_then(|stored| ipv6::of_earlier_boot(stored, clock_is_set));
        let origin = match &endpoint.remembered {
            Some(stored) => Origin::Remembered(Remembered::of(stored, clock_is_set)),
            None => Origin::Fresh,
        };
        (endpoint.phase, endpoint.spare) = (Phase::Creating, true);
        // Where it does not come to its lease now it waits for the next try.
        endpoint.claimed = endpoint.is_remembered();
        let mac = endpoint.mac;
        self.endpoints.insert(id.clone(), Box::new(endpoint));
        Some((id, mac, origin, before))
    }

    /// A spare that a new container may have.
    pub(super) fn spare(&self, network: &NetworkId) -> Option<EndpointId> {
        let fits = |e: &Endpoint| e.is_spare(network) && e.is_held() && e.lease().is_some();
        self.endpoints.iter().find(|(_, e)| fits(e)).map(|(id, _)| id.clone())
    }

    /// Has the network's spares counted.
    pub(super) fn count_stock(&self, network: &NetworkId) {
        if let Some(stock) = self.stocks.get(network) {
            stock.news.missing.notify_one();
        }
    }

    /// A spare is given back though no container has taken it.
    pub(super) fn spare_lost(&self, network: &NetworkId) {
        if let Some(stock) = self.stocks.get(network) {
            stock.news.lost.notify_one();
            stock.news.missing.notify_one();
        }
    }
}

impl Endpoint {
    /// Whether it is one of that network's spares, with a lease of this boot or on the way to one.
    fn is_spare(&self, network: &NetworkId) -> bool {
        self.spare
            && self.network.id == *network
            && !self.is_remembered()
            && !self.unfinished
            && self.phase != Phase::Releasing
    }
}
