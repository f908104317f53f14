//! Configuration without leases: Information-request (RFC 8415 §18.2.6, §18.2.10.4).

use std::net::Ipv6Addr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use wire::dhcp6::{Duid, INFINITY, KeptOptions, MessageType};

use super::Event;
use super::client::{Client, refusal};
use super::exchange::{Exchange, Pace, first_delay};
use super::grant::{dns, kept, search};
use super::phase::Phase;
use super::progress::{Reason, bump};
use super::reply::Answer;
use super::request::{Contents, Question};
use crate::Instant;

/// IRT_DEFAULT and IRT_MINIMUM in seconds (RFC 8415 §7.6, §21.23).
const REFRESH_DEFAULT: u32 = 86_400;
const REFRESH_MINIMUM: u32 = 600;

/// What a server says to a client that has no lease of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Information {
    /// The server's DUID.
    pub server: Duid,
    /// Domain name servers, best first (option 23).
    pub dns: Vec<Ipv6Addr>,
    /// Domains to search (option 24).
    pub search: Vec<Box<str>>,
    /// All other options of the last Reply that concern an endpoint and not the message.
    #[serde(default, skip_serializing_if = "KeptOptions::is_empty")]
    pub options: KeptOptions,
    /// When it is asked for anew (option 32): a day later if the server does not say, ten minutes
    /// at least.
    pub refresh_at: Instant,
    /// Whether the server wants to know of addresses that the endpoint made itself (RFC 9686 §4.1).
    pub registers: bool,
}

impl Client {
    /// Asks for configuration without leases, at once and again whenever its time is over: each
    /// answer is an [`Event::Informed`]. What there is asked for anew if it was asked for before.
    /// Does nothing while the client looks for a lease or has one.
    pub fn inform(&mut self, now: Instant) {
        if let Phase::Stopped | Phase::Informing(_) | Phase::Informed { .. } = self.phase {
            self.ask_for_information(now, now);
        }
    }

    fn ask_for_information(&mut self, at: Instant, now: Instant) {
        let exchange = Exchange::new(&mut self.rng, Pace::inform(self.inf_max_rt), at);
        self.phase = Phase::Informing(Box::new(exchange));
        self.inform_timeout(now);
    }

    /// Sends what is due.
    pub(crate) fn inform_timeout(&mut self, now: Instant) {
        match &mut self.phase {
            Phase::Informed { refresh_at } if now >= *refresh_at => {
                // RFC 8415 §18.2.6: INF_MAX_DELAY, so that not all ask at once.
                let at = now + first_delay(&mut self.rng);
                self.ask_for_information(at, now);
            }
            Phase::Informing(exchange) if now >= exchange.at => {
                exchange.step(now, &mut self.rng);
                let (xid, elapsed) = (exchange.xid, exchange.elapsed(now));
                let kind = MessageType::InformationRequest;
                let contents = Contents::default();
                self.send(&Question { kind, xid, elapsed, server: None, contents });
            }
            _ => {}
        }
    }

    /// A Reply to it.
    pub(crate) fn informed(&mut self, answer: &Answer<'_>, now: Instant) -> Result<(), Reason> {
        if let Some(refused) = refusal(answer) {
            self.note_refusal(refused);
            return Ok(());
        }
        let options = answer.options;
        let refresh = options.information_refresh_time().unwrap_or(REFRESH_DEFAULT);
        let refresh_at = match refresh.max(REFRESH_MINIMUM) {
            INFINITY => Instant::NEVER,
            seconds => now + Duration::from_secs(seconds.into()),
        };
        bump(&mut self.progress.replies);
        self.information = Some(Box::new(Information {
            server: Duid::new(answer.server).ok_or(Reason::NoServer)?,
            dns: dns(options),
            search: search(options),
            options: kept(options),
            refresh_at,
            registers: options.addr_reg_enable(),
        }));
        self.phase = Phase::Informed { refresh_at };
        self.emit(Event::Informed);
        Ok(())
    }
}
