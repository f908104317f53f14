//! What is asked of a LAN where it is silent, to find out why: by the engine where a container's start fails, and by
//! `landfall doctor`. No lease comes of it.

mod foreign;
mod offers;

pub(crate) use foreign::{Foreign, judge};
#[cfg(test)]
pub(crate) use offers::sample;
pub(crate) use offers::{Offer, offers, past_firewall};
