//! The address of the Runtime API.

use std::io;
use std::net::SocketAddr;

use tokio::net::TcpStream;

/// The variable in which Lambda gives the address (lambda/latest/dg/configuration-envvars).
pub(crate) const API_VARIABLE: &str = "AWS_LAMBDA_RUNTIME_API";

/// The Runtime API, or another proxy in front of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// `host:port`.
    authority: String,
    /// The address, if the host is an IP address and needs no lookup.
    address: Option<SocketAddr>,
    /// The prefix of each path; empty on Lambda.
    prefix: String,
}

impl Upstream {
    /// Parses `host:port`, or a URL with a path, as local tools set it.
    ///
    /// # Errors
    /// The value has another form. The message names it and the expected forms.
    pub fn parse(text: &str) -> Result<Self, String> {
        let rest = text.strip_prefix("http://").unwrap_or(text);
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let port = authority.rsplit_once(':').map(|(host, port)| (host, port.parse::<u16>()));
        let prefix = path.trim_end_matches('/');
        let plain = rest.bytes().all(|byte| byte.is_ascii_graphic());
        match port {
            Some((host, Ok(_))) if !host.is_empty() && plain => {
                Ok(Self { address: authority.parse().ok(), authority: authority.to_owned(), prefix: prefix.to_owned() })
            }
            _ => Err(format!("{API_VARIABLE} is `{text}`; set it to host:port, or http://host:port/path")),
        }
    }

    /// Returns the `Host` of the proxy's own requests.
    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }

    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Returns a message with the prefix before its path, which begins at `path`.
    pub(crate) fn prefixed(&self, message: &[u8], path: usize) -> Vec<u8> {
        let (before, after) = message.split_at(path.min(message.len()));
        [before, self.prefix.as_bytes(), after].concat()
    }

    pub(crate) async fn connect(&self) -> io::Result<TcpStream> {
        let stream = match self.address {
            Some(address) => TcpStream::connect(address).await?,
            None => TcpStream::connect(&self.authority).await?,
        };
        // Heads and small bodies are sent immediately, as they arrived.
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_lambda_or_a_local_tool_is_parsed() {
        for (text, authority, prefix) in [
            ("127.0.0.1:9001", "127.0.0.1:9001", ""),
            ("[::1]:9001", "[::1]:9001", ""),
            ("localhost:9001", "localhost:9001", ""),
            ("http://127.0.0.1:9000/.rt/checkout", "127.0.0.1:9000", "/.rt/checkout"),
            ("http://127.0.0.1:9000/", "127.0.0.1:9000", ""),
        ] {
            let upstream = Upstream::parse(text);
            let parts = upstream.as_ref().map(|upstream| (upstream.authority(), upstream.prefix()));
            assert_eq!(parts, Ok((authority, prefix)), "{text}");
        }
        for text in ["", "127.0.0.1", ":9001", "host:port", "https://host:1", "a b:1"] {
            assert!(Upstream::parse(text).is_err(), "{text}");
        }
    }
}
