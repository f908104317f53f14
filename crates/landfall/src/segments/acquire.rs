//! How an endpoint comes by its client: new, taken up after a restart, or handed over.

use std::net::Ipv4Addr;
use std::time::Duration;

use dhcp::v4::{Client, Config, Lease, OnLoss, Progress};
use tokio::sync::{mpsc, oneshot, watch};
use wire::MacAddr;

use super::Live;
use super::clients::{Starting, Waiting};
use super::segment::{Segment, goes_without, now, seed};
use crate::engine::ids::EndpointId;

/// What a new client knows.
#[derive(Debug, Clone)]
pub(crate) enum Begin {
    /// Nothing, and its MAC was made just now: nobody has ever seen it.
    Fresh,
    /// Nothing but the address that it would like to have, if any.
    Known(Option<Ipv4Addr>),
    /// The lease that it had before the machine booted, which goes on.
    With(Lease),
    /// The address that it had before the machine booted, and not whether its lease goes on.
    Asking(Ipv4Addr),
}

/// How an acquisition and the store keep step.
#[derive(Debug, Clone)]
pub(crate) struct Start {
    /// Whether the endpoint is on the disk.
    pub(crate) recorded: watch::Receiver<bool>,
    /// Takes each lease that a server grants, while its address is still being checked: it can be
    /// written down meanwhile.
    pub(crate) granted: mpsc::UnboundedSender<Lease>,
}

impl Start {
    /// That of an endpoint that is on the disk already.
    pub(crate) fn recorded_before() -> Start {
        Start { recorded: watch::channel(true).1, granted: mpsc::unbounded_channel().0 }
    }

    /// That of somebody who waits for the same record and has nothing to have noted.
    pub(crate) fn after(other: &Start) -> Start {
        Start { recorded: other.recorded.clone(), granted: mpsc::unbounded_channel().0 }
    }

    /// Waits until the endpoint is on the disk; fails if it will never be.
    pub(crate) async fn recorded(&self) -> Result<(), AcquireError> {
        let mut recorded = self.recorded.clone();
        recorded.wait_for(|done| *done).await.map(drop).map_err(|_| AcquireError::Abandoned)
    }
}

/// Why there is no lease.
#[derive(Debug)]
pub(crate) enum AcquireError {
    /// Another endpoint on the segment has this MAC.
    MacInUse(EndpointId),
    /// No lease came in time.
    TimedOut(Progress),
    /// The segment was stopped, or the endpoint removed, while this was waiting.
    Abandoned,
}

/// A client that is there only for a question.
struct Asked<'a> {
    segment: &'a Segment,
    asker: &'a EndpointId,
    mac: MacAddr,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.segment.forget(self.asker, self.mac);
    }
}

/// Those who go on without having asked ask within so many milliseconds.
const LATER: u64 = 10_000;

impl Segment {
    /// Obtains a lease for a new endpoint; none: the LAN would have it do without IPv4 (RFC 8925). If
    /// `config` requests an address no other will do.
    ///
    /// It asks at once, and takes no lease before the endpoint is on the disk: whoever died in between
    /// would not know of it.
    ///
    /// Dropping the future leaves the client at work: whoever drops it calls [`Self::release`].
    pub(crate) async fn acquire(
        &self,
        owner: &EndpointId,
        config: Config,
        begin: Begin,
        patience: Duration,
        start: Start,
    ) -> Result<Option<Lease>, AcquireError> {
        let config = self.on_this_link(config);
        let now = tokio::time::Instant::now();
        let (mac, until, silent_at) = (config.mac, now + patience, now + dhcp::REBOOT_SILENCE);
        let fresh = matches!(begin, Begin::Fresh);
        let goes_on = matches!(begin, Begin::With(_));
        let _turn = match &begin {
            Begin::With(lease) if self.lock().silent => {
                start.recorded().await?;
                // An engine starts the containers of a network one after the other.
                self.go_on(owner, config, lease.clone()).await?;
                return Ok(Some(lease.clone()));
            }
            Begin::With(_) | Begin::Asking(_) => {
                // It asks for its lease with its first word.
                start.recorded().await?;
                let until = if goes_on { until.min(silent_at) } else { until };
                match (tokio::time::timeout_at(until, self.reboots.acquire()).await, &begin) {
                    (Ok(turn), _) => Some(turn),
                    (Err(_), Begin::With(lease)) => {
                        self.go_on(owner, config, lease.clone()).await?;
                        return Ok(Some(lease.clone()));
                    }
                    (Err(_), _) => return Err(AcquireError::TimedOut(Progress::default())),
                }
            }
            Begin::Fresh | Begin::Known(_) => None,
        };
        if config.rapid_commit {
            // Its first word may bring a lease.
            start.recorded().await?;
        }
        let rapid = config.rapid_commit;
        let (bound, lease) = oneshot::channel();
        let waiting = Starting { bound, granted: start.granted.clone(), told: None };
        let waiting = Some(Waiting::Bound(Box::new(waiting)));
        self.insert(owner, Client::new(config.clone(), seed()), None, waiting)?;
        if !fresh {
            // The MAC may have been seen elsewhere, and replies to it would go there.
            self.hold(mac).await;
        }
        self.with(mac, |client, now| {
            // Before the first word of one that begins with nothing.
            client.demand();
            if let Begin::Known(Some(address)) = begin {
                client.wish(address);
            }
            match begin {
                Begin::Fresh | Begin::Known(_) if rapid => client.start(now),
                Begin::Fresh | Begin::Known(_) => client.start_asking(now),
                Begin::With(lease) => {
                    *client = Client::reboot_with_lease(config, lease, seed(), now);
                }
                Begin::Asking(address) => *client = Client::reboot(config, address, seed(), now),
            }
            client.demand();
        });
        if fresh {
            // The kernel may be busy with other links, and the server need not wait for that.
            self.hold(mac).await;
        } else {
            self.with(mac, |client, _| client.hold(true));
        }
        start.recorded().await?;
        self.with(mac, |client, now| client.request(now));
        let lease = self.wait_for(mac, lease, until).await?;
        if goes_on && self.acks(mac) == 0 {
            self.lock().silent = true;
        }
        Ok(lease)
    }

    /// Where all have the parent's MAC, so has this one; and answers are broadcast, as none has the address yet by which
    /// the kernel tells them apart.
    fn on_this_link(&self, config: Config) -> Config {
        match self.shared_mac {
            Some(link) => Config { link: Some(link), broadcast: true, ..config },
            None => config,
        }
    }

    /// Asks for the first offer of a server, as the lease that it would be, and takes nothing. `asker` is no endpoint of the
    /// segment's.
    pub(crate) async fn ask_for_an_offer(
        &self,
        asker: &EndpointId,
        config: Config,
        patience: Duration,
    ) -> Result<Lease, AcquireError> {
        let (offered, offer) = oneshot::channel();
        let config = self.on_this_link(config);
        let mac = config.mac;
        let waiting = Some(Waiting::Offered(offered));
        self.insert(asker, Client::new(config, seed()), None, waiting)?;
        // Also when nobody waits for the answer any more.
        let _asked = Asked { segment: self, asker, mac };
        self.with(mac, |client, now| client.start_asking(now));
        self.hold(mac).await;
        match tokio::time::timeout(patience, offer).await {
            Ok(Ok(offer)) => Ok(offer),
            Ok(Err(_)) => Err(AcquireError::Abandoned),
            Err(_) => Err(AcquireError::TimedOut(self.progress(mac).unwrap_or_default())),
        }
    }

    /// Goes on with a lease of an earlier boot whose turn to ask did not come in time: the servers are silent to those
    /// before it. It asks later.
    async fn go_on(
        &self,
        owner: &EndpointId,
        config: Config,
        lease: Lease,
    ) -> Result<(), AcquireError> {
        let mac = config.mac;
        self.place(owner, Client::resume(config, lease, seed(), now()), None).await?;
        let later = Duration::from_millis(seed() % LATER);
        self.with(mac, |client, now| client.confirm(now + later, now));
        Ok(())
    }

    /// Has a client that does without IPv4 ask for it all the same, and waits for its lease.
    pub(crate) async fn insist(
        &self,
        mac: MacAddr,
        patience: Duration,
    ) -> Result<Option<Lease>, AcquireError> {
        let until = tokio::time::Instant::now() + patience;
        let (bound, lease) = oneshot::channel();
        let granted = mpsc::unbounded_channel().0;
        if let Some(entry) = self.lock().clients.get_mut(&mac) {
            let waiting = Starting { bound, granted, told: None };
            entry.waiting = Some(Waiting::Bound(Box::new(waiting)));
        }
        self.ask_again(mac);
        self.wait_for(mac, lease, until).await
    }

    /// The same without waiting: [`dhcp::v4::Event::Bound`] tells of it. Does nothing to a client that has a lease or looks for one.
    pub(crate) fn ask_again(&self, mac: MacAddr) {
        self.with(mac, |client, now| client.insist(now));
    }

    /// Waits for what a client is told in answer.
    async fn wait_for(
        &self,
        mac: MacAddr,
        lease: oneshot::Receiver<Option<Lease>>,
        until: tokio::time::Instant,
    ) -> Result<Option<Lease>, AcquireError> {
        match tokio::time::timeout_at(until, lease).await {
            Ok(Ok(lease)) => Ok(lease),
            Ok(Err(_)) => Err(AcquireError::Abandoned),
            Err(_) => match self.lock().clients.get_mut(&mac) {
                Some(entry) => {
                    // From now on it is an event like any other.
                    entry.waiting.take_if(|waiting| matches!(waiting, Waiting::Bound(_)));
                    Err(AcquireError::TimedOut(entry.client.progress().clone()))
                }
                None => Err(AcquireError::Abandoned),
            },
        }
    }

    /// Lets a client that got no lease go on with its last one, although nobody has confirmed it: its
    /// address is in use until a server says otherwise.
    pub(crate) fn assume(&self, owner: &EndpointId, config: Config, mut last: Lease) {
        let (mac, now) = (config.mac, now());
        let config = Config { on_loss: OnLoss::Keep, ..self.on_this_link(config) };
        last.expires_at = now;
        let mut state = self.lock();
        if let Some(entry) = state.clients.get_mut(&mac).filter(|entry| entry.owner == *owner) {
            entry.client = Client::resume(config, last, seed(), now);
            entry.client.hold(true);
            self.settle(&mut state, mac);
        }
    }

    /// Goes on with a lease of an earlier run of the daemon, in the same boot. `live`: its link,
    /// if a sandbox has it up; its frames go on going there.
    pub(crate) async fn resume(
        &self,
        owner: &EndpointId,
        config: Config,
        lease: Lease,
        live: Option<Live>,
    ) -> Result<(), AcquireError> {
        let config = self.on_this_link(config);
        let mac = config.mac;
        self.place(owner, Client::resume(config, lease, seed(), now()), live).await?;
        self.settle(&mut self.lock(), mac);
        Ok(())
    }

    /// Takes up an endpoint that has no IPv4: nothing is asked for. `live` as for [`Self::resume`].
    pub(crate) async fn enter(
        &self,
        owner: &EndpointId,
        config: Config,
        live: Option<Live>,
    ) -> Result<(), AcquireError> {
        let config = self.on_this_link(config);
        self.place(owner, Client::new(config, seed()), live).await
    }

    /// Looks for a lease for an endpoint that lives without one; [`dhcp::v4::Event::Bound`] tells of it. `live` as
    /// for [`Self::resume`].
    pub(crate) async fn seek(
        &self,
        owner: &EndpointId,
        config: Config,
        live: Option<Live>,
    ) -> Result<(), AcquireError> {
        let mac = config.mac;
        self.enter(owner, config, live).await?;
        self.with(mac, |client, now| client.start(now));
        Ok(())
    }

    /// Takes in a client, and holds its place where no link does.
    async fn place(
        &self,
        owner: &EndpointId,
        client: Client,
        live: Option<Live>,
    ) -> Result<(), AcquireError> {
        let mac = client.config().mac;
        self.insert(owner, client, live, None)?;
        if live.is_none() {
            self.hold(mac).await;
        }
        Ok(())
    }

    /// Hands a client over to another endpoint, with the lease that it has; none: it goes without IPv4.
    ///
    /// # Errors
    /// When the client is not `from`'s, or has no lease just now and should: then it is forgotten. What
    /// `from` has of IPv6 is handed over all the same.
    pub(crate) fn take_over(
        &self,
        from: &EndpointId,
        to: &EndpointId,
        mac: MacAddr,
        host_name: Option<&str>,
    ) -> Result<Option<Lease>, AcquireError> {
        if let Some(ipv6) = self.ipv6() {
            ipv6.take_over(from, to, mac, host_name);
        }
        let mut state = self.lock();
        let entry = state.clients.get_mut(&mac).filter(|entry| entry.owner == *from);
        let Some(entry) = entry.filter(|entry| entry.waiting.is_none()) else {
            return Err(AcquireError::Abandoned);
        };
        let lease = entry.client.lease().cloned();
        if lease.is_none() && !goes_without(&entry.client) {
            self.remove(&mut state, mac);
            return Err(AcquireError::Abandoned);
        }
        entry.owner = to.clone();
        if host_name.is_some() {
            entry.client.set_host_name(host_name, now());
        }
        self.settle(&mut state, mac);
        Ok(lease)
    }
}
