//! HTTP as the engines use it, and as other clients may.

use super::fake::{Does, Fake};
use super::{Served, engine_20, engine_28};

const MEDIA_TYPE: &str = "application/vnd.docker.plugins.v1.2+json";

#[tokio::test]
async fn activates_for_every_engine() {
    let served = Served::new(Fake::new(Does::Answer));
    for request in [engine_20("Plugin.Activate", b""), engine_28("Plugin.Activate", b"")] {
        let reply = served.connect().await.exchange(&request).await;
        assert_eq!((reply.status, &*reply.content_type), (200, MEDIA_TYPE));
        assert_eq!(reply.body, r#"{"Implements":["NetworkDriver","IpamDriver"]}"#);
    }
}

#[tokio::test]
async fn one_connection_serves_many_calls() {
    let fake = Fake::new(Does::Answer);
    let served = Served::new(fake.clone());
    let mut connection = served.connect().await;
    for _ in 0..3 {
        let request = engine_28("NetworkDriver.DeleteNetwork", br#"{"NetworkID":"n1"}"#);
        assert_eq!(connection.exchange(&request).await.body, "{}");
        // A refused call leaves the connection as it was.
        let request = engine_28("NetworkDriver.DeleteNetwork", b"{}");
        assert_eq!(connection.exchange(&request).await.status, 400);
    }
    assert_eq!(fake.asked(), ["delete network n1"; 3]);
}

#[tokio::test]
async fn takes_a_chunked_body() {
    let fake = Fake::new(Does::Answer);
    let served = Served::new(fake.clone());
    let request = "POST /NetworkDriver.Leave HTTP/1.1\r\nHost: x\r\n\
                   Transfer-Encoding: chunked\r\n\r\n\
                   11\r\n{\"NetworkID\":\"n1\"\r\n12\r\n,\"EndpointID\":\"e1\"\r\n1\r\n}\r\n0\r\n\r\n";
    let reply = served.connect().await.exchange(request.as_bytes()).await;
    assert_eq!((reply.status, &*reply.body), (200, "{}"));
    assert_eq!(fake.asked(), ["leave n1 e1"]);
}

#[tokio::test]
async fn takes_a_body_that_comes_byte_by_byte() {
    let fake = Fake::new(Does::Answer);
    let served = Served::new(fake.clone());
    let mut connection = served.connect().await;
    for byte in engine_28("NetworkDriver.DeleteNetwork", b"{\"NetworkID\":\"n1\"}\n") {
        connection.send(&[byte]).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(connection.reply().await.unwrap().body, "{}");
    assert_eq!(fake.asked(), ["delete network n1"]);
}

#[tokio::test]
async fn content_type_does_not_matter() {
    let served = Served::new(Fake::new(Does::Answer));
    for content_type in ["", "Content-Type: application/json\r\n", "Content-Type: text/plain\r\n"] {
        let request = format!(
            "POST /NetworkDriver.DeleteNetwork HTTP/1.1\r\nHost: x\r\n{content_type}\
             Content-Length: 18\r\n\r\n{{\"NetworkID\":\"n1\"}}"
        );
        assert_eq!(served.connect().await.exchange(request.as_bytes()).await.body, "{}");
    }
}

#[tokio::test]
async fn unknown_paths_are_404_with_a_reason() {
    let served = Served::new(Fake::new(Does::Answer));
    for call in ["", "NetworkDriver.Dance", "IpamDriver.Dance", "networkdriver.leave"] {
        let reply = served.call(call, "{}").await;
        assert_eq!((reply.status, &*reply.content_type), (404, MEDIA_TYPE));
        assert!(reply.error().contains(&format!("/{call}:")), "{reply:?}");
    }
}

#[tokio::test]
async fn only_posts_are_calls() {
    let served = Served::new(Fake::new(Does::Answer));
    let request = b"GET /NetworkDriver.GetCapabilities HTTP/1.1\r\nHost: x\r\n\r\n";
    let reply = served.connect().await.exchange(request).await;
    assert_eq!((reply.status, &*reply.content_type), (405, MEDIA_TYPE));
    assert!(reply.error().contains("POST"), "{reply:?}");
}
