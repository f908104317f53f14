//! Landfall: Docker containers on the LAN.

mod admin;
mod cmd;
mod docker;
mod doctor;
mod engine;
mod fault;
mod segments;
mod store;
mod upstream;

fn main() -> std::process::ExitCode {
    cmd::run()
}
