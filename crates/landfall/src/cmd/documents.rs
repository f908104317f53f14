//! The manual's pages and the shells' completions, made of the command line's definition for packages (`make documents`).
//!
//! A test, so that no code for it is in the binary, and so that each run of the tests makes them.

use std::path::{Path, PathBuf};
use std::{env, fs};

use clap::CommandFactory;
use clap_complete::{Shell, generate_to};

use super::Cli;

/// The folder in which to leave them; without it they are only made.
const FOLDER: &str = "LANDFALL_DOCUMENTS";

fn read(path: PathBuf) -> String {
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn write_to(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    clap_mangen::generate_to(Cli::command(), folder).unwrap();
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        generate_to(shell, &mut Cli::command(), "landfall", folder).unwrap();
    }
}

#[test]
fn pages_and_completions() {
    let temporary = tempfile::tempdir().unwrap();
    let named = env::var_os(FOLDER).map(PathBuf::from);
    let folder = named.unwrap_or_else(|| temporary.path().to_owned());
    write_to(&folder);
    let mut cli = Cli::command();
    // With `help`, and what all have.
    cli.build();
    let shells =
        ["landfall.bash", "_landfall", "landfall.fish"].map(|name| read(folder.join(name)));
    assert!(read(folder.join("landfall.1")).contains("SUBCOMMANDS"));
    for command in cli.get_subcommands().filter(|command| command.get_name() != "help") {
        let name = command.get_name();
        let page = read(folder.join(format!("landfall-{name}.1")));
        assert!(page.contains("SYNOPSIS"), "{page}");
        for option in command.get_arguments().filter_map(|argument| argument.get_long()) {
            // As troff writes a hyphen.
            let written = option.replace('-', "\\-");
            assert!(page.contains(&format!("\\-\\-{written}")), "{name} --{option}: {page}");
            for shell in &shells {
                assert!(shell.contains(option), "{name} --{option}");
            }
        }
    }
}
