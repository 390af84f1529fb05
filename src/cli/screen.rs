//! The screen for following a run, on standard error: news line by line, on a terminal a changing line below them, and
//! below that the prompt while it is open.

use std::borrow::Cow;

use super::output::Output;
use super::pen::Tone;

/// Asks whether to roll back, in one line of the terminal, because the line above it is written again and again.
pub(super) fn question(width: Option<usize>) -> &'static str {
    const QUESTION: &str = "roll the run back now? [Y/n/l] (n: keep following, l: leave it running) ";
    const SHORT: &str = "roll back now? [Y/n/l] ";
    // Where the reply is typed, there is room for a word.
    if width.is_some_and(|width| QUESTION.len() + 4 > width) { SHORT } else { QUESTION }
}

/// Shortens a text to less than one line of the terminal, which would break it: only its last part could be drawn anew.
pub(super) fn fitted(text: &str, width: Option<usize>) -> Cow<'_, str> {
    match width {
        Some(width) if text.chars().count() >= width => {
            let kept: String = text.chars().take(width.saturating_sub(4)).collect();
            Cow::Owned(format!("{kept}..."))
        }
        _ => Cow::Borrowed(text),
    }
}

/// The lines that can change, and where they go.
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
        let line = output.safe_progress(line);
        let question = question(output.progress.width);
        match (output.as_json || output.quiet, output.live, self.asking) {
            (true, ..) => {}
            (_, false, _) => output.print_progress(&format!("{line}\n")),
            (_, true, false) => output.print_progress(&format!("\r\u{1b}[K{line}\n{}", self.live)),
            // What was typed so far still counts when Enter comes, although it is no longer on the screen.
            (_, true, true) => output.print_progress(&format!("\r\u{1b}[1A\u{1b}[J{line}\n{}\n{question}", self.live)),
        }
    }

    /// Changes the line below the news; on a terminal only.
    pub(super) fn live(&mut self, text: &str) {
        if !self.output.live {
            return;
        }
        let progress = self.output.progress;
        self.live = progress.paint(Tone::Faint, &fitted(text, progress.width));
        let drawn = match self.asking {
            false => format!("\r\u{1b}[K{}", self.live),
            // One line up, and back to where the reply is being typed.
            true => format!("\u{1b}7\u{1b}[1A\r\u{1b}[K{}\u{1b}8", self.live),
        };
        self.output.print_progress(&drawn);
    }

    /// Opens the prompt, on a separate line.
    pub(super) fn ask(&mut self) {
        self.asking = true;
        let question = question(self.output.progress.width);
        if self.output.live {
            // The terminal has shown `^C` where the cursor was.
            self.output.print_progress(&format!("\r\u{1b}[K{}\n{question}", self.live));
        } else {
            self.output.print_progress(&format!("\n{question}"));
        }
    }

    /// Closes a prompt that has no reply, and removes the changing line.
    pub(super) fn clear(&mut self) {
        match (std::mem::take(&mut self.asking), self.output.live) {
            (true, true) => self.output.print_progress("\n"),
            (true, false) => self.output.note(""),
            (false, true) => self.output.print_progress("\r\u{1b}[K"),
            (false, false) => {}
        }
        self.live.clear();
    }

    /// Closes a prompt that has its reply: the terminal has begun a new line.
    pub(super) fn replied(&mut self) {
        self.asking = false;
        self.live.clear();
    }

    /// Whether the prompt is open.
    pub(super) fn is_asking(&self) -> bool {
        self.asking
    }
}
