//! What a server says of a client's associations, as options, and what the client said of them.

use std::net::Ipv6Addr;
use std::ops::RangeInclusive;

use wire::dhcp6::{Builder, Ia, IaAddress, IaPrefix, Message, code};

use super::association::Says;
use super::site::Site;

/// What there is to say of both associations. What is empty is not mentioned.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answer {
    pub(crate) addresses: Vec<Says<Ipv6Addr>>,
    /// Each with its length.
    pub(crate) prefixes: Vec<Says<(Ipv6Addr, u8)>>,
}

impl Answer {
    /// Adds it to the answer to `message`; T1 and T2 in seconds.
    pub(crate) fn write(
        &self,
        mut answer: Builder,
        message: &Message<'_>,
        (t1, t2): (u32, u32),
    ) -> Builder {
        let header = |ia: Ia<'_>| Ia::header(ia.iaid, t1, t2);
        let na = message.options.ia_na().next().filter(|_| !self.addresses.is_empty());
        if let Some(ia) = na {
            answer = answer.nest(code::IA_NA, &header(ia), |ia| {
                self.addresses.iter().fold(ia, |ia, says| match *says {
                    Says::Grants(address, preferred, valid) => {
                        ia.option(code::IA_ADDRESS, &IaAddress::header(address, preferred, valid))
                    }
                    Says::Refuses(status) => {
                        ia.option(code::STATUS_CODE, &u16::from(status).to_be_bytes())
                    }
                })
            });
        }
        let pd = message.options.ia_pd().next().filter(|_| !self.prefixes.is_empty());
        if let Some(ia) = pd {
            answer = answer.nest(code::IA_PD, &header(ia), |ia| {
                self.prefixes.iter().fold(ia, |ia, says| match *says {
                    Says::Grants((prefix, length), preferred, valid) => {
                        let header = IaPrefix::header(prefix, length, preferred, valid);
                        ia.option(code::IA_PREFIX, &header)
                    }
                    Says::Refuses(status) => {
                        ia.option(code::STATUS_CODE, &u16::from(status).to_be_bytes())
                    }
                })
            });
        }
        answer
    }

    /// The same for half of the time.
    pub(crate) fn halved(&self) -> Answer {
        fn halve<A: Copy>(says: &Says<A>) -> Says<A> {
            match *says {
                Says::Grants(what, preferred, valid) => {
                    Says::Grants(what, preferred / 2, valid / 2)
                }
                Says::Refuses(status) => Says::Refuses(status),
            }
        }
        Answer {
            addresses: self.addresses.iter().map(halve).collect(),
            prefixes: self.prefixes.iter().map(halve).collect(),
        }
    }
}

/// The prefixes that are said, of their sites: as long as the client's own, or as it wishes.
pub(crate) fn cut(
    says: Vec<Says<Site>>,
    lengths: &RangeInclusive<u8>,
    message: &Message<'_>,
) -> Vec<Says<(Ipv6Addr, u8)>> {
    let held: Vec<_> = prefixes(message).collect();
    let wish = message.options.ia_pd().flat_map(|ia| ia.options.prefixes()).next();
    let wish = wish.map_or(0, |wish| wish.length).clamp(*lengths.start(), *lengths.end());
    let mut cut = Vec::new();
    for says in says {
        let (site, preferred, valid) = match says {
            Says::Grants(site, preferred, valid) => (site, preferred, valid),
            Says::Refuses(status) => {
                cut.push(Says::Refuses(status));
                continue;
            }
        };
        let here: Vec<_> = held.iter().filter(|(prefix, _)| Site::of(*prefix) == site).collect();
        if (preferred, valid) == (0, 0) && !here.is_empty() {
            cut.extend(here.into_iter().map(|gone| Says::Grants(*gone, 0, 0)));
            continue;
        }
        let own = here.iter().find(|(_, length)| lengths.contains(length));
        let given = own.map_or((site.prefix(), wish), |own| **own);
        // What else the client has of it goes.
        let gone = here.into_iter().filter(|one| **one != given);
        cut.extend(gone.map(|gone| Says::Grants(*gone, 0, 0)));
        cut.push(Says::Grants(given, preferred, valid));
    }
    cut
}

/// The addresses that a message names.
pub(crate) fn addresses(message: &Message<'_>) -> Vec<Ipv6Addr> {
    let named = message.options.ia_na().flat_map(|ia| ia.options.addresses());
    named.map(|address| address.address).collect()
}

/// The prefixes that a message names, with their lengths; a length alone is none.
pub(crate) fn prefixes(message: &Message<'_>) -> impl Iterator<Item = (Ipv6Addr, u8)> {
    let named = message.options.ia_pd().flat_map(|ia| ia.options.prefixes());
    let named = named.map(|prefix| (prefix.prefix, prefix.length));
    named.filter(|(prefix, _)| !prefix.is_unspecified())
}
