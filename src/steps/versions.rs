//! Lists a function's versions page by page. Each page counts for Lambda's rate, and a page that was read is not read
//! again.

use crate::model::names::FunctionArn;
use crate::ports::{FunctionError, VersionPage, World};

use super::rate_limiter::{Quota, RateLimiter};

/// The progress of a list.
#[derive(Debug, Default)]
pub(super) struct Listing {
    versions: Vec<u64>,
    next: Option<String>,
    whole: bool,
}

impl Listing {
    /// Lists the remaining pages, each when its turn has come. After an error, another call continues with the page
    /// that failed.
    ///
    /// # Errors
    /// The error of the page that failed.
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
