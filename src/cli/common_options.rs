//! The options of all commands, and the commands on which some of them have no effect. The help, the completions, the man pages, what is
//! refused and what is advised follow from this one table, so they cannot differ.

use clap::ArgMatches;
use clap::parser::ValueSource;

use super::words::listed;

/// Options without an effect on some commands.
struct Unused {
    options: &'static [&'static str],
    /// The commands. One with commands below it includes these.
    commands: &'static [&'static str],
    /// What the commands do, so that the options have no effect.
    why: &'static str,
    /// The flag of the commands that gives the options an effect.
    unless: Option<&'static str>,
}

/// The commands that need no account.
const WITHOUT_ACCOUNT: &[&str] = &["check", "completions", "import", "init", "man", "schema"];

/// The commands that neither wait for anything nor have lines to leave out.
const WITHOUT_PROGRESS: &[&str] = &[
    "compare",
    "completions",
    "history",
    "import",
    "init",
    "lever show",
    "man",
    "plan",
    "report",
    "schedule",
    "schema",
];

const UNUSED: &[Unused] = &[
    unused(&["stack", "profile", "region"], WITHOUT_ACCOUNT, "needs no account"),
    unused(&["table"], WITHOUT_ACCOUNT, "reads no ledger"),
    unused(&["table"], &["schedule"], "reads no ledger"),
    // With another table, a plan would miss the locks that the run meets, and a run would not be found after its start.
    unused(&["table"], &["plan", "run"], "takes the table from the stack"),
    unused(&["json"], &["completions", "init", "man"], "prints no JSON"),
    unused(&["json"], &["schema"], "prints JSON anyway"),
    unused(&["quiet"], WITHOUT_PROGRESS, "shows no progress"),
    Unused { unless: Some("watch"), ..unused(&["quiet"], &["status"], "shows no progress without --watch") },
];

const fn unused(options: &'static [&'static str], commands: &'static [&'static str], why: &'static str) -> Unused {
    Unused { options, commands, why, unless: None }
}

impl Unused {
    /// Whether this is about a command, to which its arguments may be added.
    fn includes(&self, command: &str) -> bool {
        let is_below = |command: &str| command.is_empty() || command.starts_with(' ');
        self.commands.iter().any(|name| command.strip_prefix(name).is_some_and(is_below))
    }
}

/// Whether a command always refuses an option of all commands. The command may have its arguments with it.
pub(super) fn is_refused(command: &str, option: &str) -> bool {
    UNUSED.iter().any(|unused| unused.unless.is_none() && unused.includes(command) && unused.options.contains(&option))
}

/// Says which of the options that were typed have no effect, if there are any. A variable of the environment is meant for other
/// commands, too.
pub(super) fn refusal(matches: &ArgMatches) -> Option<String> {
    let (command, of_command) = innermost(matches);
    let is_typed = |option: &str| matches.value_source(option) == Some(ValueSource::CommandLine);
    let (mut options, mut reasons) = (Vec::new(), Vec::new());
    for unused in UNUSED.iter().filter(|unused| unused.includes(&command)) {
        let typed: Vec<String> =
            unused.options.iter().filter(|option| is_typed(option)).map(|option| format!("--{option}")).collect();
        if !typed.is_empty() && !unused.unless.is_some_and(|flag| of_command.get_flag(flag)) {
            options.extend(typed);
            reasons.push(unused.why);
        }
    }
    let (have, them) = if options.len() == 1 { ("has", "it") } else { ("have", "them") };
    (!options.is_empty()).then(|| {
        format!(
            "{command} {}, so {} {have} no effect; leave {them} out",
            listed(&reasons, "and"),
            listed(&options, "and")
        )
    })
}

/// Finds the command that was typed, such as `schedule add`, and its arguments.
fn innermost(matches: &ArgMatches) -> (String, &ArgMatches) {
    let (mut words, mut inner) = (Vec::new(), matches);
    while let Some((name, below)) = inner.subcommand() {
        words.push(name);
        inner = below;
    }
    (words.join(" "), inner)
}
