//! Who is who: RFC 8415 §11, RFC 6355.

use wire::MacAddr;
use wire::dhcp6::Duid;

#[test]
fn a_duid_of_a_mac() {
    let duid = Duid::link_layer(MacAddr([2, 0, 0, 0, 0, 0x42]));
    assert_eq!(duid[..], [0, 3, 0, 1, 2, 0, 0, 0, 0, 0x42]);
    assert_eq!(duid.to_string(), "00030001020000000042");
}

#[test]
fn a_duid_of_a_uuid() {
    let duid = Duid::uuid([0xab; 16]);
    assert_eq!(duid[..2], [0, 4]);
    assert_eq!(duid[2..], [0xab; 16]);
}

#[test]
fn a_duid_has_3_to_130_bytes() {
    for length in 0..300 {
        let duid = Duid::new(&vec![1; length]);
        assert_eq!(duid.is_some(), (3..=130).contains(&length), "{length}");
    }
}

#[test]
fn a_duid_survives_the_store() {
    let duid = Duid::link_layer(MacAddr([2, 0, 0, 0, 0, 0x42]));
    let text = serde_json::to_string(&duid).unwrap();
    assert_eq!(text, "\"00030001020000000042\"");
    assert_eq!(serde_json::from_str::<Duid>(&text).unwrap(), duid);
    for wrong in ["\"\"", "\"0003\"", "\"000301x0\"", "\"00030\"", "7", "\"é0030001\""] {
        assert!(serde_json::from_str::<Duid>(wrong).is_err(), "{wrong}");
    }
}
