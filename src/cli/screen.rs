//! The lines of a run that is followed: its news one after the other, below them on a terminal a line that changes, and
//! below that the prompt while it is open.

use std::io::{Write, stderr};

use super::output::{Output, Tone};

/// It must fit one line of a narrow terminal, for the line above it is written again and again.
const QUESTION: &str = "roll the run back now? [Y/n] (only n leaves it running) ";

/// What is on the screen.
pub(super) struct Screen<'a> {
    output: &'a Output,
    live: String,
    asking: bool,
}

impl<'a> Screen<'a> {
    pub(super) fn new(output: &'a Output) -> Self {
        Self { output, live: String::new(), asking: false }
    }

    /// Adds a line of news, above everything that changes.
    pub(super) fn news(&mut self, line: &str) {
        let output = self.output;
        match (output.as_json, output.live, self.asking) {
            (true, ..) => {}
            (_, false, _) => output.print_line(line),
            (_, true, false) => output.print(&format!("\r\u{1b}[K{line}\n{}", self.live)),
            // What was typed so far is still there when Enter comes, though not on the screen any more.
            (_, true, true) => output.print(&format!("\r\u{1b}[1A\u{1b}[J{line}\n{}\n{QUESTION}", self.live)),
        }
    }

    /// Changes the line below the news; on a terminal only.
    pub(super) fn live(&mut self, text: &str) {
        if !self.output.live {
            return;
        }
        self.live = self.output.paint(Tone::Faint, text);
        let drawn = match self.asking {
            false => format!("\r\u{1b}[K{}", self.live),
            // One line up, and back to where the answer is being typed.
            true => format!("\u{1b}7\u{1b}[1A\r\u{1b}[K{}\u{1b}8", self.live),
        };
        self.output.print(&drawn);
    }

    /// Opens the prompt, on a line of its own.
    pub(super) fn ask(&mut self) {
        self.asking = true;
        if self.output.live {
            // The terminal has shown `^C` where the cursor was.
            self.output.print(&format!("\r\u{1b}[K{}\n{QUESTION}", self.live));
        } else {
            let _ = write!(stderr(), "\n{QUESTION}");
            let _ = stderr().flush();
        }
    }

    /// Closes the prompt, which nobody has ended with Enter, and takes the changing line off.
    pub(super) fn clear(&mut self) {
        match (std::mem::take(&mut self.asking), self.output.live) {
            (true, true) => self.output.print("\n"),
            (true, false) => self.output.note(""),
            (false, true) => self.output.print("\r\u{1b}[K"),
            (false, false) => {}
        }
        self.live.clear();
    }

    /// The prompt was answered: the terminal has begun a new line.
    pub(super) fn answered(&mut self) {
        self.asking = false;
        self.live.clear();
    }

    /// Whether the prompt is open.
    pub(super) fn is_asking(&self) -> bool {
        self.asking
    }
}
