//! JSON as text: read piece by piece without building a tree, and copied without changing its spelling.
//!
//! All functions expect text that [`valid`] has accepted, so they only have to separate its pieces. They store
//! positions only and do not recurse, so memory depends neither on the size nor on the depth of a payload.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::IgnoredAny;

/// Returns the payload as text if it is exactly one JSON value.
pub(crate) fn valid(payload: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(payload).ok()?;
    let mut json = serde_json::Deserializer::from_str(text);
    IgnoredAny::deserialize(&mut json).and_then(|_| json.end()).ok()?;
    Some(text)
}

/// A position in valid JSON.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'j> {
    json: &'j str,
    at: usize,
}

/// A member of an object, in its four pieces of text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Member<'j> {
    /// The white space before it, and the comma unless it is the first member.
    lead: &'j str,
    /// The name, with quotation marks.
    name: &'j str,
    /// The colon, with white space.
    colon: &'j str,
    /// The value.
    pub(crate) value: &'j str,
}

impl<'j> Reader<'j> {
    pub(crate) fn new(json: &'j str) -> Self {
        Self { json, at: 0 }
    }

    /// Returns the first byte of the next value, or of the end of a list or an object; 0 at the end of the text.
    pub(crate) fn peek(&mut self) -> u8 {
        let is_between = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b',' | b':');
        let rest = &self.json.as_bytes()[self.at..];
        self.at += rest.iter().take_while(|byte| is_between(byte)).count();
        self.json.as_bytes().get(self.at).copied().unwrap_or(0)
    }

    pub(crate) fn position(&self) -> usize {
        self.at
    }

    /// Returns the text from `start` to the current position.
    pub(crate) fn since(&self, start: usize) -> &'j str {
        &self.json[start..self.at]
    }

    /// Enters the next object or list.
    pub(crate) fn enter(&mut self) {
        self.peek();
        self.at += 1;
    }

    /// Returns the next name of the object, with quotation marks. Leaves the object after its last member.
    pub(crate) fn name(&mut self) -> Option<&'j str> {
        self.more().then(|| self.skip())
    }

    /// Whether the list or object has another element. Leaves it if it has none.
    pub(crate) fn more(&mut self) -> bool {
        let ends = matches!(self.peek(), b']' | b'}' | 0);
        if ends {
            self.at = self.json.len().min(self.at + 1);
        }
        !ends
    }

    /// Skips the next value, and returns it as it is written.
    pub(crate) fn skip(&mut self) -> &'j str {
        let mut depth = 0_usize;
        self.peek();
        let start = self.at;
        loop {
            match self.peek() {
                b'{' | b'[' => (depth, self.at) = (depth + 1, self.at + 1),
                b'}' | b']' => (depth, self.at) = (depth.saturating_sub(1), self.at + 1),
                0 => break,
                _ => self.at += scalar_length(&self.json.as_bytes()[self.at..]),
            }
            if depth == 0 {
                break;
            }
        }
        self.since(start)
    }

    fn member(&mut self) -> Option<Member<'j>> {
        let before = self.at;
        let more = self.more();
        let lead = &self.json[before..self.at];
        let name = more.then(|| self.skip())?;
        let end = self.at;
        self.peek();
        let colon = self.since(end);
        Some(Member { lead, name, colon, value: self.skip() })
    }
}

/// Returns the length of the text, number, `true`, `false` or `null` at the beginning; at least 1.
fn scalar_length(json: &[u8]) -> usize {
    if json.first() != Some(&b'"') {
        let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.');
        return json.iter().take_while(|byte| is_part(byte)).count().max(1);
    }
    let mut at = 1;
    while let Some(byte) = json.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    json.len()
}

/// Returns the members of an object.
pub(crate) fn members(object: &str) -> impl Iterator<Item = Member<'_>> {
    let mut reader = Reader::new(object);
    reader.enter();
    std::iter::from_fn(move || reader.member())
}

impl Member<'_> {
    pub(crate) fn is(&self, name: &str) -> bool {
        characters(self.name).eq(name.chars())
    }

    /// Whether it has this name in any case, as the names of HTTP headers compare.
    pub(crate) fn is_header(&self, name: &str) -> bool {
        let lower = |character: char| character.to_ascii_lowercase();
        characters(self.name).map(lower).eq(name.chars().map(lower))
    }
}

/// Whether a value is a text.
pub(crate) fn is_text(value: &str) -> bool {
    value.starts_with('"')
}

/// Returns the meaning of a text that is written with quotation marks.
pub(crate) fn text(text: &str) -> Cow<'_, str> {
    match inside(text) {
        plain if !plain.contains('\\') => Cow::Borrowed(plain),
        _ => Cow::Owned(characters(text).collect()),
    }
}

fn inside(text: &str) -> &str {
    text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or_default()
}

/// Returns the characters of a text that is written with quotation marks. Half of a surrogate pair, which runtimes
/// accept, becomes the replacement character.
pub(crate) fn characters(text: &str) -> impl Iterator<Item = char> + Clone {
    Characters { rest: inside(text).chars() }
}

#[derive(Clone)]
struct Characters<'j> {
    rest: std::str::Chars<'j>,
}

impl Iterator for Characters<'_> {
    type Item = char;

    fn next(&mut self) -> Option<char> {
        match self.rest.next()? {
            '\\' => Some(self.escaped()),
            character => Some(character),
        }
    }
}

impl Characters<'_> {
    fn escaped(&mut self) -> char {
        match self.rest.next() {
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some('u') => self.unit_and_its_pair(),
            other => other.unwrap_or(char::REPLACEMENT_CHARACTER),
        }
    }

    /// Reads a character that is written as one UTF-16 unit or two.
    fn unit_and_its_pair(&mut self) -> char {
        let first = self.unit();
        let mut ahead = self.clone();
        let second = (ahead.rest.next() == Some('\\') && ahead.rest.next() == Some('u')).then(|| ahead.unit());
        let mut decoded = char::decode_utf16([first].into_iter().chain(second));
        let character = decoded.next();
        // Two units that decode to one character leave no second one.
        if second.is_some() && decoded.next().is_none() {
            self.rest = ahead.rest;
        }
        character.and_then(Result::ok).unwrap_or(char::REPLACEMENT_CHARACTER)
    }

    fn unit(&mut self) -> u16 {
        self.rest.by_ref().take(4).fold(0, |unit, digit| unit << 4 | digit.to_digit(16).unwrap_or(0) as u16)
    }
}

/// A piece of JSON text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece<'j> {
    /// A value that is a text, a number, `true`, `false` or `null`.
    Scalar(&'j str),
    /// Anything else: names, brackets, separators, white space.
    Form(&'j str),
}

/// Returns all pieces of the text, in order.
pub(crate) fn pieces(json: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = json.get(at..).filter(|rest| !rest.is_empty())?;
        let begins = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'"' | b'-');
        let form = rest.bytes().take_while(|byte| !begins(byte)).count();
        let length = if form > 0 { form } else { scalar_length(rest.as_bytes()) };
        at += length;
        let (piece, after) = rest.split_at(length);
        let is_name = piece.starts_with('"') && after.trim_ascii_start().starts_with(':');
        Some(if form > 0 || is_name { Piece::Form(piece) } else { Piece::Scalar(piece) })
    })
}

/// Writes an object from members of another object, each as it is written there, and from new members.
pub(crate) struct ObjectWriter<'j, 'o> {
    out: &'o mut String,
    empty: bool,
    end: &'j str,
}

impl<'j, 'o> ObjectWriter<'j, 'o> {
    /// Starts an object with the beginning and the end of `object`.
    pub(crate) fn like(object: &'j str, out: &'o mut String) -> Self {
        let (begin, _) = object.split_at(object.find('{').map_or(0, |at| at + 1));
        let inside = object.trim_ascii_end().strip_suffix('}').unwrap_or_default().trim_ascii_end();
        out.push_str(begin);
        Self { out, empty: true, end: &object[inside.len()..] }
    }

    /// Writes the member unchanged.
    pub(crate) fn keep(&mut self, member: &Member<'_>) {
        self.replace(member).push_str(member.value);
    }

    /// Writes the name of the member. The caller must write a value after it.
    pub(crate) fn replace(&mut self, member: &Member<'_>) -> &mut String {
        // The output decides about the comma, because members before this one may have been dropped.
        let (before, after) = member.lead.split_once(',').unwrap_or(("", member.lead));
        self.out.push_str(if self.empty { "" } else { before });
        self.comma();
        [after, member.name, member.colon].iter().for_each(|piece| self.out.push_str(piece));
        self.out
    }

    /// Writes the name of a new member. The caller must write a value after it.
    pub(crate) fn add(&mut self, name: &str) -> &mut String {
        self.comma();
        push_text(self.out, name);
        self.out.push(':');
        self.out
    }

    fn comma(&mut self) {
        if !self.empty {
            self.out.push(',');
        }
        self.empty = false;
    }

    pub(crate) fn end(self) {
        self.out.push_str(self.end);
    }
}

/// A destination of text.
pub(crate) enum Sink<'o> {
    /// Takes the text unchanged.
    Plain(&'o mut String),
    /// Takes the text escaped, as between the quotation marks of a JSON text (RFC 8259, section 7).
    Escaped(&'o mut String),
}

impl Sink<'_> {
    pub(crate) fn push_str(&mut self, text: &str) {
        match self {
            Self::Plain(out) => out.push_str(text),
            Self::Escaped(_) => text.chars().for_each(|character| self.push(character)),
        }
    }

    pub(crate) fn push(&mut self, character: char) {
        match self {
            Self::Plain(out) => out.push(character),
            Self::Escaped(out) => escape(character, |character| out.push(character)),
        }
    }

    /// Writes a JSON text with quotation marks.
    pub(crate) fn push_json(&mut self, text: impl Iterator<Item = char>) {
        self.push('"');
        text.for_each(|character| escape(character, |character| self.push(character)));
        self.push('"');
    }
}

/// Writes a JSON text with quotation marks.
pub(crate) fn push_text(out: &mut String, text: &str) {
    Sink::Plain(out).push_json(text.chars());
}

fn escape(character: char, mut push: impl FnMut(char)) {
    let letter = match character {
        '"' | '\\' => Some(character),
        '\n' => Some('n'),
        '\r' => Some('r'),
        '\t' => Some('t'),
        _ => None,
    };
    match letter {
        Some(letter) => ['\\', letter].into_iter().for_each(push),
        None if character < ' ' => format!("\\u{:04x}", u32::from(character)).chars().for_each(push),
        None => push(character),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_whole_json_value_is_valid() {
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        for json in ["1e999", " {} ", r#""\ud83d""#, r#"{"a":1,"a":2}"#, &deep] {
            assert_eq!(valid(json.as_bytes()), Some(json));
        }
        for other in [&b""[..], b"{", b"{}x", b"1 2", b"\xef\xbb\xbf{}", b"\"\xff\"", b"[1,]", b"\"\n\"", b"01", b"'a'"]
        {
            assert_eq!(valid(other), None, "{}", other.escape_ascii());
        }
    }

    #[test]
    fn characters_are_the_meaning_of_a_text() {
        for (written, meant) in [
            (r#""""#, ""),
            (r#""a\"b\\\/é\b\f\n\r\t""#, "a\"b\\/é\u{8}\u{c}\n\r\t"),
            (r#""\u00e9\u0041\ud83d\uDE00!""#, "éA😀!"),
            (r#""\ud83d""#, "\u{fffd}"),
            (r#""\ud83dx""#, "\u{fffd}x"),
            (r#""\ud83d\n""#, "\u{fffd}\n"),
            (r#""\ud83d\ud83d\ude00""#, "\u{fffd}😀"),
            (r#""\ud83d\u0041""#, "\u{fffd}A"),
            (r#""\ud83d/ude00""#, "\u{fffd}/ude00"),
            (r#""\ude00\ud83d""#, "\u{fffd}\u{fffd}"),
        ] {
            assert_eq!(valid(written.as_bytes()), Some(written));
            assert_eq!(characters(written).collect::<String>(), meant, "{written}");
            assert_eq!(text(written), meant);
        }
        assert!(matches!(text(r#""plain""#), Cow::Borrowed("plain")));
    }

    #[test]
    fn a_written_text_is_read_unchanged() {
        for text in ["", "a\"b\\c/d", "\u{0}\u{1f} \u{7f}\n\r\té\u{2028}😀"] {
            let mut json = String::new();
            push_text(&mut json, text);
            assert_eq!(serde_json::from_str::<String>(&json).ok().as_deref(), Some(text), "{json}");
            let mut inner = String::new();
            Sink::Escaped(&mut inner).push_json(text.chars());
            let outer = serde_json::from_str::<String>(&format!("\"{inner}\"")).unwrap_or_default();
            assert_eq!(outer, json);
        }
    }

    #[test]
    fn a_text_is_escaped_briefly_and_only_where_required() {
        let mut json = String::new();
        push_text(&mut json, "a b/\u{7f}é\n\r\t\u{1f}");
        assert_eq!(json, "\"a b/\u{7f}é\\n\\r\\t\\u001f\"");
    }

    /// Only valid JSON is read, but a panic of the proxy would end the function.
    #[test]
    fn incomplete_json_ends_with_its_text() {
        for json in ["", "[", "[1", "{", r#"{"a"#, r#"{"a\"#, r#"{"a""#, r#"{"a":"#, r#"{"a":[1,{"#] {
            let mut reader = Reader::new(json);
            assert_eq!((reader.skip(), reader.skip(), reader.more(), reader.peek()), (json, "", false, 0));
            assert!(json.is_empty() || members(json).count() <= 1, "{json}");
        }
    }

    #[test]
    fn a_skipped_value_is_exactly_one_value() {
        for value in ["1.5e+3", r#""a\\\"]}""#, r#"{"a":[{"b":"}"}],"c":{}}"#, "[[],[ ]]", "true"] {
            let list = format!(" [ {value} ,{value}]");
            let mut reader = Reader::new(&list);
            reader.enter();
            for _ in 0..2 {
                assert!(reader.more());
                assert_eq!(reader.skip(), value);
            }
            assert!(!reader.more());
            assert_eq!((reader.position(), reader.peek()), (list.len(), 0));
        }
    }

    #[test]
    fn all_pieces_together_are_the_whole_text() {
        let json = r#" {"a" : [1,"b",{"c":null}],"d\"":-2.5e1 , "":true} "#;
        let whole: String = pieces(json).map(|(Piece::Scalar(piece) | Piece::Form(piece))| piece).collect();
        assert_eq!(whole, json);
        let scalars = pieces(json).filter_map(|piece| match piece {
            Piece::Scalar(scalar) => Some(scalar),
            Piece::Form(_) => None,
        });
        assert_eq!(scalars.collect::<Vec<_>>(), ["1", r#""b""#, "null", "-2.5e1", "true"]);
    }

    #[test]
    fn members_are_written_as_they_were_read() {
        let object = " {\n \"a\" : 1 ,\t\"b\":{\"c\" : 2}, \"d\":[3 ,4] } ";
        let write = |kept: &[&str], added: Option<&str>| {
            let mut out = String::new();
            let mut writer = ObjectWriter::like(object, &mut out);
            for member in members(object).filter(|member| kept.iter().any(|name| member.is(name))) {
                writer.keep(&member);
            }
            added.into_iter().for_each(|name| writer.add(name).push('5'));
            writer.end();
            out
        };
        assert_eq!(write(&["a", "b", "d"], None), object);
        assert_eq!(write(&["b", "d"], None), " {\t\"b\":{\"c\" : 2}, \"d\":[3 ,4] } ");
        assert_eq!(write(&["a"], Some("e\n")), " {\n \"a\" : 1,\"e\\n\":5 } ");
        assert_eq!(write(&[], Some("e")), " {\"e\":5 } ");
        assert_eq!(write(&[], None), " { } ");
    }
}
