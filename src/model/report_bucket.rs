//! The bucket for reports, as the environment of the reaper's function states it.

/// The suffix of AWS's host names outside of China and of isolated partitions.
const USUAL_URL_SUFFIX: &str = "amazonaws.com";

/// The bucket for reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportBucket {
    /// Its name.
    pub name: String,
    /// The account that must own it. S3 refuses the page if it belongs to another one.
    pub owner: Option<String>,
    /// The KMS key that encrypts the pages; `None` for the bucket's default encryption.
    pub key_arn: Option<String>,
    /// The suffix of AWS's host names in this partition.
    pub url_suffix: String,
}

impl ReportBucket {
    /// Reads the bucket from a function's environment; `None` if the stack has none. Nothing here is an error: it would
    /// stop the reaper, which restores.
    pub fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let stated = |name: &str| variable(name).filter(|value| !value.is_empty());
        Some(Self {
            name: stated("SNAPBACK_REPORT_BUCKET")?,
            owner: stated("SNAPBACK_REPORT_BUCKET_OWNER"),
            key_arn: stated("SNAPBACK_REPORT_KEY"),
            url_suffix: stated("SNAPBACK_URL_SUFFIX").unwrap_or_else(|| USUAL_URL_SUFFIX.to_owned()),
        })
    }

    /// The address of an object: with an `endpoint`, as an emulator has one, the bucket is the first part of the path.
    /// On AWS it is part of the host name, because S3 will give up the other form
    /// (AmazonS3/latest/userguide/VirtualHosting). `key` must have only characters that a path can have.
    #[must_use]
    pub fn address(&self, region: &str, endpoint: Option<&str>, key: &str) -> String {
        match endpoint {
            Some(endpoint) => format!("{}/{}/{key}", endpoint.trim_end_matches('/'), self.name),
            None => format!("https://{}.s3.{region}.{}/{key}", self.name, self.url_suffix),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stated(variables: &[(&str, &str)]) -> Option<ReportBucket> {
        let find = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        ReportBucket::from_environment(find)
    }

    #[test]
    fn a_stack_without_a_name_has_no_bucket() {
        assert_eq!(stated(&[]), None);
        assert_eq!(stated(&[("SNAPBACK_REPORT_BUCKET", ""), ("SNAPBACK_REPORT_BUCKET_OWNER", "1")]), None);
    }

    #[test]
    fn the_address_follows_the_partition_and_the_endpoint() {
        let name = ("SNAPBACK_REPORT_BUCKET", "reports");
        let address = |bucket: Option<ReportBucket>, endpoint| {
            bucket.map(|bucket| bucket.address("cn-north-1", endpoint, "snapback/1/a/r.html"))
        };
        let china = stated(&[name, ("SNAPBACK_URL_SUFFIX", "amazonaws.com.cn")]);
        assert_eq!(
            address(china, None).as_deref(),
            Some("https://reports.s3.cn-north-1.amazonaws.com.cn/snapback/1/a/r.html")
        );
        let emulated = address(stated(&[name]), Some("http://127.0.0.1:4566/"));
        assert_eq!(emulated.as_deref(), Some("http://127.0.0.1:4566/reports/snapback/1/a/r.html"));
        assert!(address(stated(&[name]), None).is_some_and(|address| address.contains(".amazonaws.com/")));
    }
}
