//! Lists a function's versions page by page. Each page counts for Lambda's rate, and a page that was read is not read again.

use crate::model::names::FunctionArn;
use crate::ports::{FunctionError, VersionPage, World};

use super::rate_limiter::{Quota, RateLimiter};

/// How far a list has come.
#[derive(Debug, Default)]
pub(super) struct Listing {
    versions: Vec<u64>,
    next: Option<String>,
    whole: bool,
}

impl Listing {
    /// Lists what is left, each page in its turn. After an error, it continues with the page that failed.
    ///
    /// # Errors
    /// The page's.
    pub(super) async fn finish(
        &mut self,
        world: &impl World,
        limiter: &RateLimiter,
        function: &FunctionArn,
    ) -> Result<&[u64], FunctionError> {
        while !self.whole {
            let page = limiter.read(world, &[Quota::ControlPlane], || world.versions(function, self.next.as_deref()));
            let VersionPage { versions, next } = page.await?;
            self.versions.extend(versions);
            self.whole = next.is_none();
            self.next = next;
        }
        Ok(&self.versions)
    }
}
