//! Which input a client got in which state.

use std::fmt;

use dhcp::v4::State;

/// All states of a client, in the order of its life.
pub const STATES: [State; 12] = [
    State::Stopped,
    State::Init,
    State::Selecting,
    State::Requesting,
    State::Probing,
    State::Bound,
    State::Renewing,
    State::Rebinding,
    State::Rebooting,
    State::Confirming,
    State::Releasing,
    State::V6OnlyWait,
];

/// What a client gets. *Taken* is a message that the client believed, *ignored* one that it counted
/// in [`dhcp::v4::Ignored`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// A DHCPOFFER that is taken, if only into account.
    Offer,
    /// A DHCPOFFER that is ignored.
    OfferIgnored,
    /// A DHCPACK that is taken.
    Ack,
    /// A DHCPACK that is ignored.
    AckIgnored,
    /// A DHCPNAK that is taken.
    Nak,
    /// A DHCPNAK that is ignored.
    NakIgnored,
    /// A message for this client that no server sends to clients, or of no type.
    OtherMessage,
    /// A datagram to port 68 that is no DHCP message.
    Malformed,
    /// A message for another client.
    ForAnother,
    /// ARP of another machine that has the address of the client.
    ArpConflict,
    /// Another machine's probe for the address of the client.
    ArpProbe,
    /// ARP that tells where the next hop is.
    ArpNextHop,
    /// A question for the address of the client.
    ArpQuestion,
    /// ARP that has come back to its sender.
    ArpOwn,
    /// Any other ARP.
    ArpOther,
    /// `handle_timeout` when something is due.
    Timeout,
    /// `handle_timeout` too early.
    Early,
    /// `start`.
    Start,
    /// `renew`.
    Renew,
    /// `release`.
    Release,
    /// `set_host_name`.
    HostName,
    /// `announce`.
    Announce,
    /// `hold`.
    Hold,
    /// `confirm`.
    Confirm,
    /// `insist`.
    Insist,
}

/// All inputs, with their names in the table.
pub const INPUTS: [(Input, &str); 25] = [
    (Input::Offer, "OFFER taken"),
    (Input::OfferIgnored, "OFFER ignored"),
    (Input::Ack, "ACK taken"),
    (Input::AckIgnored, "ACK ignored"),
    (Input::Nak, "NAK taken"),
    (Input::NakIgnored, "NAK ignored"),
    (Input::OtherMessage, "other message"),
    (Input::Malformed, "malformed"),
    (Input::ForAnother, "for another"),
    (Input::ArpConflict, "ARP conflict"),
    (Input::ArpProbe, "ARP probe"),
    (Input::ArpNextHop, "ARP next hop"),
    (Input::ArpQuestion, "ARP question"),
    (Input::ArpOwn, "ARP own"),
    (Input::ArpOther, "ARP other"),
    (Input::Timeout, "time-out"),
    (Input::Early, "time-out early"),
    (Input::Start, "start"),
    (Input::Renew, "renew"),
    (Input::Release, "release"),
    (Input::HostName, "set_host_name"),
    (Input::Announce, "announce"),
    (Input::Hold, "hold"),
    (Input::Confirm, "confirm"),
    (Input::Insist, "insist"),
];

/// How often each input came in each state.
#[derive(Debug, Clone, Default)]
pub struct Coverage {
    counts: [[u64; STATES.len()]; INPUTS.len()],
}

impl Coverage {
    pub(crate) fn count(&mut self, state: State, input: Input) {
        let (row, column) = place(state, input);
        self.counts[row][column] += 1;
    }

    /// Adds what another run has reached.
    pub fn add(&mut self, other: &Coverage) {
        for (row, others) in self.counts.iter_mut().zip(&other.counts) {
            for (count, other) in row.iter_mut().zip(others) {
                *count += other;
            }
        }
    }

    /// How often `input` came in `state`.
    pub fn of(&self, state: State, input: Input) -> u64 {
        let (row, column) = place(state, input);
        self.counts[row][column]
    }

    /// All pairs, with their counts.
    pub fn pairs(&self) -> impl Iterator<Item = (State, Input, u64)> {
        self.counts.iter().zip(INPUTS).flat_map(|(row, (input, _))| {
            row.iter().zip(STATES).map(move |(count, state)| (state, input, *count))
        })
    }
}

fn place(state: State, input: Input) -> (usize, usize) {
    let row = INPUTS.iter().position(|(other, _)| *other == input).expect("all are there");
    let column = STATES.iter().position(|other| *other == state).expect("all are there");
    (row, column)
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:14}", "")?;
        for state in STATES {
            write!(f, " {state:>10}")?;
        }
        for (row, (_, name)) in self.counts.iter().zip(INPUTS) {
            write!(f, "\n{name:14}")?;
            for count in row {
                write!(f, " {count:>10}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_kept_by_pair_and_added() {
        let mut one = Coverage::default();
        one.count(State::Bound, Input::Ack);
        let mut all = one.clone();
        all.add(&one);
        assert_eq!(all.of(State::Bound, Input::Ack), 2);
        assert_eq!(all.pairs().map(|(.., count)| count).sum::<u64>(), 2);
        assert_eq!(all.pairs().count(), 300);
    }
}
