//! Which input can come in which state.

use dhcp::v4::State::{self, *};
use sim::Coverage;
use sim::Input::{self, *};

/// The pairs that cannot be, with the reason.
const CANNOT: [(&[State], &[Input], &str); 6] = [
    (&[Stopped, Init, Bound, V6OnlyWait], &[Offer, Ack, Nak], "no answer is waited for"),
    // An ACK may come where the client asks for a lease at once (RFC 4039), or did so.
    (&[Selecting], &[Nak], "nothing was requested"),
    (&[Releasing], &[Offer, Nak], "nothing is looked for"),
    (&[Probing, Renewing, Rebinding, Rebooting, Confirming], &[Offer], "no DISCOVER was sent"),
    (
        &[Stopped, Releasing, V6OnlyWait],
        &[ArpConflict, ArpProbe, ArpQuestion],
        "there is no address to be watched or held",
    ),
    (
        &[
            Stopped, Init, Selecting, Requesting, Probing, Bound, Rebinding, Rebooting, Confirming,
            V6OnlyWait,
        ],
        &[ArpNextHop],
        "nothing is sent to a next hop",
    ),
];

/// Why `input` cannot come in `state`.
pub(crate) fn why_not(state: State, input: Input) -> Option<&'static str> {
    let row = CANNOT
        .iter()
        .find(|(states, inputs, _)| states.contains(&state) && inputs.contains(&input));
    row.map(|(.., why)| *why)
}

pub(crate) fn assert_none_that_cannot_be(coverage: &Coverage) {
    for (state, input, count) in coverage.pairs() {
        if let Some(why) = why_not(state, input) {
            assert_eq!(count, 0, "{input:?} in {state}, although {why}");
        }
    }
}

pub(crate) fn assert_all_others(coverage: &Coverage) {
    let missing: Vec<_> = coverage
        .pairs()
        .filter(|(state, input, count)| *count == 0 && why_not(*state, *input).is_none())
        .map(|(state, input, _)| format!("{input:?} in {state}"))
        .collect();
    assert!(missing.is_empty(), "never seen: {missing:?}");
}
