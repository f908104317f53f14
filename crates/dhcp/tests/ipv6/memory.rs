//! What an idle client costs.

use allocation_counter::measure;
use dhcp::ipv6::Client;

use super::bench::*;
use super::lan::*;

/// The bytes of an idle client, and those it owns.
fn cost(make: impl FnOnce() -> Client) -> u64 {
    let mut client = None;
    let owned = measure(|| client = Some(make())).bytes_current;
    drop(client);
    size_of::<Client>() as u64 + u64::try_from(owned).unwrap()
}

/// Lets the bench go on until all is checked and announced.
fn idle(mut bench: Bench) -> Client {
    bench.run(|client, _| client.announce());
    bench.until(60.0);
    let Bench { client, sent, events, .. } = bench;
    drop((sent, events));
    client
}

#[test]
fn an_idle_client_is_small() {
    let said = || router().prefix(86_400, 14_400).dns("2001:db8:1::53", 3600).search("lan", 3600);
    let slaac = cost(|| idle(Bench::addressed(&said())));
    let leased = cost(|| {
        let mut bench = Bench::started();
        bench.advertise(&router().managed());
        bench.lease();
        idle(bench)
    });
    println!("SLAAC {slaac}, leased {leased}");
    assert!(slaac <= 1536, "{slaac} bytes with SLAAC");
    assert!(leased <= 2048, "{leased} bytes with a lease");
}
