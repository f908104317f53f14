//! What all programs of ports and endpoints' links begin with: of which frames they are.

use crate::bpf::extended::{Instruction, R0, R6, Size, Test};
use crate::bpf::{Label, Program};

// Offsets in the context (`struct __sk_buff`).
const VLAN_PRESENT: i16 = 20;
const VLAN_TAG: i16 = 24;

/// Offset in the frame.
const ETHERTYPE: i32 = 12;

const VLAN_ID_BITS: i32 = 0x0fff;

/// Goes on with frames of the segment itself, untagged or with a tag that names no VLAN: R0 = the
/// ethertype. The context is in R6.
pub(crate) fn segment_frame(p: &mut Program<Instruction>, drop: Label) {
    let untagged = p.label();
    // Some kernels leave an old tag in place when they clear the flag.
    p.load(Size::Word, R0, R6, VLAN_PRESENT);
    p.jump_if(R0, Test::Equal, 0, untagged);
    p.load(Size::Word, R0, R6, VLAN_TAG);
    p.jump_if(R0, Test::Bits, VLAN_ID_BITS, drop);
    p.place(untagged);
    p.frame(Size::Half, ETHERTYPE);
}
