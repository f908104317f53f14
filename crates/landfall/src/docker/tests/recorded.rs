//! What engines really sent: every byte of a network's life, played to the driver.
//!
//! Recorded from Debian's Docker Engines with a plugin that wrote down what came in. On each:
//! `docker network create --ipam-driver null -o bridge=br0 -o lease_timeout=20s lan`; `docker run`
//! with `--hostname web -p 8080:80`, then one with `--mac-address` and `--dns`; `network rm lan`;
//! a network with `--internal` and Docker's own IPAM driver, and a container on it; on 28.5 one
//! with `--ipv6`, which the others refuse with the null IPAM driver.

use super::Served;
use super::fake::{Does, Fake};

/// Plays a recording on one connection: each call with what the engine was asked and what was
/// answered. Identifiers are shortened.
async fn play(recording: &[u8]) -> String {
    let fake = Fake::new(Does::Answer);
    let served = Served::new(fake.clone());
    let mut connection = served.connect().await;
    let mut told = String::new();
    let mut rest = recording;
    while !rest.is_empty() {
        let head = rest.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap() + 4;
        let text = std::str::from_utf8(&rest[..head]).unwrap();
        let length = text.split("Content-Length: ").nth(1).unwrap().lines().next().unwrap();
        let (request, later) = rest.split_at(head + length.parse::<usize>().unwrap());
        let reply = connection.exchange(request).await;
        assert_eq!(reply.status, 200, "{text}: {reply:?}");
        let call = text.split(' ').nth(1).unwrap();
        told += &format!("{call}\n");
        for asked in fake.asked() {
            told += &format!("  asks    {}\n", shortened(&asked));
        }
        told += &format!("  answers {}\n", shortened(&reply.body));
        rest = later;
    }
    told
}

/// Cuts what looks like an identifier of 64 digits down to the twelve that people know.
fn shortened(text: &str) -> String {
    let mut out = String::new();
    let mut digits = 0;
    for c in text.chars() {
        digits = if c.is_ascii_hexdigit() { digits + 1 } else { 0 };
        if digits <= 12 {
            out.push(c);
        }
    }
    out
}

#[tokio::test]
async fn engine_20_10() {
    insta::assert_snapshot!(play(include_bytes!("recorded/engine-20.10.24.http")).await);
}

#[tokio::test]
async fn engine_26_1() {
    insta::assert_snapshot!(play(include_bytes!("recorded/engine-26.1.5.http")).await);
}

#[tokio::test]
async fn engine_28_5() {
    insta::assert_snapshot!(play(include_bytes!("recorded/engine-28.5.2.http")).await);
}
