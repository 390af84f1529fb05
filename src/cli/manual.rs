//! The command `man`: a page for snapback and one for each command, as git has them.

use std::path::Path;

use clap::Command;
use clap_mangen::Man;

use super::Failure;
use super::command_line::whole_command;
use super::exit::Exit;
use super::output::Output;

/// Prints the page of a command; without a command, that of snapback, which lists the others.
pub(super) fn print(command: &[String], output: &Output) -> Result<Exit, Failure> {
    // As clap_mangen does it for a folder: there is no page about `help`.
    let mut all = whole_command().disable_help_subcommand(true);
    all.build();
    let mut found = &all;
    for name in command {
        found = found.find_subcommand(name).ok_or_else(|| unknown(found, name))?;
    }
    let mut page = Vec::new();
    let rendered = Man::new(found.clone()).render(&mut page);
    rendered.map_err(|error| Failure::new("NoManual", format!("the page cannot be made: {error}")))?;
    output.print(&String::from_utf8_lossy(&page));
    Ok(Exit::Success)
}

fn unknown(around: &Command, name: &str) -> Failure {
    let known: Vec<&str> = around.get_subcommands().map(Command::get_name).collect();
    Failure::invalid(match known.is_empty() {
        true => format!("`{name}` is not a command of {}, which has none; leave it out", around.get_name()),
        false => format!("`{name}` is not a command of {}; write one of {}", around.get_name(), known.join(", ")),
    })
}

/// Writes every page to a folder, which is created if it is missing.
pub(super) fn write(folder: &Path, output: &Output) -> Result<Exit, Failure> {
    let written = std::fs::create_dir_all(folder).and_then(|()| clap_mangen::generate_to(whole_command(), folder));
    written.map_err(|error| Failure::invalid(format!("{}: cannot be written: {error}", folder.display())))?;
    output.note(&format!("written: the man pages, to {}", folder.display()));
    Ok(Exit::Success)
}
