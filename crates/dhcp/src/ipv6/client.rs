//! The client: commands, what comes in, what goes out.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use std::net::Ipv6Addr;
use wire::frame::Frame;

use super::{Config, Configuration, Event, Listening, Neighbour, State};
use crate::Instant;

/// One endpoint's IPv6 client.
#[derive(Debug)]
pub struct Client {
    config: Config,
    configuration: Box<Configuration>,
    transmits: VecDeque<Vec<u8>>,
    events: VecDeque<Event>,
    progress: Progress,
    state: State,
}

/// What outlives the process: all that was learnt and leased.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saved {}

impl Saved {
    /// The same with each moment put through `clock`: from an earlier boot's times to this one's.
    #[must_use]
    pub fn translate(self, _clock: impl Fn(Instant) -> Instant) -> Saved {
        self
    }
}

/// What has been sent and heard.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// Router solicitations sent.
    pub solicitations: u32,
    /// Router advertisements that were taken in.
    pub advertisements: u32,
}

impl Client {
    /// A client that does nothing yet. `seed` is all the randomness it will ever have.
    pub fn new(config: Config, _seed: u64) -> Client {
        let prefix = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0);
        let link_local = config.interface_id.address(config.mac, prefix, 0);
        let configuration = Configuration { link_local, ..Configuration::default() };
        Client {
            config,
            configuration: Box::new(configuration),
            transmits: VecDeque::new(),
            events: VecDeque::new(),
            progress: Progress::default(),
            state: State::Stopped,
        }
    }
    /// Goes on after a restart of the daemon, within one boot.
    pub fn resume(config: Config, _saved: Saved, seed: u64, _now: Instant) -> Client {
        Client::new(config, seed)
    }
    /// Was there before the machine booted (times of this boot, see [`Saved::translate`]).
    pub fn reboot(config: Config, _saved: Saved, seed: u64, _now: Instant) -> Client {
        Client::new(config, seed)
    }
    /// Looks for routers and servers. Does nothing unless the client is stopped.
    pub fn start(&mut self, _now: Instant) {
        self.state = State::Soliciting;
    }
    /// Asks at `at` whether all is still right: the link was away.
    pub fn confirm(&mut self, _at: Instant, _now: Instant) {}
    /// Asks routers and the server now.
    pub fn renew(&mut self, _now: Instant) {}
    /// Gives the lease back and stops; [`Event::Released`] ends it.
    pub fn release(&mut self, _now: Instant) {
        self.state = State::Stopped;
    }
    /// While `held`, the client answers neighbour solicitations for its addresses.
    pub fn hold(&mut self, _held: bool) {}
    /// Announces the addresses by unsolicited advertisements (RFC 4861 §7.2.6).
    pub fn announce(&mut self) {}
    /// Sets the host name that a server is told.
    pub fn set_host_name(&mut self, _name: Option<&str>, _now: Instant) {}
    /// Takes a frame of the segment. Whatever is not for this client is dropped.
    pub fn handle_frame(&mut self, _frame: &Frame<'_>, _now: Instant) {}
    /// Does what is due.
    pub fn handle_timeout(&mut self, _now: Instant) {}
    /// The next frame to send, from the Ethernet header on.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.transmits.pop_front()
    }
    /// The next thing that happened to the configuration.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }
    /// When to call [`Client::handle_timeout`] next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        None
    }
    /// What the socket must pass just now.
    pub fn listening(&self) -> Listening {
        Listening::default()
    }
    /// Whose neighbour discovery concerns the client just now.
    pub fn neighbours(&self) -> impl Iterator<Item = Neighbour> + '_ {
        std::iter::empty()
    }
    /// The link-local address that the client speaks from.
    pub fn link_local(&self) -> Option<Ipv6Addr> {
        self.configuration.link_local
    }
    /// What the container is to have, as it was last told by an event.
    pub fn configuration(&self) -> &Configuration {
        &self.configuration
    }
    /// What is to be stored.
    pub fn saved(&self) -> Saved {
        Saved {}
    }
    /// Where the client stands.
    pub fn state(&self) -> State {
        self.state
    }
    /// What has been sent and heard so far.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }
    /// What the client was made with, and the host name that was set since.
    pub fn config(&self) -> &Config {
        &self.config
    }
}
