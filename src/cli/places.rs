//! Where each value of a file is: line and column, by JSON pointer.

use std::collections::BTreeMap;

use serde_saphyr::granit_parser::{Event, Parser, Span};

use crate::model::problems::escape;

/// A line and a column, both from 1 on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) line: usize,
    pub(super) column: usize,
}

impl Place {
    fn of(span: &Span) -> Self {
        Self { line: span.start.line(), column: span.start.col() + 1 }
    }
}

/// The places of all values of a file, and of their names.
#[derive(Debug, Default)]
pub(super) struct Places {
    values: BTreeMap<String, Place>,
    names: BTreeMap<String, Place>,
}

/// A list or an object whose entries are being read.
enum Open {
    List {
        pointer: String,
        next: usize,
    },
    /// The name is that of the next value; without one, the next node is a name.
    Object {
        pointer: String,
        name: Option<String>,
    },
}

impl Places {
    /// Reads the places in a file that [`parse`](super::syntax::parse) has read.
    pub(super) fn of(text: &str) -> Self {
        let mut places = Self::default();
        let mut open: Vec<Open> = Vec::new();
        for (event, span) in Parser::new_from_str(text).map_while(Result::ok) {
            match event {
                Event::Scalar(text, ..) => drop(places.node(&mut open, &span, Some(&text))),
                Event::Alias(_) => drop(places.node(&mut open, &span, None)),
                Event::SequenceStart(..) => {
                    let pointer = places.node(&mut open, &span, None);
                    open.push(Open::List { pointer, next: 0 });
                }
                Event::MappingStart(..) => {
                    let pointer = places.node(&mut open, &span, None);
                    open.push(Open::Object { pointer, name: None });
                }
                Event::SequenceEnd | Event::MappingEnd => drop(open.pop()),
                _ => {}
            }
        }
        places
    }

    /// Records a node and returns its pointer. The name of a value is recorded with the value's pointer.
    fn node(&mut self, open: &mut [Open], span: &Span, text: Option<&str>) -> String {
        let place = Place::of(span);
        let pointer = match open.last_mut() {
            None => String::new(),
            Some(Open::List { pointer, next }) => {
                *next += 1;
                format!("{pointer}/{}", *next - 1)
            }
            Some(Open::Object { pointer, name }) => {
                let Some(name) = name.take() else {
                    let text = text.unwrap_or_default();
                    let pointer = format!("{pointer}/{}", escape(text));
                    *name = Some(pointer.clone());
                    self.names.insert(pointer.clone(), place);
                    return pointer;
                };
                name
            }
        };
        self.values.insert(pointer.clone(), place);
        pointer
    }

    /// Finds the place of a value or of its name. What came from an alias is at the alias.
    pub(super) fn find(&self, pointer: &str, is_about_name: bool) -> Option<Place> {
        let exact = if is_about_name { self.names.get(pointer) } else { self.values.get(pointer) };
        let around = || self.find(pointer.rsplit_once('/')?.0, false);
        exact.copied().or_else(around)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str, pointer: &str, is_about_name: bool) -> (usize, usize) {
        Places::of(text).find(pointer, is_about_name).map_or((0, 0), |place| (place.line, place.column))
    }

    #[test]
    fn each_value_and_each_name_has_its_place() {
        let yaml =
            "# a comment\nname: a\ntargets:\n  - function: f\n  - {tags: {a/b: x}}\nlast: &l [1, 2]\nalias: {x: *l}\n";
        for (pointer, is_about_name, expected) in [
            ("", false, (2, 1)),
            ("/name", false, (2, 7)),
            ("/name", true, (2, 1)),
            ("/targets", true, (3, 1)),
            ("/targets/0", false, (4, 5)),
            ("/targets/0/function", false, (4, 15)),
            ("/targets/1/tags/a~1b", true, (5, 13)),
            ("/targets/1/tags/a~1b", false, (5, 18)),
            ("/last/1", false, (6, 14)),
            ("/alias/x/1", false, (7, 12)),
            ("/name/no/such", true, (2, 7)),
        ] {
            assert_eq!(place(yaml, pointer, is_about_name), expected, "{pointer} {is_about_name}");
        }
        let json = "{\n  \"targets\": [\n    {\"function\": 7}\n  ]\n}";
        assert_eq!(place(json, "/targets/0/function", false), (3, 18));
        assert_eq!(place("", "/x", false), (0, 0));
    }
}
