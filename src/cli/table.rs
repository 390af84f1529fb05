//! Tables that fit the terminal: in columns where these have room, else one line for each cell.

use comfy_table::{ColumnConstraint, ContentArrangement, Table, Width, presets};

use crate::model::text::escape_controls;

use super::pen::{Pen, Tone};

/// The narrowest column into which a cell with blanks is broken.
const MIN_COLUMN: usize = 12;
/// The longest word that is never broken. A table with longer ones is too wide for most terminals.
const MAX_WORD: usize = 32;

/// The columns of a table.
pub(super) struct Grid {
    heads: Vec<&'static str>,
    rows: Vec<(Option<Tone>, Vec<String>)>,
}

impl Grid {
    pub(super) fn new(heads: &[&'static str]) -> Self {
        Self { heads: heads.to_vec(), rows: Vec::new() }
    }

    /// Adds a row. Its first cell stays in one line, because it is a name that may be copied.
    pub(super) fn row(&mut self, tone: Option<Tone>, cells: Vec<String>) {
        let cells = cells.iter().map(|cell| escape_controls(cell).into_owned()).collect();
        self.rows.push((tone, cells));
    }

    /// Draws the table, with each line indented by this many blanks.
    pub(super) fn draw(&self, pen: Pen, indent: usize) -> String {
        let width = pen.width.map(|width| width.saturating_sub(indent));
        match width {
            Some(width) if self.least_width() > width => self.cards(pen, indent, width),
            _ => self.columns(pen, indent, width),
        }
    }

    fn widest(&self, column: usize) -> usize {
        let cells = self.rows.iter().map(|(_, cells)| cells.get(column).map_or(0, |cell| cell.chars().count()));
        cells.chain([self.heads[column].chars().count()]).max().unwrap_or(0)
    }

    /// The least width of each column: a name is never broken, and neither is a head or a word.
    fn least(&self, column: usize) -> usize {
        if column == 0 {
            return self.widest(0);
        }
        let cells = self.rows.iter().filter_map(|(_, cells)| cells.get(column));
        let word = cells.flat_map(|cell| cell.split(' ')).map(|word| word.chars().count()).max().unwrap_or(0);
        let head = self.heads[column].chars().count();
        self.widest(column).min(MIN_COLUMN).max(head).max(word.min(MAX_WORD))
    }

    fn least_width(&self) -> usize {
        let gaps = 2 * self.heads.len().saturating_sub(1);
        gaps + (0..self.heads.len()).map(|column| self.least(column)).sum::<usize>()
    }

    fn columns(&self, pen: Pen, indent: usize, width: Option<usize>) -> String {
        let mut table = layout(width);
        table.set_header(self.heads.clone());
        for (_, cells) in &self.rows {
            table.add_row(cells.clone());
        }
        for (at, column) in table.column_iter_mut().enumerate() {
            let least = u16::try_from(self.least(at)).unwrap_or(u16::MAX);
            column.set_constraint(match at {
                0 => ColumnConstraint::ContentWidth,
                _ => ColumnConstraint::LowerBoundary(Width::Fixed(least.saturating_add(2))),
            });
        }
        without_outer_gaps(&mut table, self.heads.len());
        let mut tones = [Some(Tone::Faint)].into_iter().chain(self.rows.iter().map(|(tone, _)| *tone));
        let mut tone = None;
        let mut text = String::new();
        for line in table.lines() {
            // Only the first line of a row begins with its name.
            if !line.starts_with(' ') {
                tone = tones.next().flatten();
            }
            text.push_str(&drawn(pen, tone, indent, line.trim_end()));
        }
        text
    }

    /// One line for each cell, below the first cell as a heading.
    fn cards(&self, pen: Pen, indent: usize, width: usize) -> String {
        let mut text = String::new();
        for (tone, cells) in &self.rows {
            let heading = cells.first().map(String::as_str).unwrap_or_default();
            text.push_str(&drawn(pen, *tone, indent, heading));
            let rest: Vec<(&str, String)> = self
                .heads
                .iter()
                .copied()
                .zip(cells.iter().cloned())
                .skip(1)
                .filter(|(_, cell)| !cell.is_empty())
                .collect();
            text.push_str(&facts(&rest, Pen { width: Some(width + indent), ..pen }, indent + 2));
        }
        text
    }
}

/// Draws labels, each with a text that may be longer than a line.
pub(super) fn facts(facts: &[(&str, String)], pen: Pen, indent: usize) -> String {
    let mut table = layout(pen.width.map(|width| width.saturating_sub(indent)));
    for (label, text) in facts {
        table.add_row([(*label).to_owned(), escape_controls(text).into_owned()]);
    }
    if let Some(labels) = table.column_mut(0) {
        labels.set_constraint(ColumnConstraint::ContentWidth);
    }
    without_outer_gaps(&mut table, 2);
    table.lines().map(|line| drawn(pen, None, indent, line.trim_end())).collect()
}

fn layout(width: Option<usize>) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    match width.and_then(|width| u16::try_from(width).ok()) {
        Some(width) => table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width),
        None => table.set_content_arrangement(ContentArrangement::Disabled),
    };
    table
}

/// Two blanks between columns, and none around the table.
fn without_outer_gaps(table: &mut Table, columns: usize) {
    for (at, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, if at + 1 == columns { 0 } else { 2 }));
    }
}

fn drawn(pen: Pen, tone: Option<Tone>, indent: usize, line: &str) -> String {
    let line = match tone {
        Some(tone) if !line.is_empty() => pen.paint(tone, line),
        _ => line.to_owned(),
    };
    format!("{:indent$}{line}\n", "")
}
