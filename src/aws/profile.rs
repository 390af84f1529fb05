//! The profile that a user names: the only source of credentials, and one that exists.

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
    /// No file names it.
    #[error(
        "there is no AWS profile `{0}` in the configuration and credentials files; `aws configure list-profiles` lists them"
    )]
    Unknown(String),
    /// The files cannot be read.
    #[error(
        "the AWS profile `{0}` cannot be looked up: the configuration or credentials file is unreadable or no such file; see `aws configure list`"
    )]
    Unreadable(String),
}

/// Whether there is a profile of this name, in the files that AWS_CONFIG_FILE and AWS_SHARED_CREDENTIALS_FILE name, or in
/// those of the home directory (sdkref/latest/guide/file-location).
///
/// # Errors
/// Names the profile.
pub(super) async fn require(name: &str) -> Result<(), ProfileError> {
    let selected = Some(name.to_owned().into());
    // The library's error would quote a line of the file, which may be a key.
    let profiles = load(&Fs::real(), &Env::real(), &Default::default(), selected).await;
    let profiles = profiles.map_err(|_| ProfileError::Unreadable(name.to_owned()))?;
    match profiles.get_profile(name) {
        Some(_) => Ok(()),
        None => Err(ProfileError::Unknown(name.to_owned())),
    }
}

/// The credentials of a profile, whatever the environment has: keys, a role to assume, SSO or a process
/// (sdkref/latest/guide/standardized-credentials; in the default chain, the environment's keys come first).
pub(super) fn credentials(name: &str, region: Option<Region>, http: SharedHttpClient) -> SharedCredentialsProvider {
    // A role is assumed by a call of its own.
    let client = ProviderConfig::without_region().with_region(region).with_http_client(http);
    let provider = ProfileFileCredentialsProvider::builder().configure(&client).profile_name(name).build();
    SharedCredentialsProvider::new(provider)
}

/// Whether a call failed because there were no credentials to sign it with.
#[cfg(feature = "cli")]
pub(super) fn lacks_credentials(error: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| error.source()).any(|error| error.is::<CredentialsError>())
}
