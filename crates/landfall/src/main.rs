//! Landfall: Docker containers on the LAN.
fn main() {}
