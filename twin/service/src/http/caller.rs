//! Caller: who sends a request, and what that principal may see and do.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use plugin_api::{Access, Authorize, Decision, Principal, Section};
use twin_model::DeviceName;

use super::Api;
use super::fault::Fault;

/// The authenticated principal of a request, and the rules.
#[derive(Debug)]
pub(crate) struct Caller {
    pub(crate) principal: Arc<Principal>,
    authorize: Arc<dyn Authorize>,
}

/// Which parts of a twin a caller may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sight {
    pub(crate) desired: bool,
    pub(crate) reported: bool,
    pub(crate) tags: bool,
}

impl FromRequestParts<Api> for Caller {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Fault> {
        let principal = parts
            .extensions
            .get::<Arc<Principal>>()
            .ok_or_else(Fault::unauthorized)?;
        Ok(Self {
            principal: Arc::clone(principal),
            authorize: Arc::clone(&api.authorize),
        })
    }
}

impl Caller {
    /// Goes on only if the caller may do this.
    pub(crate) async fn must(&self, access: Access) -> Result<(), Fault> {
        if self.may(&access).await {
            Ok(())
        } else {
            Err(Fault::forbidden())
        }
    }

    /// Goes on only if the caller may change this part of the device's twins.
    pub(crate) async fn must_write(&self, device: &DeviceName, section: Section) -> Result<(), Fault> {
        self.must(Access::WriteTwin {
            device: device.to_string(),
            section,
        })
        .await
    }

    /// What the caller may see of a device's twins.
    pub(crate) async fn sight(&self, device: &DeviceName) -> Sight {
        let read = |section| Access::ReadTwin {
            device: device.to_string(),
            section,
        };
        if self.may(&read(Section::Whole)).await {
            return Sight {
                desired: true,
                reported: true,
                tags: true,
            };
        }
        Sight {
            desired: self.may(&read(Section::Desired)).await,
            reported: self.may(&read(Section::Reported)).await,
            tags: self.may(&read(Section::Tags)).await,
        }
    }

    /// As `sight`, and goes on only if the caller may see something.
    pub(crate) async fn must_see(&self, device: &DeviceName) -> Result<Sight, Fault> {
        let sight = self.sight(device).await;
        if sight.desired || sight.reported || sight.tags {
            Ok(sight)
        } else {
            Err(Fault::forbidden())
        }
    }

    async fn may(&self, access: &Access) -> bool {
        match self.authorize.authorize(&self.principal, access).await {
            Ok(decision) => decision == Decision::Allow,
            Err(error) => {
                tracing::warn!(principal = %self.principal.name, %error, "a gate could not decide; the answer is no");
                false
            }
        }
    }
}
