//! The requests that the proxy handles (lambda/latest/dg/runtimes-api). All others pass, known or not.

use std::ops::Range;

/// What a request is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// `GET /2018-06-01/runtime/invocation/next`.
    Next,
    /// A result: `POST /2018-06-01/runtime/invocation/{id}/response` or `/error`.
    Result {
        /// The position of the id in the path.
        id: Range<usize>,
        /// Whether the path ends in `/error`.
        is_error: bool,
    },
    /// Any other request.
    Other,
}

const INVOCATION: &str = "/runtime/invocation/";

/// Recognizes a request, regardless of the version of the Runtime API.
pub(crate) fn route(method: &str, path: &str) -> Route {
    let Some((_, rest)) = path.split_once(INVOCATION) else { return Route::Other };
    let start = path.len() - rest.len();
    match (method, rest.split_once('/')) {
        ("GET", None) if rest == "next" => Route::Next,
        ("POST", Some((id, kind @ ("response" | "error")))) if !id.is_empty() => {
            Route::Result { id: start..start + id.len(), is_error: kind == "error" }
        }
        _ => Route::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_three_requests_are_recognized() {
        let base = "/2018-06-01/runtime/invocation/";
        assert_eq!(route("GET", &format!("{base}next")), Route::Next);
        let id = base.len()..base.len() + 3;
        assert_eq!(route("POST", &format!("{base}a-1/response")), Route::Result { id: id.clone(), is_error: false });
        assert_eq!(route("POST", &format!("{base}a-1/error")), Route::Result { id, is_error: true });
        for (method, path) in [
            ("POST", "next"),
            ("GET", "next/x"),
            ("GET", "a-1"),
            ("GET", "a-1/response"),
            ("POST", "/response"),
            ("POST", "a-1/response/x"),
            ("POST", "a-1"),
        ] {
            assert_eq!(route(method, &format!("{base}{path}")), Route::Other, "{method} {path}");
        }
        assert_eq!(route("POST", "/2018-06-01/runtime/init/error"), Route::Other);
        assert_eq!(route("GET", "/2018-06-01/runtime/restore/next"), Route::Other);
    }
}
