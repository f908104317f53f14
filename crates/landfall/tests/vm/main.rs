//! The daemon on a kernel that has what this machine's may not have: VLANs, bridges that filter them, ipvlan.
//!
//! The tests below are ignored here, and run in one virtual machine by [`all_in_a_virtual_machine`], which fails as they do.
//! One alone: `cargo nextest run -p landfall --features landfall/soak --test vm`, with a part of its name in `LANDFALL_VM_TESTS`.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, dead_code)] // helpers of tests are tests

#[path = "../daemon/container.rs"]
mod container;
mod docker;
#[path = "../e2e/site.rs"]
mod docker_site;
mod ipvlan;
#[path = "../daemon/pools.rs"]
mod pools;
#[path = "../daemon/site.rs"]
mod site;
mod vlan;

use std::env;
use std::ffi::{OsStr, OsString};
use std::time::Duration;

use lab::{EngineVersion, Roots, landfall_binary, run_in_virtual_machine};

/// What runs in the virtual machine, of which nothing else may be expected.
#[test]
fn all_in_a_virtual_machine() {
    // Made here: nothing can be written there.
    Roots::lan().unwrap();
    EngineVersion::from_env().unwrap().root().unwrap();
    let me = env::current_exe().unwrap();
    let only = env::var_os("LANDFALL_VM_TESTS").unwrap_or_else(|| OsString::from("::"));
    let words = ["--ignored", "--test-threads=1", "--color=never"].map(OsStr::new);
    let argv = [&[me.as_os_str(), &only][..], &words[..]].concat();
    let binary = landfall_binary().unwrap();
    let mut environment =
        vec![("LANDFALL_BIN", binary.as_os_str()), ("RUST_BACKTRACE", "1".as_ref())];
    let passed_on = ["LANDFALL_LAB_DIR", "LANDFALL_ENGINE"]
        .map(|name| (name, env::var_os(name).unwrap_or_default()));
    let set = passed_on.iter().filter(|(_, value)| !value.is_empty());
    environment.extend(set.map(|(name, value)| (*name, value.as_os_str())));
    let run = run_in_virtual_machine(&argv, &environment, Duration::from_secs(900)).unwrap();
    println!("{}", run.output);
    assert_eq!(run.status, 0, "{}", run.output);
    let summary = run.output.lines().find(|line| line.starts_with("test result: ok."));
    assert!(summary.is_some_and(|line| !line.contains("ok. 0 passed")), "{}", run.output);
}
