//! A short run over all that takes bytes from outside, with what was recorded spoilt at random; another one each time.
//! The long one, guided by the code that is reached, is `make fuzz`.

#![allow(clippy::expect_used, reason = "tests")]

use fastrand::Rng;

/// How many inputs each of them gets.
const INPUTS: u64 = 100_000;

/// `run` holds whatever it is given, and at least this share (in %) of it is something to look at.
fn hammer(module: &str, at_least: u64, run: impl Fn(&[u8]) -> bool) {
    let seeds = hostile::recorded::inputs(module);
    // As it came, it is understood.
    for seed in &seeds {
        assert!(run(seed), "{module} takes for nothing: {}", seed.escape_ascii());
    }
    let looked_at = std::cell::Cell::new(0);
    let first = getrandom::u64().expect("randomness") >> 1;
    let whole = sim::seeds(module, first..first + INPUTS, |seed| {
        let input = spoilt(&seeds, &mut Rng::with_seed(seed));
        looked_at.set(looked_at.get() + u64::from(run(&input)));
    });
    let share = looked_at.get() * 100 / INPUTS;
    println!("{module}: {INPUTS} inputs from seed {first}, {share} % of them something to look at");
    assert!(!whole || share >= at_least, "{share} % of the inputs were something to look at");
}

/// One of `seeds`, or noise, changed in some places.
fn spoilt(seeds: &[Vec<u8>], rng: &mut Rng) -> Vec<u8> {
    // Where a life is made of it, a list goes on as long as there are odd bytes.
    let odd = rng.u8(..);
    let noise = |rng: &mut Rng, most| -> Vec<u8> {
        let length = rng.usize(..most);
        let byte = || rng.u8(..) | u8::from(rng.u8(..) < odd);
        std::iter::repeat_with(byte).take(length).collect()
    };
    let mut input = rng.choice(seeds).cloned().unwrap_or_else(|| noise(rng, 2_000));
    for _ in 0..rng.usize(..6) {
        let place = rng.usize(..=input.len());
        let end = place + rng.usize(..=(input.len() - place).min(64));
        match rng.u8(..7) {
            0 => input.truncate(place),
            1 => drop(input.drain(place..end)),
            2 => input.extend_from_within(place..end),
            3 => drop(input.splice(place..place, noise(rng, 32))),
            4 => drop(input.splice(place..end, rng.choice(seeds).cloned().unwrap_or_default())),
            // Where lengths, counts and lifetimes end; and what JSON knows of it.
            5 => {
                let edges: [&[u8]; 8] =
                    [&[0], &[255], &[0x7f, 0xff], &[0xff; 4], &[0; 8], b"null", b"-1", b"\"\""];
                let edge = rng.choice(edges).unwrap_or_default();
                drop(
                    input
                        .splice(place..(place + edge.len()).min(input.len()), edge.iter().copied()),
                );
            }
            _ => {
                if let Some(byte) = input.get_mut(place) {
                    *byte ^= 1 << rng.u8(..8);
                }
            }
        }
    }
    input
}

/// A test for each module.
macro_rules! hammer {
    ($($module:ident: $at_least:literal %,)*) => {
        $(
            #[test]
            fn $module() {
                hammer(stringify!($module), $at_least, hostile::$module::run);
            }
        )*
    };
}

hammer! {
    dhcp4_client: 60 %,
    dhcp4_decode: 20 %,
    dhcp4_differential: 50 %,
    dhcp6_client: 60 %,
    dhcp6_decode: 50 %,
    frame_decode: 30 %,
    ipv6_client: 60 %,
    nd_decode: 10 %,
    plugin_body: 10 %,
    store_record: 10 %,
}
