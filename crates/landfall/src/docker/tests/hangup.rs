//! Callers that do not wait, and a daemon that does not wait for them.

use std::time::{Duration, Instant};

use super::fake::{Does, Fake};
use super::{Served, engine_28};

fn create_endpoint() -> Vec<u8> {
    engine_28("NetworkDriver.CreateEndpoint", br#"{"NetworkID":"n1","EndpointID":"e1"}"#)
}

async fn dropped(fake: &Fake) {
    let wait = tokio::time::timeout(Duration::from_secs(10), fake.dropped.acquire());
    wait.await.expect("the call is dropped").unwrap().forget();
}

/// What an engine does whose time-out is over: it closes the connection.
#[tokio::test]
async fn hanging_up_drops_the_call() {
    let fake = Fake::new(Does::Hang);
    let served = Served::new(fake.clone());
    let mut connection = served.connect().await;
    connection.send(&create_endpoint()).await;
    fake.begun.acquire().await.unwrap().forget();
    assert_eq!(fake.dropped.available_permits(), 0);
    drop(connection);
    dropped(&fake).await;
}

#[tokio::test]
async fn hanging_up_drops_a_later_call_of_the_connection_too() {
    let fake = Fake::new(Does::Hang);
    let served = Served::new(fake.clone());
    let mut connection = served.connect().await;
    assert_eq!(connection.exchange(&engine_28("Plugin.Activate", b"")).await.status, 200);
    connection.send(&create_endpoint()).await;
    fake.begun.acquire().await.unwrap().forget();
    drop(connection);
    dropped(&fake).await;
}

#[tokio::test]
async fn one_that_hangs_up_does_not_disturb_another() {
    let fake = Fake::new(Does::Hang);
    let served = Served::new(fake.clone());
    let (mut first, mut second) = (served.connect().await, served.connect().await);
    first.send(&create_endpoint()).await;
    second.send(&create_endpoint()).await;
    fake.begun.acquire_many(2).await.unwrap().forget();
    drop(first);
    dropped(&fake).await;
    // The other is dropped only when its own caller goes.
    assert_eq!(fake.dropped.available_permits(), 0);
    drop(second);
    dropped(&fake).await;
}

#[tokio::test]
async fn a_stop_ends_idle_connections_at_once() {
    let served = Served::new(Fake::new(Does::Answer));
    let mut connection = served.connect().await;
    assert_eq!(connection.exchange(&engine_28("Plugin.Activate", b"")).await.status, 200);
    let stopped = Instant::now();
    served.stop.cancel();
    served.task.await.unwrap();
    assert!(stopped.elapsed() < super::super::GRACE);
    assert!(connection.reply().await.is_none());
}

/// What is under way may finish; what does not is dropped, and its caller told.
#[tokio::test]
async fn a_stop_does_not_wait_for_long_calls() {
    let fake = Fake::new(Does::Hang);
    let served = Served::new(fake.clone());
    let mut connection = served.connect().await;
    connection.send(&create_endpoint()).await;
    fake.begun.acquire().await.unwrap().forget();
    let stopped = Instant::now();
    served.stop.cancel();
    let reply = connection.reply().await.unwrap();
    assert!(stopped.elapsed() >= super::super::GRACE);
    assert_eq!(reply.status, 503);
    assert!(reply.error().contains("stopping"), "{reply:?}");
    dropped(&fake).await;
    served.task.await.unwrap();
}

#[tokio::test]
async fn after_a_stop_nobody_is_served() {
    let served = Served::new(Fake::new(Does::Answer));
    served.stop.cancel();
    let path = served.folder.path().join("landfall.sock");
    served.task.await.unwrap();
    let error = tokio::net::UnixStream::connect(path).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
}
