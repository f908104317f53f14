//! What a container's name had on a segment, and has again when it comes back after all else of it is forgotten.
//!
//! The MAC that belongs to a name by itself is made of it (`stable_mac`); one out of the stock must be kept. Servers know a
//! client by what is made of the MAC, and most of them remember whom they gave which address. Not all: Kea gives one that was
//! given back to whoever asks for any. So the address is asked for.

use dhcp::ipv6::Origin;
use jiff::Timestamp;
use wire::MacAddr;

use super::ids::EndpointId;
use super::{Endpoint, Engine, State};
use crate::store::{Change, NameRecord};

/// How many names of a segment are kept. Of more, those go that were not asked for for longest.
const MOST_NAMES: usize = 1000;

impl Engine {
    /// An endpoint gives its lease back: its name would like to have the addresses again.
    pub(super) fn remember_addresses(&self, state: &mut State, id: &EndpointId) {
        let Some(endpoint) = state.endpoints.get(id) else { return };
        let Some(name) = endpoint.called() else { return };
        let segment = endpoint.network.options.segment_name();
        let known = state.known(&segment, name);
        let own = known.map(|known| known.mac);
        let own = own.unwrap_or_else(|| self.mac_of_name(&endpoint.network, name));
        let address = endpoint.lease().map(|lease| lease.address);
        let view = endpoint.segment.as_ref().and_then(|s| s.ipv6()?.view(endpoint.mac));
        let leased = view.and_then(|view| {
            let all = view.configuration.addresses.into_iter();
            all.filter(|address| address.origin == Origin::Dhcp).map(|a| a.address).next()
        });
        // With a MAC that the user gave it is known by that.
        if endpoint.mac != own || (address.is_none() && leased.is_none()) {
            return;
        }
        // On another network of the segment it may have had one of the other family.
        let record = NameRecord {
            key: NameRecord::key(&segment, name),
            mac: own,
            address: address.or(known.and_then(|known| known.address)),
            address6: leased.or(known.and_then(|known| known.address6)),
            used: Timestamp::now(),
        };
        for change in state.keep_name(&segment, record) {
            self.0.store.commit_later(change);
        }
    }
}

impl State {
    /// What a name had on a segment.
    pub(super) fn known(&self, segment: &str, name: &str) -> Option<&NameRecord> {
        self.names.get(&NameRecord::key(segment, name))
    }

    /// Notes that a name has this MAC; what is to be kept of that.
    pub(super) fn give(&mut self, segment: &str, name: &str, mac: MacAddr) -> Vec<Change> {
        let had = self.known(segment, name).filter(|had| had.mac == mac);
        let (address, address6) = had.map(|had| (had.address, had.address6)).unwrap_or_default();
        let (key, used) = (NameRecord::key(segment, name), Timestamp::now());
        self.keep_name(segment, NameRecord { key, mac, address, address6, used })
    }

    fn keep_name(&mut self, segment: &str, record: NameRecord) -> Vec<Change> {
        let mut changes = vec![Change::PutName(Box::new(record.clone()))];
        self.names.insert(record.key.clone(), record);
        let beside = NameRecord::key(segment, "");
        let of_segment = self.names.values().filter(|record| record.key.starts_with(&*beside));
        if of_segment.clone().count() > MOST_NAMES
            && let Some(oldest) = of_segment.min_by_key(|record| record.used)
        {
            let key = oldest.key.clone();
            self.names.remove(&key);
            changes.push(Change::DeleteName(key));
        }
        changes
    }
}

impl Endpoint {
    /// The name by which it is known again: the one that `identity` says, or its container's.
    fn called(&self) -> Option<&str> {
        self.options.identity.as_deref().or(self.name.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_known_until_a_thousand_others_were_asked_for() {
        let mut state = State::default();
        let mac = |n: usize| MacAddr([2, 0, 0, 0, (n / 256) as u8, n as u8]);
        let mac_of = |state: &State, segment, name| state.known(segment, name).map(|had| had.mac);
        for n in 0..MOST_NAMES {
            assert_eq!(state.give("br0", &format!("c{n}"), mac(n)).len(), 1);
        }
        assert_eq!(mac_of(&state, "br0", "c0"), Some(mac(0)));
        assert_eq!(mac_of(&state, "br1", "c0"), None);
        // Asked for again: another is the oldest now.
        state.give("br0", "c0", mac(0));
        assert_eq!(state.give("br1", "c1", mac(7)).len(), 1, "each interface has its own");
        let changes = state.give("br0", "new", mac(9));
        assert!(
            matches!(&changes[..], [Change::PutName(_), Change::DeleteName(key)] if **key == *"br0/c1")
        );
        assert_eq!(mac_of(&state, "br0", "c1"), None);
        assert_eq!(mac_of(&state, "br0", "c0"), Some(mac(0)));
        assert_eq!(mac_of(&state, "br0", "new"), Some(mac(9)));
    }
}
