//! The options with which a printed command reaches the same stack as the command that prints it.

use super::common_options::is_refused;

/// Options, each with its value.
#[derive(Clone, Debug, Default)]
pub(super) struct PlaceOptions(Vec<(&'static str, String)>);

impl PlaceOptions {
    pub(super) fn new<'a>(options: impl IntoIterator<Item = (&'static str, Option<&'a String>)>) -> Self {
        Self(options.into_iter().filter_map(|(name, value)| Some((name, value?.clone()))).collect())
    }

    /// Returns those that a command takes, ready to be pasted after it. The command may have its arguments with it.
    pub(super) fn of(&self, command: &str) -> String {
        let taken = self.0.iter().filter(|(name, _)| !is_refused(command, name));
        taken.map(|(name, value)| format!(" --{name} {}", quoted(value))).collect()
    }
}

/// Writes a value as a shell reads it.
fn quoted(text: &str) -> String {
    match text.chars().all(|c| c.is_ascii_alphanumeric() || "-_./:".contains(c)) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_printed_command_takes_each_option_that_it_has() {
        let value = |text: &str| text.to_owned();
        let (stack, table) = (value("lab"), value("snapback lab's"));
        let options = PlaceOptions::new([("stack", Some(&stack)), ("table", Some(&table)), ("region", None)]);
        let both = " --stack lab --table 'snapback lab'\\''s'";
        for (command, expected) in [
            ("rollback r --direct", both),
            ("lever disengage", both),
            ("status", both),
            ("schedule list", " --stack lab"),
            ("plan e.yaml", " --stack lab"),
            ("check e.yaml", ""),
        ] {
            assert_eq!(options.of(command), expected, "{command}");
        }
    }
}
