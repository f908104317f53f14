//! Memory is bounded by what came in: mostly it is none.

use std::hint::black_box;

use allocation_counter::{AllocationInfo, measure};
use wire::dhcp6::{Duid, Message, Options};

use crate::common::{option, reply};

fn of<T>(run: impl FnOnce() -> T) -> AllocationInfo {
    measure(|| {
        black_box(run());
    })
}

#[test]
fn decoding_allocates_nothing() {
    let ia = option(3, &[&[0; 12][..], &option(5, &[1; 24]).repeat(100)].concat());
    let payload = reply(&[ia, option(23, &[1; 1600])].concat().repeat(10));
    let used = of(|| {
        let options = Message::parse(&payload).unwrap().options;
        let addresses: usize = options.ia_na().map(|ia| ia.options.addresses().count()).sum();
        assert_eq!((addresses, options.dns_servers().count()), (1000, 100));
        options.status().code
    });
    assert_eq!(used.count_total, 0);
}

#[test]
fn lists_of_domains_are_bounded() {
    let name = [&[63][..], &[b'a'; 63]].concat();
    let long = [&name[..], &name, &name, &[61], &[b'a'; 61], &[0]].concat();
    let bytes = option(24, &long.repeat(200));
    let used = of(|| Options::new(&bytes).domain_list());
    assert!(used.bytes_max < 32 * 600, "{} bytes at once", used.bytes_max);
}

#[test]
fn a_duid_takes_what_it_holds() {
    let used = of(|| std::mem::forget(Duid::new(&[7; 40])));
    assert_eq!((used.count_total, used.bytes_current), (1, 40));
}
