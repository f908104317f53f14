//! What a caller may tell a client.

use std::time::Duration;

use dhcp::Instant;
use dhcp::v4::Client;

use crate::coverage::Input;

/// A command to a client, as a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// [`Client::start`].
    Start,
    /// [`Client::renew`].
    Renew,
    /// [`Client::release`].
    Release,
    /// [`Client::set_host_name`].
    HostName(Option<&'static str>),
    /// [`Client::announce`].
    Announce,
    /// [`Client::hold`].
    Hold(bool),
    /// [`Client::confirm`], after that time.
    Confirm(Duration),
    /// [`Client::insist`].
    Insist,
}

impl Command {
    /// Gives the command.
    pub fn give(&self, client: &mut Client, now: Instant) {
        match *self {
            Command::Start => client.start(now),
            Command::Renew => client.renew(now),
            Command::Release => client.release(now),
            Command::HostName(name) => client.set_host_name(name, now),
            Command::Announce => client.announce(),
            Command::Hold(held) => client.hold(held),
            Command::Confirm(later) => client.confirm(now + later, now),
            Command::Insist => client.insist(now),
        }
    }

    pub(crate) fn input(&self) -> Input {
        match self {
            Command::Start => Input::Start,
            Command::Renew => Input::Renew,
            Command::Release => Input::Release,
            Command::HostName(_) => Input::HostName,
            Command::Announce => Input::Announce,
            Command::Hold(_) => Input::Hold,
            Command::Confirm(_) => Input::Confirm,
            Command::Insist => Input::Insist,
        }
    }
}
