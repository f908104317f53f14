//! The loop over a port's socket and its timer.

use net::{BootTimer, PacketSocket};
use wire::frame::Checksum;

/// A jumbo frame with its header: nothing longer comes out of a packet socket here.
pub(super) const FRAME_BYTES: usize = 9216;
/// How many frames are read before a timer that has fired gets its turn.
const FRAMES_FIRST: usize = 64;

/// Hands on what comes in and tells when the timer has fired, until one of them fails.
pub(super) async fn drive(
    interface: &str,
    socket: &PacketSocket,
    timer: &BootTimer,
    frame: impl Fn(&[u8], Checksum),
    fired: impl Fn(),
) {
    let mut buffer = vec![0; FRAME_BYTES];
    loop {
        tokio::select! {
            received = socket.recv(&mut buffer) => match received {
                Ok(received) => {
                    if let Some(bytes) = buffer.get(..received.len) {
                        frame(bytes, received.checksum);
                    }
                }
                // It may come up again.
                Err(error) if error.is_down() => tracing::warn!(%error, interface, "the port is down"),
                Err(error) => {
                    tracing::error!(%error, interface, "the port cannot be read");
                    return;
                }
            },
            told = timer.fired() => match told {
                Ok(()) => {
                    catch_up(interface, socket, &mut buffer, &frame);
                    fired();
                }
                Err(error) => {
                    tracing::error!(%error, interface, "no timer any more");
                    return;
                }
            },
        }
    }
}

/// What came before a time was over counts, though nobody has read it yet.
fn catch_up(
    interface: &str,
    socket: &PacketSocket,
    buffer: &mut [u8],
    frame: &impl Fn(&[u8], Checksum),
) {
    for _ in 0..FRAMES_FIRST {
        match socket.try_recv(buffer) {
            Ok(Some(received)) => {
                if let Some(bytes) = buffer.get(..received.len) {
                    frame(bytes, received.checksum);
                }
            }
            Ok(None) => break,
            Err(error) => {
                tracing::warn!(%error, interface, "the port is down");
                break;
            }
        }
    }
}
