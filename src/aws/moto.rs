//! A server with moto's DynamoDB on 127.0.0.1, which runs as long as a test.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test reports errors by failing")]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::Value;

use super::AwsWorld;
use super::records::Item;

/// A server with one empty table. It reads a pipe from the test, so it also ends when the test fails or is killed.
pub(super) struct Moto {
    server: Child,
    port: u16,
    /// A connection for requests about the items.
    connection: RefCell<BufReader<TcpStream>>,
}

impl Moto {
    pub(super) fn start() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let python = root.join(".tools/ledger/bin/python");
        assert!(python.exists(), "moto is not installed; run `make tools-ledger` first, or `make test`, which does");
        let mut command = Command::new(python);
        command.arg(root.join("tests/ledger/dynamodb.py")).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut server = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(server.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port = line.trim().parse().unwrap_or_else(|_| panic!("moto did not start: {line:?}"));
        let connection = BufReader::new(TcpStream::connect(("127.0.0.1", port)).unwrap()).into();
        Self { server, port, connection }
    }

    /// Returns a client of the table.
    pub(super) fn world(&self) -> AwsWorld {
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-west-1"))
            .endpoint_url(format!("http://127.0.0.1:{}", self.port))
            .credentials_provider(SharedCredentialsProvider::new(Credentials::new("test", "test", None, None, "test")))
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .build();
        AwsWorld::new(&config, "ledger", None)
    }

    /// Returns every item of the table.
    pub(super) fn items(&self) -> Vec<Item> {
        read_items(&self.request("GET"))
    }

    /// Empties the table.
    pub(super) fn clear(&self) {
        self.request("DELETE");
    }

    fn request(&self, method: &str) -> String {
        let mut connection = self.connection.borrow_mut();
        let head = format!("{method} /items HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
        connection.get_mut().write_all(head.as_bytes()).unwrap();
        let mut line = || {
            let mut line = String::new();
            connection.read_line(&mut line).unwrap();
            line.trim_end().to_owned()
        };
        assert!(line().starts_with("HTTP/1.1 200"), "{method}");
        let length = line().strip_prefix("Content-Length: ").and_then(|digits| digits.parse().ok()).unwrap();
        assert_eq!(line(), "");
        let mut body = vec![0; length];
        connection.read_exact(&mut body).unwrap();
        String::from_utf8(body).unwrap()
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        drop(self.server.stdin.take());
        self.server.wait().unwrap();
    }
}

/// Reads a list of items in DynamoDB's JSON.
pub(super) fn read_items(json: &str) -> Vec<Item> {
    let items: Vec<BTreeMap<String, Value>> = serde_json::from_str(json).unwrap();
    items.into_iter().map(|item| item.into_iter().map(|(name, value)| (name, attribute(&value))).collect()).collect()
}

fn attribute(value: &Value) -> AttributeValue {
    let (kind, value) = value.as_object().and_then(|value| value.iter().next()).unwrap();
    match (kind.as_str(), value) {
        ("S", Value::String(text)) => AttributeValue::S(text.clone()),
        ("N", Value::String(digits)) => AttributeValue::N(digits.clone()),
        ("BOOL", Value::Bool(value)) => AttributeValue::Bool(*value),
        other => panic!("an attribute of an unexpected type: {other:?}"),
    }
}
