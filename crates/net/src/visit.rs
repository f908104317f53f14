//! Short visits to other network namespaces, all made by one thread.
//!
//! A thread that enters a namespace and ends there is safe but dear: making it and ending it costs
//! more than what it does. Visits that are made again and again are made by one thread that stays.
//! It is in a foreign namespace only while a visit lasts, so it keeps none alive, and nothing else
//! ever runs on it. If it cannot come home it ends, and another takes its place.

use std::cell::Cell;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};

use tokio::sync::oneshot;

use crate::netns::spawn_at_home;
use crate::{Error, Netns, Result};

type Tour = Box<dyn FnOnce(&Traveller) + Send>;

/// The way to the thread, once there is one.
static TOURS: Mutex<Option<Sender<Tour>>> = Mutex::new(None);

/// What a tour is made with.
pub(crate) struct Traveller {
    home: Netns,
    lost: Cell<bool>,
}

impl Traveller {
    /// Runs `f` inside the namespace and comes home.
    ///
    /// # Errors
    /// When the namespace cannot be entered (EPERM; EINVAL when the file is no network namespace).
    pub(crate) fn visit<T>(&self, netns: &Netns, f: impl FnOnce() -> T) -> Result<T> {
        if self.lost.get() {
            return Err(stranded());
        }
        netns.enter()?;
        // A panic in `f` ends the thread, and the visit with it.
        let seen = f();
        if let Err(error) = self.home.enter() {
            tracing::error!(%error, "a thread does not come home from {netns} and ends");
            self.lost.set(true);
        }
        Ok(seen)
    }
}

/// Runs `tour` on the thread that makes visits, after those that were asked for before. It is
/// made to its end even if the future is dropped.
///
/// # Errors
/// When no thread is to be had, or the thread was lost on the way.
pub(crate) async fn tour<T: Send + 'static>(
    tour: impl FnOnce(&Traveller) -> T + Send + 'static,
) -> Result<T> {
    let (sender, receiver) = oneshot::channel();
    send(Box::new(move |traveller| drop(sender.send(tour(traveller)))))?;
    receiver.await.map_err(|_| stranded())
}

fn send(tour: Tour) -> Result<()> {
    let mut tours = TOURS.lock().unwrap_or_else(PoisonError::into_inner);
    match &*tours {
        Some(sender) => match sender.send(tour) {
            Ok(()) => Ok(()),
            Err(refused) => start(&mut tours, refused.0),
        },
        None => start(&mut tours, tour),
    }
}

fn start(tours: &mut Option<Sender<Tour>>, tour: Tour) -> Result<()> {
    let (sender, receiver) = channel();
    // The receiver is alive until the thread has it.
    let _ = sender.send(tour);
    spawn_at_home("visits", move || match Netns::open(Path::new("/proc/self/ns/net")) {
        Ok(home) => travel(home, &receiver),
        Err(error) => tracing::error!(%error, "no visits to other namespaces"),
    })
    .map_err(|e| Error::os("start a thread for visits to other namespaces", e))?;
    *tours = Some(sender);
    Ok(())
}

fn travel(home: Netns, tours: &Receiver<Tour>) {
    let traveller = Traveller { home, lost: Cell::new(false) };
    while !traveller.lost.get()
        && let Ok(tour) = tours.recv()
    {
        tour(&traveller);
    }
    if traveller.lost.get() {
        // Another thread makes the tours that are left, and those to come.
        *TOURS.lock().unwrap_or_else(PoisonError::into_inner) = None;
        for tour in tours.try_iter() {
            // One that cannot be made tells by its end.
            let _ = send(tour);
        }
    }
}

fn stranded() -> Error {
    Error::NoAnswer {
        tried: "visit another network namespace".to_owned(),
        seen: "the thread that makes such visits has ended".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn who_does_not_come_home_leaves_the_rest_to_another_thread() {
        let nowhere = Netns::from_fd(File::open("/dev/null").unwrap().into());
        let here = Netns::current().unwrap();
        let (sender, tours) = channel::<Tour>();
        let (told, reports) = channel();
        for _ in 0..2 {
            let (here, told) = (here.clone(), told.clone());
            let tour = move |traveller: &Traveller| {
                let visits = [(); 2].map(|()| traveller.visit(&here, || 7).ok());
                told.send((std::thread::current().id(), visits)).unwrap();
            };
            sender.send(Box::new(tour)).unwrap();
        }
        travel(nowhere, &tours);
        let (lost, visits) = reports.recv().unwrap();
        assert_eq!((lost, visits), (std::thread::current().id(), [Some(7), None]));
        let (other, visits) = reports.recv().unwrap();
        assert_ne!(other, lost);
        assert_eq!(visits, [Some(7), Some(7)]);
    }
}
