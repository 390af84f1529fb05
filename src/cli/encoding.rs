//! Decodes files in UTF-8, and in UTF-16, which `>` writes in Windows PowerShell.

/// Decodes a file, without its byte order mark.
///
/// # Errors
/// Names the encoding that was expected, and the fix.
pub(super) fn decode(bytes: &[u8]) -> Result<String, String> {
    match bytes {
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] => Err("is in UTF-32; save it as UTF-8".to_owned()),
        [0xff, 0xfe, rest @ ..] => utf_16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf_16(rest, u16::from_be_bytes),
        // A valid file begins with two ASCII characters, so a zero byte shows the encoding (RFC 4627, section 3).
        [first, 0, ..] if *first != 0 => utf_16(bytes, u16::from_le_bytes),
        [0, second, ..] if *second != 0 => utf_16(bytes, u16::from_be_bytes),
        _ => {
            let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).to_vec();
            String::from_utf8(text).map_err(|wrong| {
                let line = wrong.as_bytes()[..wrong.utf8_error().valid_up_to()].split(|byte| *byte == b'\n').count();
                format!("is not in UTF-8, first in line {line}; save it as UTF-8")
            })
        }
    }
}

fn utf_16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<String, String> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let text: Result<String, _> = char::decode_utf16(pairs.iter().map(|pair| unit(*pair))).collect();
    match (text, rest) {
        (Ok(text), []) => Ok(text),
        _ => Err("is in UTF-16 that cannot be read; save it as UTF-8".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(text: &str, mark: bool, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        let mark = mark.then_some(0xfeff);
        mark.into_iter().chain(text.encode_utf16()).flat_map(bytes).collect()
    }

    #[test]
    fn reads_utf_8_and_utf_16() {
        let text = "name: \"grüße 決 😀\"\r\n";
        for mark in [true, false] {
            for bytes in [u16::to_le_bytes, u16::to_be_bytes] {
                assert_eq!(decode(&encoded(text, mark, bytes)).as_deref(), Ok(text), "{mark}");
            }
        }
        assert_eq!(decode(text.as_bytes()).as_deref(), Ok(text));
        assert_eq!(decode(&[b"\xef\xbb\xbf", text.as_bytes()].concat()).as_deref(), Ok(text));
        assert_eq!(decode(b"").as_deref(), Ok(""));
    }

    #[test]
    fn refuses_what_is_neither_with_the_fix() {
        for (bytes, says) in [
            (&b"\xff\xfe\0\0a\0\0\0"[..], "is in UTF-32; save it as UTF-8"),
            (b"\0\0\xfe\xff\0\0\0a", "is in UTF-32; save it as UTF-8"),
            (b"\xff\xfea", "is in UTF-16 that cannot be read; save it as UTF-8"),
            (b"\xff\xfe\0\xd8", "is in UTF-16 that cannot be read; save it as UTF-8"),
            (b"name: x\ntags: gr\xfc\xdfe\n", "is not in UTF-8, first in line 2; save it as UTF-8"),
        ] {
            assert_eq!(decode(bytes), Err(says.to_owned()), "{bytes:?}");
        }
    }
}
