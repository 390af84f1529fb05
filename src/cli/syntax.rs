//! Reading JSON and YAML into a value, and syntax errors in snapback's own words.
//!
//! The YAML library quotes values of the file in its messages, which may be secrets, and names its own API. No text of
//! it gets out of here: a message is a place and one of the fixed texts below.

use serde_json::Value;
use serde_saphyr::Error;
use serde_saphyr::granit_parser::ErrorKind;
use serde_saphyr::localizer::ExternalMessageSource;

use super::places::Place;

/// Why a text is neither JSON nor YAML.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SyntaxError {
    pub(super) place: Option<Place>,
    /// What is wrong, and what to do.
    pub(super) problem: &'static str,
}

/// Reads one document. JSON is YAML too, and this parser refuses duplicate keys and anchors that would grow without
/// end.
///
/// # Errors
/// Says where the file is wrong, what is wrong there, and what to do.
pub(super) fn parse(text: &str) -> Result<Value, SyntaxError> {
    serde_saphyr::from_str(text).map_err(|error| {
        let location = error.location().filter(|location| location.line() > 0);
        let number = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        let place = location.map(|at| Place { line: number(at.line()), column: number(at.column()) });
        SyntaxError { place, problem: describe(&error) }
    })
}

const INDENTATION: &str = "wrong indentation; begin the line in the same column as the other entries of its list or object, \
                           and indent what belongs to an entry further than the entry itself";
const ANCHORS: &str = "its anchors (&) and aliases (*) expand to too much; write the values out";
const TAG: &str = "a tag (!) is not supported here; remove it, or put text that begins with ! in quotes";
const ESCAPE: &str = r"an invalid escape in double quotes; write \\ for a backslash, or use single quotes";
const UNCLOSED: &str = "a bracket or brace is not closed; add the missing ] or }";
const UNKNOWN: &str = "this is neither JSON nor YAML; check the line's indentation, quotes and brackets";

/// What is wrong, without anything that the file contains.
fn describe(error: &Error) -> &'static str {
    match error.without_snippet() {
        Error::DuplicateMappingKey { .. } => "this key appears twice in one object; keep one of the two",
        Error::MultipleDocuments { .. } => "a second document begins here; write one document per file",
        Error::NonFiniteFloat { .. } => "this number is too large or not a number; if it is text, write it in quotes",
        Error::Eof { .. } => "the file ends in the middle of a value; write the rest of it",
        Error::UnknownAnchor { .. } => "this alias (*) has no anchor (&); put text that begins with * in quotes",
        Error::AliasReplayCounterOverflow { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => ANCHORS,
        Error::Budget { .. } => "the file has too many values, levels or anchors; write a plainer one",
        Error::UnsupportedTag { .. } | Error::InvalidBinaryBase64 { .. } | Error::BinaryNotUtf8 { .. } => TAG,
        Error::FoldedBlockScalarMustIndentContent { .. } | Error::IndentationError { .. } => INDENTATION,
        Error::MergeValueNotMapOrSeqOfMaps { .. } | Error::MergeKeyNotAllowed { .. } => {
            "a merge key (<<) needs an object; write the fields out"
        }
        Error::AliasError { error, .. } => describe(error),
        Error::ExternalMessage { source, .. } => match source.as_ref() {
            ExternalMessageSource::Parser(error) => describe_scan(error.kind()),
            _ => UNKNOWN,
        },
        _ => UNKNOWN,
    }
}

fn describe_scan(kind: &ErrorKind) -> &'static str {
    describe_layout(kind).or_else(|| describe_text(kind)).unwrap_or(UNKNOWN)
}

/// Errors in indentation, keys, lists and brackets.
fn describe_layout(kind: &ErrorKind) -> Option<&'static str> {
    use ErrorKind as Kind;
    Some(match kind {
        Kind::InvalidIndentation
        | Kind::ExpectedBlockMappingKey
        | Kind::ExpectedBlockSequenceEntry
        | Kind::MappingKeyNotAllowed
        | Kind::BlockSequenceEntryNotAllowed
        | Kind::InvalidBlockScalarIndent
        | Kind::InvalidFlowScalarIndent => INDENTATION,
        Kind::MappingValueNotAllowed | Kind::InvalidColonPlacement | Kind::FlowMappingValueAdjacentCollection => {
            "a colon is not allowed here; check the indentation, and put text that contains a colon and a space in quotes"
        }
        Kind::SimpleKeyExpected | Kind::InvalidSimpleKey => {
            "a colon is missing after a key; write NAME: VALUE, with a space after the colon"
        }
        Kind::InvalidMappingValueWhitespace => "a space is missing after the colon; write NAME: VALUE",
        Kind::InvalidBlockEntryWhitespace => "a space is missing after the dash; write - VALUE",
        Kind::TabNotAllowed
        | Kind::TabInBlockIndentation
        | Kind::TabInIndentation
        | Kind::TabAtBlockScalarStart
        | Kind::TabInPlainScalar => "a tab is not allowed here; indent with spaces",
        Kind::ExpectedFlowMappingSeparator => "a comma or } is missing before this; add it",
        Kind::ExpectedFlowSequenceSeparator => "a comma or ] is missing before this; add it",
        Kind::UnexpectedEofFlowSequence
        | Kind::UnexpectedEofFlowMapping
        | Kind::UnexpectedEofImplicitFlowMapping
        | Kind::UnclosedFlowCollection { .. } => UNCLOSED,
        Kind::MisplacedFlowCollectionEnd | Kind::MismatchedFlowCollectionEnd { .. } => {
            "this bracket or brace closes none of its kind; remove it, or open it before"
        }
        Kind::RecursionLimitExceeded => "the file is nested too deeply; write a plainer one",
        Kind::BlockEntryInFlowCollection => "a list with dashes is not allowed between brackets; write [VALUE, VALUE]",
        _ => return None,
    })
}

/// Errors in quotes, in text without quotes, and in what has a meaning in YAML.
fn describe_text(kind: &ErrorKind) -> Option<&'static str> {
    use ErrorKind as Kind;
    Some(match kind {
        Kind::UnclosedQuotedScalar | Kind::DocumentIndicatorInQuotedScalar | Kind::InvalidQuotedScalarIndent => {
            "a quote is not closed before this; close it, or indent every line of the text in quotes"
        }
        Kind::InvalidTrailingSingleQuotedScalar | Kind::InvalidTrailingDoubleQuotedScalar => {
            "text follows a closing quote; put the whole text in quotes, or add the missing comma"
        }
        Kind::UnknownQuotedScalarEscape
        | Kind::InvalidQuotedScalarHexEscape
        | Kind::InvalidLowSurrogateHexEscape
        | Kind::InvalidLowSurrogate
        | Kind::MissingLowSurrogate
        | Kind::UnpairedLowSurrogate
        | Kind::InvalidUnicodeEscape => ESCAPE,
        Kind::UnexpectedCharacter { .. } | Kind::PlainScalarStartsWithDashFlowIndicator => {
            "text without quotes cannot begin like this; put it in quotes"
        }
        Kind::MissingAnchorOrAliasName => "a name is missing after & or *; put text that begins with it in quotes",
        Kind::UndeclaredTagHandle
        | Kind::ExpectedTagBang
        | Kind::InvalidTagTerminator
        | Kind::MissingTagUri
        | Kind::UnclosedVerbatimTag
        | Kind::InvalidTagEscape
        | Kind::InvalidGlobalTagCharacter => TAG,
        Kind::InvalidBlockScalarHeader | Kind::ZeroBlockScalarIndent => {
            "text after | or > must begin in the next line; move it there, or put it in quotes"
        }
        Kind::CommentNotSeparated => "a space is missing before the comment (#); add it, or put the text in quotes",
        Kind::InvalidDocumentEnd | Kind::ExpectedDocumentStart | Kind::MissingDocumentEndBeforeDirective => {
            "text follows the end of the document; remove it, or indent it as a part of the document"
        }
        Kind::DirectiveDisallowed
        | Kind::MissingDirectiveName
        | Kind::InvalidDirectiveName
        | Kind::InvalidDirectiveTerminator => "a directive (%) is not supported; put text that begins with % in quotes",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_and_yaml_read_the_same() {
        let yaml = "name: a\ntargets:\n  - function: f\nfaults:\n  - reservedConcurrency: {limit: 0}\nduration: PT5M\n";
        let json = r#"{"name":"a","targets":[{"function":"f"}],"faults":[{"reservedConcurrency":{"limit":0}}],"duration":"PT5M"}"#;
        assert_eq!(parse(yaml), parse(json));
        assert!(parse(yaml).is_ok());
    }

    #[test]
    fn a_bomb_of_anchors_is_refused() {
        let mut yaml = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for level in 1..9 {
            let inner = vec![format!("*a{}", level - 1); 10].join(", ");
            yaml.push_str(&format!("a{level}: &a{level} [{inner}]\n"));
        }
        assert!(parse(&yaml).is_err_and(|refused| refused.problem != UNKNOWN));
    }

    #[test]
    fn a_syntax_error_has_its_place_and_its_own_sentence() {
        let mut wrong = Vec::new();
        for (text, expected) in [
            ("set: {API_KEY: 7e4521}", "1:16: this number is too large or not a number; if it is text, "),
            ("set:\n  API_KEY: .nan", "2:12: this number is too large or not a number"),
            ("duration: PT5M\nduration: PT6M\n", "2:1: this key appears twice in one object; keep one"),
            (r#"{"duration":"PT5M","duration":"PT6M"}"#, "this key appears twice in one object; keep one of the two"),
            ("name: a\n---\nname: hunter2\n", "a second document begins here; write one document per file"),
            ("a:\n  - b: 1\n c: hunter2\n", "wrong indentation; begin the line in the same column"),
            ("a: b: hunter2\n", "a colon is not allowed here; "),
            ("a:\n\t- hunter2\n", "a tab is not allowed here; indent with spaces"),
            (r#"{"a": "x" "b": "hunter2"}"#, "text follows a closing quote; put the whole text in quotes, or add"),
            (r#"{"a": {} "b": "hunter2"}"#, "a comma or } is missing before this; add it"),
            ("[1, 2", "a bracket or brace is not closed; add the missing ] or }"),
            ("a: \"hunter2\n", "a quote is not closed before this; close it"),
            ("a: \"\\hunter2\"\n", r"an invalid escape in double quotes; write \\ for a backslash"),
            ("a: @hunter2\n", "text without quotes cannot begin like this; put it in quotes"),
            ("a: *hunter2\n", "this alias (*) has no anchor (&); put text that begins with * in quotes"),
            ("a: 'b' hunter2\n", "text follows a closing quote; put the whole text in quotes"),
        ] {
            let refused = parse(text).err();
            let at =
                refused.as_ref().and_then(|refused| refused.place).map(|at| format!("{}:{}: ", at.line, at.column));
            let refused = at.unwrap_or_default() + refused.map_or("", |refused| refused.problem);
            if !refused.contains(expected) || !refused.starts_with(|c: char| c.is_ascii_digit()) {
                wrong.push(format!("{text:?}: {refused}"));
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
}
