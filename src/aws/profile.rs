//! Named AWS profiles. A profile that a user names must exist, and is the only source of credentials.

use aws_config::Region;
use aws_config::profile::{ProfileFileCredentialsProvider, load};
use aws_config::provider_config::ProviderConfig;
use aws_credential_types::provider::SharedCredentialsProvider;
#[cfg(feature = "cli")]
use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_types::os_shim_internal::{Env, Fs};

/// Why a profile cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProfileError {
    /// Neither file has this profile.
    #[error(
        "there is no AWS profile `{0}` in the configuration and credentials files; run `aws configure list-profiles` to see the profiles"
    )]
    Unknown(String),
    /// The files cannot be read.
    #[error(
        "the AWS profile `{0}` cannot be read: the configuration or credentials file is invalid or unreadable; see `aws configure list`"
    )]
    Unreadable(String),
}

/// Checks that a profile exists in the files that AWS_CONFIG_FILE and AWS_SHARED_CREDENTIALS_FILE name, or in those of
/// the home directory (sdkref/latest/guide/file-location).
///
/// # Errors
/// If there is no such profile, or a file cannot be read. The error names the profile.
pub(super) async fn require(name: &str) -> Result<(), ProfileError> {
    let selected = Some(name.to_owned().into());
    // The library's error quotes a line of the file, which can contain a key.
    let profiles = load(&Fs::real(), &Env::real(), &Default::default(), selected).await;
    let profiles = profiles.map_err(|_| ProfileError::Unreadable(name.to_owned()))?;
    match profiles.get_profile(name) {
        Some(_) => Ok(()),
        None => Err(ProfileError::Unknown(name.to_owned())),
    }
}

/// Returns the credentials of a profile: keys, a role to assume, SSO or a process. The environment's keys, which come
/// first in the default chain, are ignored (sdkref/latest/guide/standardized-credentials).
pub(super) fn credentials(name: &str, region: Option<Region>, http: SharedHttpClient) -> SharedCredentialsProvider {
    // This client makes the separate call that assumes a role.
    let client = ProviderConfig::without_region().with_region(region).with_http_client(http);
    let provider = ProfileFileCredentialsProvider::builder().configure(&client).profile_name(name).build();
    SharedCredentialsProvider::new(provider)
}

/// Whether a call failed because there were no credentials to sign it with.
#[cfg(feature = "cli")]
pub(super) fn lacks_credentials(error: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| error.source()).any(|error| error.is::<CredentialsError>())
}
