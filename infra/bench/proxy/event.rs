//! Builds realistic events and responses of any size.

/// An event of API Gateway's HTTP API, up to its body, with the fields in AWS's order
/// (apigateway/latest/developerguide/http-api-develop-integrations-lambda).
const BEFORE_BODY: &str = concat!(
    r#"{"version":"2.0","routeKey":"POST /orders/{shop}","rawPath":"/orders/berlin","rawQueryString":"page=1&tag=a%2Cb","#,
    r#""cookies":["session=7f3c9d2e5b8a4416","theme=dark"],"headers":{"accept":"application/json","#,
    r#""accept-encoding":"gzip, deflate, br","authorization":"Bearer eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0","#,
    r#""content-type":"application/json","host":"a1b2c3d4e5.execute-api.us-east-1.amazonaws.com","#,
    r#""user-agent":"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36","x-amzn-trace-id":"Root=1-5bef4de7-ad49b0e87f6ef6c8","#,
    r#""x-forwarded-for":"192.0.2.17","x-forwarded-port":"443","x-forwarded-proto":"https"},"#,
    r#""queryStringParameters":{"page":"1","tag":"a,b"},"pathParameters":{"shop":"berlin"},"#,
    r#""requestContext":{"accountId":"123456789012","apiId":"a1b2c3d4e5","authorizer":{"jwt":{"claims":"#,
    r#"{"aud":"shop","exp":"1735689600","iss":"https://login.example.com/","sub":"1234567890","#,
    r#""scope":"orders/read orders/write"},"scopes":["orders/read","orders/write"]}},"#,
    r#""domainName":"a1b2c3d4e5.execute-api.us-east-1.amazonaws.com","domainPrefix":"a1b2c3d4e5","#,
    r#""http":{"method":"POST","path":"/orders/berlin","protocol":"HTTP/1.1","sourceIp":"192.0.2.17","#,
    r#""userAgent":"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36"},"requestId":"JKJaXmPLvHcESHA=","#,
    r#""routeKey":"POST /orders/{shop}","stage":"$default","time":"12/Mar/2026:19:03:58 +0000","timeEpoch":1773342238000},"#,
    r#""stageVariables":{"table":"orders","flags":"a,b"},"body":""#,
);
const AFTER_BODY: &str = r#"","isBase64Encoded":false}"#;
/// One piece of the body, which is JSON inside JSON, so its quotes are escaped.
const PIECE: &str = r#"{\"sku\":\"A-1001\",\"name\":\"Stuhl, Eiche ge\\u00f6lt\",\"quantity\":2,\"price\":{\"amount\":\"129.90\",\"currency\":\"EUR\"}},"#;

/// Conditions on such an event; the first holds and the second does not. Their fields are in the middle and at the very
/// end of the event, so that an implementation cannot stop reading early.
pub const NO_MATCH: &str =
    r#"[{"path":"requestContext.http.method","startsWith":"P"},{"path":"isBase64Encoded","equals":true}]"#;

/// Returns JSON of exactly `size` bytes: an event of API Gateway, or only some text if that does not fit.
pub fn json(size: usize) -> String {
    let (before, after) = match size.checked_sub(BEFORE_BODY.len() + AFTER_BODY.len()) {
        Some(_) => (BEFORE_BODY, AFTER_BODY),
        None => (r#"{"body":""#, r#""}"#),
    };
    let body = size.saturating_sub(before.len() + after.len());
    let mut text = String::with_capacity(size);
    text.push_str(before);
    if before == BEFORE_BODY {
        text.push_str(&PIECE.repeat(body / PIECE.len()));
    }
    // The rest is shorter than a piece.
    text.push_str(&"x".repeat(size.saturating_sub(text.len() + after.len())));
    text.push_str(after);
    text
}
