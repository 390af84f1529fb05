//! The bucket for reports. A page is put with one signed request.
//!
//! This is the only call to S3, in one form. The crate aws-sdk-s3 takes half as long again to compile as the largest SDK here
//! (140 s of one core next to 93 s for aws-sdk-dynamodb), in each of the control plane's builds. So the request is signed by
//! aws-sigv4 and sent by the HTTP client, which the SDKs bring.

use std::fmt::Write as _;
use std::sync::OnceLock;
use std::time::SystemTime;

use aws_config::SdkConfig;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings, UriPathNormalizationMode,
    sign,
};
use aws_sigv4::sign::v4;
use aws_smithy_http_client::Connector;
use aws_smithy_runtime_api::client::http::HttpConnector;
use aws_smithy_runtime_api::client::identity::Identity;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::base64;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use sha2::{Digest, Sha256};

use crate::model::report_bucket::ReportBucket;
use crate::ports::{ReportStore, ReportStoreError, WriteOutcome};
use crate::steps::ATTEMPT_TIMEOUT;

use super::AwsWorld;
use super::configuration::connector;

/// The most characters of an error of S3 in a message.
const MAX_ERROR_CHARACTERS: usize = 600;

/// A client for the one call.
#[derive(Debug)]
pub(super) struct BucketClient {
    bucket: ReportBucket,
    region: String,
    endpoint: Option<String>,
    credentials: Option<SharedCredentialsProvider>,
    /// Made when it is first used, because it reads the certificates.
    connector: OnceLock<Connector>,
}

impl ReportStore for AwsWorld {
    fn has_report_bucket(&self) -> bool {
        self.report_bucket.is_some()
    }

    async fn put_report(&self, key: &str, page: String) -> Result<WriteOutcome, ReportStoreError> {
        let none = || ReportStoreError::Refused("this stack has no bucket for reports".to_owned());
        let client = self.report_bucket.as_deref().ok_or_else(none)?;
        let late = |_| ReportStoreError::Unavailable("the call timed out".to_owned());
        tokio::time::timeout(ATTEMPT_TIMEOUT, client.put(key, page)).await.map_err(late)?
    }
}

type Headers = Vec<(&'static str, String)>;

impl BucketClient {
    pub(super) fn new(config: &SdkConfig, bucket: ReportBucket) -> Self {
        Self {
            bucket,
            region: config.region().map(ToString::to_string).unwrap_or_default(),
            endpoint: config.endpoint_url().map(str::to_owned),
            credentials: config.credentials_provider(),
            connector: OnceLock::new(),
        }
    }

    async fn put(&self, key: &str, page: String) -> Result<WriteOutcome, ReportStoreError> {
        let url = self.bucket.address(&self.region, self.endpoint.as_deref(), key);
        let request =
            self.signed(&url, page).await.map_err(|error| ReportStoreError::Unavailable(error.to_string()))?;
        let response = self.connector.get_or_init(connector).call(request).await;
        let lost = |error| ReportStoreError::Unavailable(format!("the connection failed: {error}"));
        self.outcome(response.map_err(lost)?).await
    }

    /// Returns the headers of a page (AmazonS3/latest/API/API_PutObject).
    fn headers(&self, digest: &[u8]) -> Headers {
        let mut headers = vec![
            ("content-type", "text/html; charset=utf-8".to_owned()),
            // Evidence is written once: a page that is there stays, also when a response was lost. This needs no right but
            // s3:PutObject (AmazonS3/latest/userguide/conditional-writes).
            ("if-none-match", "*".to_owned()),
            // A bucket with Object Lock takes only objects with a checksum (AmazonS3/latest/API/API_PutObject, Content-MD5).
            ("x-amz-sdk-checksum-algorithm", "SHA256".to_owned()),
            ("x-amz-checksum-sha256", base64::encode(digest)),
        ];
        if let Some(owner) = &self.bucket.owner {
            headers.push(("x-amz-expected-bucket-owner", owner.clone()));
        }
        if let Some(key) = &self.bucket.key_arn {
            headers.push(("x-amz-server-side-encryption", "aws:kms".to_owned()));
            headers.push(("x-amz-server-side-encryption-aws-kms-key-id", key.clone()));
        }
        headers
    }

    async fn signed(&self, url: &str, page: String) -> Result<HttpRequest, Box<dyn std::error::Error + Send + Sync>> {
        let credentials = self.credentials.as_ref().ok_or("there are no credentials")?;
        let identity: Identity = credentials.provide_credentials().await?.into();
        let digest = Sha256::digest(&page);
        let headers = self.headers(&digest);
        let hash = digest.iter().fold(String::new(), |mut hash, byte| {
            let _ = write!(hash, "{byte:02x}");
            hash
        });
        // S3 signs the path as it is sent, and the hash of the body as a header
        // (IAM/latest/UserGuide/reference_sigv-create-signed-request).
        let mut settings = SigningSettings::default();
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name("s3")
            .time(SystemTime::now())
            .settings(settings)
            .build()?
            .into();
        let signable = headers.iter().map(|(name, value)| (*name, value.as_str()));
        let signable = SignableRequest::new("PUT", url, signable, SignableBody::Precomputed(hash))?;
        let (signature, _) = sign(signable, &parameters)?.into_parts();
        let mut request = HttpRequest::new(SdkBody::from(page));
        request.set_method("PUT")?;
        request.set_uri(url.to_owned())?;
        for (name, value) in headers {
            request.headers_mut().try_insert(name, value)?;
        }
        for (name, value) in signature.headers() {
            request.headers_mut().try_insert(name.to_owned(), value.to_owned())?;
        }
        Ok(request)
    }

    /// Reads the response (AmazonS3/latest/API/ErrorResponses).
    async fn outcome(&self, response: HttpResponse) -> Result<WriteOutcome, ReportStoreError> {
        let status = response.status().as_u16();
        match status {
            200..300 => return Ok(WriteOutcome::Applied),
            412 => return Ok(WriteOutcome::ConditionFailed),
            _ => {}
        }
        let body = ByteStream::new(response.into_body()).collect().await.map(|body| body.into_bytes());
        let body = body.unwrap_or_default();
        let body = String::from_utf8_lossy(&body);
        let part = |name: &str| {
            body.split_once(&format!("<{name}>"))?.1.split_once(&format!("</{name}>")).map(|(text, _)| text)
        };
        let said = [part("Code"), part("Message")].into_iter().flatten().collect::<Vec<_>>().join(": ");
        let said: String = said.chars().take(MAX_ERROR_CHARACTERS).collect();
        let text = format!("bucket {}: HTTP status {status} {said}", self.bucket.name).trim_end().to_owned();
        // 409: another write to the same key (AmazonS3/latest/userguide/conditional-writes). 503 is SlowDown.
        Err(match status {
            409 | 429 | 500.. => ReportStoreError::Unavailable(text),
            _ => ReportStoreError::Refused(text),
        })
    }
}

#[cfg(test)]
mod tests {
    use aws_config::Region;
    use aws_credential_types::Credentials;
    use aws_smithy_runtime_api::http::StatusCode;

    use super::*;

    const KEY: &str = "arn:aws:kms:eu-west-1:123456789012:key/1";

    fn client(owner: Option<&str>, key_arn: Option<&str>) -> BucketClient {
        let credentials = SharedCredentialsProvider::new(Credentials::new("AKID", "secret", None, None, "test"));
        let region = Region::new("eu-west-1");
        let config = SdkConfig::builder().region(region).credentials_provider(credentials).build();
        let bucket = ReportBucket {
            name: "reports".into(),
            owner: owner.map(str::to_owned),
            key_arn: key_arn.map(str::to_owned),
            url_suffix: "amazonaws.com".into(),
        };
        BucketClient::new(&config, bucket)
    }

    #[tokio::test]
    async fn every_header_of_a_page_is_signed() {
        let client = client(Some("123456789012"), Some(KEY));
        let signed = client.signed("https://reports.s3.eu-west-1.amazonaws.com/a/b.html", "<p>".to_owned()).await;
        let request = signed.unwrap_or_else(|error| unreachable!("{error}"));
        let header = |name: &str| request.headers().get(name).unwrap_or_default().to_owned();
        let authorization = header("authorization");
        for (name, _) in client.headers(&[]) {
            assert!(!header(name).is_empty() && authorization.contains(name), "{name}: {authorization}");
        }
        assert!(authorization.contains("/eu-west-1/s3/aws4_request"), "{authorization}");
        // Of `printf '<p>' | sha256sum`, as hexadecimal digits and as base64.
        let hash = "33f2799467177287a29260780a107ac98ea63dd6165f67fcc0d74767d0a82090";
        assert_eq!(
            (header("x-amz-content-sha256").as_str(), header("x-amz-checksum-sha256").as_str()),
            (hash, "M/J5lGcXcoeikmB4ChB6yY6mPdYWX2f8wNdHZ9CoIJA=")
        );
        assert_eq!(
            (header("x-amz-expected-bucket-owner"), header("if-none-match")),
            ("123456789012".into(), "*".into())
        );
        assert_eq!(header("x-amz-server-side-encryption-aws-kms-key-id"), KEY);
        assert_eq!(request.body().bytes(), Some(b"<p>".as_slice()));
    }

    #[test]
    fn a_bucket_without_a_key_uses_its_default_encryption() {
        let headers = client(None, None).headers(&[]);
        assert!(!headers.iter().any(|(name, _)| name.contains("encryption") || name.contains("owner")), "{headers:?}");
    }

    #[tokio::test]
    async fn the_response_says_whether_to_try_again() {
        let client = client(None, None);
        let said = "<Error><Code>NoSuchBucket</Code><Message>It does not exist</Message></Error>";
        let outcome = async |status: u16| {
            let status = StatusCode::try_from(status).unwrap_or_else(|error| unreachable!("{error}"));
            client.outcome(HttpResponse::new(status, SdkBody::from(said))).await
        };
        assert_eq!(
            (outcome(200).await, outcome(412).await),
            (Ok(WriteOutcome::Applied), Ok(WriteOutcome::ConditionFailed))
        );
        let text = |status: u16| format!("bucket reports: HTTP status {status} NoSuchBucket: It does not exist");
        for status in [301, 400, 403, 404] {
            assert_eq!(outcome(status).await, Err(ReportStoreError::Refused(text(status))));
        }
        for status in [409, 429, 500, 503] {
            assert_eq!(outcome(status).await, Err(ReportStoreError::Unavailable(text(status))));
        }
    }
}
