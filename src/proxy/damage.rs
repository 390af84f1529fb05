//! Damage to responses, as `corrupt` faults cause it: pure.

use crate::model::invocation::{Corrupt, CorruptFault};

use super::http_payload::{PRELUDE_END, Part, http, last, prelude, with};
use super::json::{self, Piece, Sink, characters, is_text, pieces};

/// Damages a response; `None` if that makes no difference. Of a response in HTTP form, only the body is damaged.
pub(crate) fn corrupted(own: &[u8], fault: &CorruptFault) -> Option<Vec<u8>> {
    let how = fault.how()?;
    http(own).map_or_else(|| damage(own, how), |response| damage_http(response, how).map(String::into_bytes))
}

/// Damages a streamed response; `None` if that makes no difference. Its head, if it has one, is not damaged.
pub(crate) fn corrupted_stream(own: &[u8], has_head: bool, fault: &CorruptFault) -> Option<Vec<u8>> {
    let end = prelude(own).filter(|_| has_head).map_or(0, |end| end + PRELUDE_END.len());
    let (head, body) = own.split_at(end);
    let mut damaged = damage(body, fault.how()?)?;
    damaged.splice(0..0, head.iter().copied());
    Some(damaged)
}

fn damage_http(response: &str, how: Corrupt<'_>) -> Option<String> {
    let (body, encoded) = (last(response, "body"), last(response, "isBase64Encoded") == Some("true"));
    if let Corrupt::Replace(text) = how {
        let is_same = !encoded && body.is_some_and(|body| is_text(body) && characters(body).eq(text.chars()));
        let parts = [("body", Part::Text(text)), ("isBase64Encoded", Part::Json("false".to_owned()))];
        return (!is_same).then(|| with(response, &parts, Part::write));
    }
    body?;
    let mut differs = false;
    let damaged = with(response, &[("body", ())], |(), body, out| differs |= damage_body(body, encoded, how, out));
    differs.then_some(damaged)
}

/// Writes the body of a response in HTTP form with damage. Returns whether that made a difference.
fn damage_body(body: &str, encoded: bool, how: Corrupt<'_>, out: &mut String) -> bool {
    if !is_text(body) {
        // The body is not the text that it should be. Only `mangle` finds values to damage in it.
        return match how {
            Corrupt::Mangle if body != "null" => mangle(body, &mut Sink::Plain(out)),
            _ => {
                out.push_str(body);
                false
            }
        };
    }
    let text = json::text(body);
    let kept = match how {
        // AWS decodes the body before it sends it, so groups of four characters have to stay complete.
        Corrupt::Truncate(bytes) if encoded => Some(bytes.div_ceil(3) * 4),
        Corrupt::Mangle if encoded => Some(text.len() / 8 * 4),
        Corrupt::Truncate(bytes) => Some(bytes),
        _ => None,
    };
    out.push('"');
    let differs = match kept.map(|bytes| truncated(&text, bytes)) {
        Some(kept) => {
            Sink::Escaped(out).push_str(kept);
            kept.len() < text.len()
        }
        None => mangle_text(&text, &mut Sink::Escaped(out)),
    };
    out.push('"');
    differs
}

/// Returns at most the first `bytes` bytes of a text, without a partial character at the end.
fn truncated(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

fn damage(body: &[u8], how: Corrupt<'_>) -> Option<Vec<u8>> {
    match (how, std::str::from_utf8(body)) {
        (Corrupt::Replace(text), _) => (text.as_bytes() != body).then(|| text.as_bytes().to_vec()),
        (Corrupt::Truncate(bytes), Ok(text)) if bytes < body.len() => Some(truncated(text, bytes).as_bytes().to_vec()),
        (Corrupt::Truncate(bytes), _) => body.get(..bytes).filter(|kept| kept.len() < body.len()).map(<[u8]>::to_vec),
        (Corrupt::Mangle, Ok(text)) => {
            let mut out = String::with_capacity(text.len() + text.len() / 8);
            mangle_text(text, &mut Sink::Plain(&mut out)).then(|| out.into_bytes())
        }
        (Corrupt::Mangle, Err(_)) => {
            let flip = |(at, byte): (usize, &u8)| if at % 8 == 0 { !byte & 0x7f } else { *byte };
            Some(body.iter().enumerate().map(flip).collect())
        }
    }
}

/// Mangles JSON, or garbles any other text. Returns whether that made a difference.
fn mangle_text(text: &str, out: &mut Sink<'_>) -> bool {
    match json::valid(text.as_bytes()) {
        Some(json) => mangle(json, out),
        None => garble(text, out),
    }
}

/// Replaces every eighth character by another one.
fn garble(text: &str, out: &mut Sink<'_>) -> bool {
    let mut differs = false;
    for (at, own) in text.chars().enumerate() {
        let other = match u8::try_from(own) {
            Ok(byte) if at % 8 == 0 && own.is_ascii() => char::from(!byte & 0x7f),
            _ if at % 8 == 0 => char::REPLACEMENT_CHARACTER,
            _ => own,
        };
        differs |= other != own;
        out.push(other);
    }
    differs
}

/// Changes the values of JSON and keeps it valid: lists and names stay, a text loses its second half and gets a visible
/// end, a number changes its sign, `true` becomes `false`.
fn mangle(json: &str, out: &mut Sink<'_>) -> bool {
    let mut differs = false;
    for piece in pieces(json) {
        match piece {
            Piece::Form(form) => out.push_str(form),
            Piece::Scalar(scalar) if is_text(scalar) => differs |= mangle_string(scalar, out),
            Piece::Scalar(scalar) => {
                differs = true;
                match scalar {
                    "null" => out.push_str("\"\u{fffd}\""),
                    "true" => out.push_str("false"),
                    "false" => out.push_str("true"),
                    number => out.push_str(&other_number(number)),
                }
            }
        }
    }
    differs
}

fn mangle_string(text: &str, out: &mut Sink<'_>) -> bool {
    let half = characters(text).map(char::len_utf8).sum::<usize>() / 2;
    let ends = characters(text).scan(0, |end, character| {
        *end += character.len_utf8();
        Some(*end)
    });
    let kept = ends.take_while(|end| *end <= half).count();
    let mangled = characters(text).take(kept).chain([char::REPLACEMENT_CHARACTER]);
    out.push_json(mangled.clone());
    !mangled.eq(characters(text))
}

fn other_number(number: &str) -> String {
    match (number.parse::<i64>(), number.parse::<f64>(), number.strip_prefix('-')) {
        (Ok(number), _, _) => (!number).to_string(),
        // A change of sign does not change zero.
        (_, Ok(0.0), _) => "-1".to_owned(),
        (_, _, Some(positive)) => positive.to_owned(),
        _ => format!("-{number}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use crate::model::invocation::ResponseFault;

    use super::super::payload::merged;
    use super::*;

    fn response(text: &str) -> ResponseFault {
        serde_json::from_str(text).unwrap_or_else(|error| unreachable!("{text}: {error}"))
    }

    fn corrupt(text: &str, own: &str) -> String {
        let fault = serde_json::from_str(text).unwrap_or_else(|error| unreachable!("{text}: {error}"));
        let damaged = corrupted(own.as_bytes(), &fault);
        damaged.map_or_else(|| "the same".to_owned(), |damaged| String::from_utf8_lossy(&damaged).into_owned())
    }

    fn json(bytes: &[u8]) -> Value {
        serde_json::from_slice(bytes).unwrap_or_else(|error| unreachable!("{}: {error}", bytes.escape_ascii()))
    }

    #[test]
    fn only_the_body_of_an_http_response_is_damaged() {
        let own = r#"{"statusCode":200, "body":"{\"total\":12,\"paid\":true}"}"#;
        for (fault, wanted) in [
            (r#"{"truncateBytes":4}"#, r#"{"statusCode":200, "body":"{\"to"}"#),
            (r#"{"replace":"{}"}"#, r#"{"statusCode":200, "body":"{}","isBase64Encoded":false}"#),
            (r#"{"mangle":true}"#, r#"{"statusCode":200, "body":"{\"total\":-13,\"paid\":false}"}"#),
        ] {
            assert_eq!(corrupt(fault, own), wanted, "{fault}");
        }
        let nested = r#"{"statusCode":200,"body":"[\"a\\\"b\\\"c\\n\"]"}"#;
        assert_eq!(
            corrupt(r#"{"mangle":true}"#, nested),
            "{\"statusCode\":200,\"body\":\"[\\\"a\\\\\\\"b\u{fffd}\\\"]\"}"
        );
    }

    #[test]
    fn a_response_without_a_body_is_only_replaced() {
        for own in [r#"{"statusCode":204}"#, r#"{"statusCode":204,"body":null}"#, r#"{"statusCode":200,"body":""}"#] {
            assert_eq!(corrupt(r#"{"mangle":true}"#, own), "the same");
            assert_eq!(corrupt(r#"{"truncateBytes":0}"#, own), "the same");
            assert_eq!(json(corrupt(r#"{"replace":"x"}"#, own).as_bytes())["body"], "x");
        }
        let own = r#"{"statusCode":200,"body":{"a":[1]}}"#;
        assert_eq!(corrupt(r#"{"mangle":true}"#, own), r#"{"statusCode":200,"body":{"a":[-2]}}"#);
        assert_eq!(corrupt(r#"{"truncateBytes":1}"#, own), "the same");
    }

    #[test]
    fn damage_without_a_difference_is_none() {
        for (fault, own) in [
            (r#"{"truncateBytes":4}"#, "aé1"),
            (r#"{"truncateBytes":2}"#, r#"{ "statusCode":200,"body":"ab"}"#),
            (r#"{"truncateBytes":4}"#, r#"{"statusCode":200,"body":"aGVsbG8h","isBase64Encoded":true}"#),
            (r#"{"replace":"a\n"}"#, r#"{"statusCode":200,"body":"\u0061\n"}"#),
            (r#"{"replace":"x"}"#, "x"),
            (r#"{"mangle":true}"#, "[{}]"),
            (r#"{"mangle":true}"#, "\"\u{fffd}\""),
            (r#"{"mangle":true}"#, ""),
        ] {
            assert_eq!(corrupt(fault, own), "the same", "{fault} {own}");
        }
        let encoded = r#"{"statusCode":200,"body":"x","isBase64Encoded":true}"#;
        assert_eq!(corrupt(r#"{"replace":"x"}"#, encoded), r#"{"statusCode":200,"body":"x","isBase64Encoded":false}"#);
    }

    #[test]
    fn a_damaged_encoded_body_can_be_decoded() {
        let own = r#"{"body":"aGVsbG8gd29ybGQh","isBase64Encoded":true,"statusCode":200}"#;
        for (fault, body) in [
            (r#"{"truncateBytes":3}"#, "aGVs"),
            (r#"{"truncateBytes":4}"#, "aGVsbG8g"),
            (r#"{"mangle":true}"#, "aGVsbG8g"),
        ] {
            assert_eq!(json(corrupt(fault, own).as_bytes())["body"], body, "{fault}");
        }
    }

    #[test]
    fn other_responses_are_damaged_as_a_whole() {
        assert_eq!(
            corrupt(
                r#"{"mangle":true}"#,
                "{ \"a\" :[1,\"text\",null,false,1.50, -2e400, -0.0,\"\", 18446744073709551616] }"
            ),
            "{ \"a\" :[-2,\"te\u{fffd}\",\"\u{fffd}\",true,-1.50, 2e400, -1,\"\u{fffd}\", -18446744073709551616] }"
        );
        assert_eq!(corrupt(r#"{"truncateBytes":3}"#, "[1,2,3]"), "[1,");
        assert_eq!(corrupt(r#"{"truncateBytes":2}"#, "aé"), "a");
        assert_eq!(corrupt(r#"{"mangle":true}"#, "no JSON,éé"), "\u{11}o JSON,\u{fffd}é");
        assert_eq!(
            (corrupt(r#"{"mangle":true}"#, "x"), corrupt(r#"{"mangle":true}"#, "\u{fffd}")),
            ("\u{7}".into(), "the same".into())
        );
        let truncate = serde_json::from_str(r#"{"truncateBytes":2}"#).unwrap_or_else(|_| unreachable!());
        let mangle = serde_json::from_str(r#"{"mangle":true}"#).unwrap_or_else(|_| unreachable!());
        let binary = b"\xff1234567\x018";
        assert_eq!(corrupted(binary, &truncate), Some(b"\xff1".to_vec()));
        assert_eq!(corrupted(b"\xff1", &truncate), None);
        assert_eq!(corrupted(binary, &mangle), Some(b"\x001234567\x7e8".to_vec()));
    }

    #[test]
    fn the_head_of_a_damaged_stream_stays_unchanged() {
        let fault = serde_json::from_str(r#"{"replace":"x"}"#).unwrap_or_else(|_| unreachable!());
        let own = b"{\"statusCode\":200}\0\0\0\0\0\0\0\0body";
        let damaged = |own, has_head| corrupted_stream(own, has_head, &fault).unwrap_or_default();
        assert_eq!(damaged(own, true), b"{\"statusCode\":200}\0\0\0\0\0\0\0\0x");
        assert_eq!(damaged(own, false), b"x");
        assert_eq!(corrupted_stream(b"\0\0\0\0\0\0\0\0x", true, &fault), None);
    }

    use proptest::prelude::*;

    /// JSON with white space and spellings that no serializer writes.
    fn value() -> impl Strategy<Value = String> {
        let scalar = prop_oneof![
            Just("null".to_owned()),
            Just("true".to_owned()),
            "-?(0|[1-9][0-9]{0,25})(\\.[0-9]{1,3})?([eE][+-]?[0-9]{1,3})?",
            r#""([a-z :,{}\[\]é]|\\["\\/bfnrt]|\\u[0-9a-f]{4}){0,9}""#,
        ];
        scalar.prop_recursive(4, 32, 4, |inner| {
            let list = proptest::collection::vec(inner.clone(), 0..4);
            let object = proptest::collection::vec((r#""([a-z:]|\\u00[2-7][0-9]){0,3}""#, inner), 0..4);
            prop_oneof![
                ("[ \n]?", list)
                    .prop_map(|(space, list)| format!("[{space}{}{space}]", list.join(&format!("{space},")))),
                ("[ \t]?", object).prop_map(|(space, members)| {
                    let members: Vec<_> =
                        members.iter().map(|(name, value)| format!("{name}{space}:{space}{value}")).collect();
                    format!("{{{space}{}{space}}}", members.join(&format!("{space},{space}")))
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_a_fault_does_not_name_stays_byte_by_byte(
            before in value(), between in value(), after in value(), space in "[ \r\n\t]{0,2}",
        ) {
            let response_with = |status: &str, body: &str| format!(
                "{space}{{\"a\":{before}{space},{space}\"statusCode\":{status},\"b\"{space}:{between},\"body\":\"{body}\",\"c\":{after}{space}}}{space}"
            );
            let own = response_with("200", "text");
            let status = merged(own.as_bytes(), &response(r#"{"statusCode":404,"when":"after"}"#));
            prop_assert_eq!(String::from_utf8(status), Ok(response_with("404", "text")));
            prop_assert_eq!(corrupt(r#"{"truncateBytes":2}"#, &own), response_with("200", "te"));
        }

        #[test]
        fn mangling_keeps_form_and_names(own in value()) {
            let mangled = corrupt(r#"{"mangle":true}"#, &own);
            let form = |json: &str| pieces(json).map(|piece| match piece {
                Piece::Form(form) => form.to_owned(),
                Piece::Scalar(_) => "?".to_owned(),
            }).collect::<String>();
            let has_scalars = pieces(&own).any(|piece| matches!(piece, Piece::Scalar(_)));
            prop_assert!(mangled != own);
            if mangled != "the same" {
                prop_assert_eq!(form(&mangled), form(&own));
                prop_assert!(json::valid(mangled.as_bytes()).is_some());
            }
            prop_assert!(has_scalars || mangled == "the same");
        }

        #[test]
        fn any_response_can_be_damaged_and_replaced(
            bytes in proptest::collection::vec(any::<u8>(), 0..64), text in r#"[\[\]{}",:a0\\u-]{0,24}"#, json in value(), size in 0..9_u32,
        ) {
            let faults = [r#"{"mangle":true}"#.to_owned(), r#"{"replace":"é\""}"#.to_owned(), format!(r#"{{"truncateBytes":{size}}}"#)];
            let merge = response(r#"{"statusCode":404,"headers":{"a\"":"b\n"},"body":"\\","when":"after"}"#);
            for own in [bytes, text.into_bytes(), format!(r#"{{"statusCode":{json},"body":{json},"headers":{json}}}"#).into_bytes()] {
                let is_http = http(&own).is_some();
                for fault in &faults {
                    let fault: CorruptFault = serde_json::from_str(fault).unwrap_or_else(|error| unreachable!("{error}"));
                    let damaged = corrupted(&own, &fault);
                    prop_assert!(!is_http || damaged.as_ref().is_none_or(|damaged| http(damaged).is_some()));
                    prop_assert!(damaged.is_none_or(|damaged| damaged != own));
                    corrupted_stream(&own, true, &fault);
                }
                let whole = merged(&own, &merge);
                prop_assert_eq!(last(http(&whole).unwrap_or_default(), "statusCode"), Some("404"));
                prop_assert_eq!(last(http(&whole).unwrap_or_default(), "body"), Some(r#""\\""#));
            }
        }
    }
}
