//! The sockets through which a segment hears and speaks.
//!
//! On a bridge both is one socket, at the port's inner end. On a parent Landfall hears at the parent
//! itself, where all passes that comes to any of its children from outside, from its siblings by unicast,
//! and what they send to all; and speaks through a child of its own, since what is sent on the parent
//! itself does not reach the children.

use net::{Filter, Membership, Netns, PacketSocket, Sees};

/// Hears nothing until its filter is changed.
pub(super) struct Line {
    hears: PacketSocket,
    /// None: the same.
    speaks: Option<PacketSocket>,
}

impl Line {
    /// At the inner end of a port on a bridge, which stands in `home`.
    pub(super) fn at_port(home: &Netns, inner: u32) -> net::Result<Line> {
        let hears = PacketSocket::open_in(home, inner, &Filter::nothing(), Sees::Incoming)?;
        Ok(Line { hears, speaks: None })
    }

    /// At a parent, and through the child of it that stands in `home`.
    pub(super) fn at_parent(home: &Netns, parent: u32, child: u32) -> net::Result<Line> {
        // Outgoing too: of what its children say to all, or to a MAC that has no child yet, it knows no more.
        let hears = PacketSocket::open(parent, &Filter::nothing(), Sees::IncomingAndOutgoing)?;
        let speaks = PacketSocket::open_in(home, child, &Filter::nothing(), Sees::Incoming)?;
        Ok(Line { hears, speaks: Some(speaks) })
    }

    /// At a parent that has no child of Landfall's.
    pub(super) fn at_parent_alone(parent: u32) -> net::Result<Line> {
        let hears = PacketSocket::open(parent, &Filter::nothing(), Sees::Incoming)?;
        Ok(Line { hears, speaks: None })
    }

    /// A second one at the same place, for what is sent to groups as well.
    pub(super) fn another(&self, home: &Netns, on_bridge: bool) -> net::Result<Line> {
        let hears = self.hears.ifindex();
        if on_bridge {
            return Line::at_port(home, hears);
        }
        let line = match &self.speaks {
            None => Line::at_parent_alone(hears)?,
            Some(child) => Line::at_parent(home, hears, child.ifindex())?,
        };
        line.hears.add_membership(Membership::AllMulticast)?;
        Ok(line)
    }

    /// The socket that hears.
    pub(super) fn hears(&self) -> &PacketSocket {
        &self.hears
    }

    /// Sends a frame, without waiting.
    pub(super) fn send(&self, frame: &[u8]) -> net::Result<()> {
        self.speaks.as_ref().unwrap_or(&self.hears).send(frame)
    }

    /// Has the network card let in what is sent to that MAC, which no child up in a sandbox may have
    /// asked it for; or no more. A bridge's card lets in everything.
    pub(super) fn admit(&self, mac: wire::MacAddr, admitted: bool) {
        if self.speaks.is_none() {
            return;
        }
        let membership = Membership::Unicast(mac);
        let told = match admitted {
            true => self.hears.add_membership(membership),
            false => self.hears.drop_membership(membership),
        };
        if let Err(error) = told {
            tracing::warn!(%error, %mac, "the network card may not let its answers in");
        }
    }
}
