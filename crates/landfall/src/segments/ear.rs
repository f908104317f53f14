//! Ears: what a server sends to an endpoint's MAC goes to the endpoint's own link and never passes
//! the port. So while an exchange is under way, a socket on the host's end of that link hears it.

use std::sync::Weak;

use net::PacketSocket;
use tokio::task::AbortHandle;
use wire::MacAddr;

use super::drive::FRAME_BYTES;
use super::segment::Segment;

/// Reads at an endpoint's own link until it is dropped or the link is gone.
pub(super) struct Ear(AbortHandle);

impl Ear {
    /// Listens on the host's end of the veth of the endpoint with that MAC; what it is sent is
    /// handed to the segment.
    fn open(link: u32, segment: Weak<Segment>, mac: MacAddr) -> net::Result<Ear> {
        let socket = PacketSocket::open_ear(link)?;
        Ok(Ear(tokio::spawn(listen(segment, socket, mac)).abort_handle()))
    }

    /// Listens at `link`, while an exchange is under way, and not without one.
    pub(super) fn follow(
        ear: &mut Option<Ear>,
        link: Option<u32>,
        segment: &Weak<Segment>,
        mac: MacAddr,
    ) {
        let Some(link) = link else {
            *ear = None;
            return;
        };
        if ear.is_none() {
            match Ear::open(link, segment.clone(), mac) {
                Ok(opened) => *ear = Some(opened),
                Err(error) => tracing::warn!(%error, link, %mac, "cannot listen"),
            }
        }
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn listen(segment: Weak<Segment>, socket: PacketSocket, mac: MacAddr) {
    let mut buffer = vec![0; FRAME_BYTES];
    loop {
        let received = match socket.recv(&mut buffer).await {
            Ok(received) => received,
            Err(error) => {
                tracing::debug!(%error, %mac, "the endpoint's link cannot be read any more");
                return;
            }
        };
        let (Some(segment), Some(bytes)) = (segment.upgrade(), buffer.get(..received.len)) else {
            return;
        };
        // What goes out here goes to the endpoint. What comes in is the container's own word,
        // and a container does not tell us what its server says.
        if received.outgoing {
            segment.handle_frame(bytes, received.checksum);
        }
    }
}
