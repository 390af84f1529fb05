//! Responses in HTTP form, the one that API Gateway, function URLs and load balancers expect: pure.
//!
//! A response is never built in memory. Its top level is read as names and slices, the members that a fault names are
//! written anew, and all others are copied as text. So the result takes about one payload's size.

use std::collections::BTreeMap;

use super::json::{self, Member, ObjectWriter, members, push_text};

/// The bytes between the head of an HTTP response and its body in a stream
/// (lambda/latest/dg/response-streaming: the head is JSON, eight zero bytes follow).
pub(super) const PRELUDE_END: [u8; 8] = [0; 8];

/// The content type of a stream with such a head.
pub(crate) const HTTP_INTEGRATION: &str = "application/vnd.awslambda.http-integration-response";

/// Returns the length of a stream's head.
pub(super) fn prelude(stream: &[u8]) -> Option<usize> {
    stream.windows(PRELUDE_END.len()).position(|bytes| bytes == PRELUDE_END)
}

/// Returns the payload as text if it is a JSON object.
pub(super) fn object(payload: &[u8]) -> Option<&str> {
    json::valid(payload).filter(|json| is_object(json))
}

pub(super) fn is_object(json: &str) -> bool {
    json.trim_ascii_start().starts_with('{')
}

/// Returns the response as text if it is in HTTP form.
pub(super) fn http(response: &[u8]) -> Option<&str> {
    object(response).filter(|response| last(response, "statusCode").is_some())
}

/// Returns the value of the last member with this name, which is the one that counts.
pub(super) fn last<'j>(object: &'j str, name: &str) -> Option<&'j str> {
    members(object).filter(|member| member.is(name)).last().map(|member| member.value)
}

/// A part of a response in HTTP form that a fault gives.
pub(super) enum Part<'f> {
    Json(String),
    Text(&'f str),
    Headers(&'f BTreeMap<String, String>),
    HeaderLists(&'f BTreeMap<String, String>),
}

impl Part<'_> {
    /// Writes the part in place of `own`, the response's own value.
    pub(super) fn write(&self, own: &str, out: &mut String) {
        match self {
            Self::Json(json) => out.push_str(json),
            Self::Text(text) => push_text(out, text),
            Self::Headers(headers) => put_headers(headers, own, out, push_text),
            Self::HeaderLists(headers) => put_headers(headers, own, out, |out, value| {
                out.push('[');
                push_text(out, value);
                out.push(']');
            }),
        }
    }
}

/// Writes the response's own headers, and `added` in place of those with the same name in any case.
fn put_headers(added: &BTreeMap<String, String>, own: &str, out: &mut String, push: impl Fn(&mut String, &str)) {
    let own = if is_object(own) { own } else { "{}" };
    let mut headers = ObjectWriter::like(own, out);
    let is_added = |member: &Member<'_>| added.keys().any(|name| member.is_header(name));
    members(own).filter(|member| !is_added(member)).for_each(|member| headers.keep(&member));
    added.iter().for_each(|(name, value)| push(headers.add(name), value));
    headers.end();
}

/// Copies an object with new values for some names. A name that the object does not have is added; `write` gets an
/// empty text as its old value.
pub(super) fn with<T>(object: &str, given: &[(&str, T)], mut write: impl FnMut(&T, &str, &mut String)) -> String {
    // Most changes make the text a little longer.
    let mut out = String::with_capacity(object.len() + object.len() / 8);
    let mut writer = ObjectWriter::like(object, &mut out);
    let mut absent: Vec<&(&str, T)> = given.iter().collect();
    for member in members(object) {
        match given.iter().find(|(name, _)| member.is(name)) {
            Some((name, value)) => {
                absent.retain(|(other, _)| other != name);
                write(value, member.value, writer.replace(&member));
            }
            None => writer.keep(&member),
        }
    }
    absent.into_iter().for_each(|(name, value)| write(value, "", writer.add(name)));
    writer.end();
    out
}
