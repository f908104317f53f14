//! The TCP address for metrics, where one is asked for.
//!
//! Nothing of it may harm the driver: an address that another program has, or that the host has not yet, is tried for again,
//! and whoever connects cannot take all of the process's descriptors.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use std::{io, mem};

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Sleep, sleep};
use tokio_util::sync::CancellationToken;

/// Connections at a time; more wait in the kernel.
const CONNECTIONS: usize = 16;
/// How long one may last: who reads every few seconds comes again, and who is gone without a word leaves its place.
const LASTS: Duration = Duration::from_secs(60);
/// How often an address is tried for that cannot be listened on.
const TRIED_EVERY: Duration = Duration::from_secs(5);

/// An address that metrics are asked for at.
pub(crate) struct Address {
    address: SocketAddr,
    bound: io::Result<TcpListener>,
}

impl Address {
    /// Listens there at once, if that is possible.
    pub(crate) async fn bind(address: SocketAddr) -> Address {
        Address { address, bound: TcpListener::bind(address).await }
    }

    /// What comes in there, as soon as that is possible; none if `stop` comes first.
    pub(super) async fn listener(self, stop: &CancellationToken) -> Option<Few> {
        let Address { address, mut bound } = self;
        let mut said = false;
        loop {
            match bound {
                Ok(listener) => {
                    tracing::info!(%address, "metrics are served");
                    return Some(Few { listener, free: Arc::new(Semaphore::new(CONNECTIONS)) });
                }
                Err(error) if !mem::replace(&mut said, true) => tracing::error!(
                    %address, %error,
                    "no metrics there yet: tried again every {}s; --metrics-listen names another address, of this host and \
                     above 1023", TRIED_EVERY.as_secs()
                ),
                Err(_) => {}
            }
            tokio::select! {
                () = sleep(TRIED_EVERY) => bound = TcpListener::bind(address).await,
                () = stop.cancelled() => return None,
            }
        }
    }
}

/// A listener that has [`CONNECTIONS`] at a time.
pub(super) struct Few {
    listener: TcpListener,
    free: Arc<Semaphore>,
}

impl Listener for Few {
    type Io = Counted;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Counted, SocketAddr) {
        // It is never closed.
        let place = self.free.clone().acquire_owned().await.ok();
        let (stream, address) = Listener::accept(&mut self.listener).await;
        (Counted { stream, over: Box::pin(sleep(LASTS)), _place: place }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that counts as one until it is closed.
pub(super) struct Counted {
    stream: TcpStream,
    over: Pin<Box<Sleep>>,
    _place: Option<OwnedSemaphorePermit>,
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.over.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
