//! The command `man`: a page for snapback and one for each command, as git has them.

use std::io;
use std::path::Path;

use clap::Command;
use clap_mangen::Man;

use super::Failure;
use super::command_line::whole_command;
use super::exit::Exit;
use super::output::Output;

/// Prints the page of a command; without a command, that of snapback, which lists the others.
pub(super) fn print(command: &[String], output: &Output) -> Result<Exit, Failure> {
    let mut all = whole_command();
    all.build();
    let mut found = &all;
    for name in command {
        found = found.find_subcommand(name).filter(|found| !is_help(found)).ok_or_else(|| unknown(found, name))?;
    }
    output.print(&page(found).map_err(|error| Failure::new("NoManual", format!("the page cannot be made: {error}")))?);
    Ok(Exit::Success)
}

fn unknown(around: &Command, name: &str) -> Failure {
    let known: Vec<&str> = commands(around).map(Command::get_name).collect();
    Failure::invalid(match known.is_empty() {
        true => format!("`{name}` is not a command of {}, which has none; leave it out", around.get_name()),
        false => format!("`{name}` is not a command of {}; write one of {}", around.get_name(), known.join(", ")),
    })
}

/// Writes every page to a folder, which is created if it is missing.
pub(super) fn write(folder: &Path, output: &Output) -> Result<Exit, Failure> {
    let mut all = whole_command();
    all.build();
    let written = std::fs::create_dir_all(folder).and_then(|()| write_pages(&all, folder));
    let count =
        written.map_err(|error| Failure::invalid(format!("{}: cannot be written: {error}", folder.display())))?;
    output.note(&format!("written: {count} pages to {}", folder.display()));
    Ok(Exit::Success)
}

fn write_pages(command: &Command, folder: &Path) -> io::Result<usize> {
    std::fs::write(folder.join(Man::new(command.clone()).get_filename()), page(command)?)?;
    commands(command).try_fold(1, |count, command| Ok(count + write_pages(command, folder)?))
}

fn commands(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|command| !is_help(command))
}

/// Whether this is the command `help`, which clap adds.
fn is_help(command: &Command) -> bool {
    command.get_name() == "help"
}

fn page(command: &Command) -> io::Result<String> {
    let mut page = Vec::new();
    // Else a page would list `help` and refer to pages of it, which do not exist.
    let command = command.clone().mut_subcommands(|each| if is_help(&each) { each.hide(true) } else { each });
    Man::new(command).render(&mut page)?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}
