//! The only way for a handler to reach the platform: through a permission that its caller has.
//!
//! `Guard<P>` is every handler's first argument. The platform sits in a type that is private to this file, so a handler
//! without a guard has nothing to work with; `Guard<Public>` is the visible choice to let anybody in.

use std::{
    future::{Ready, ready},
    marker::PhantomData,
};

use actix_web::{FromRequest, HttpMessage, HttpRequest, dev::Payload, http::header, web};

use super::{headers, problem::Problem};
use crate::{
    base::{
        access::{Grant, Permission},
        ctx::{Ctx, Denied},
    },
    platform::Platform,
};

struct Sealed(Platform);

pub struct Guard<P: Permission> {
    pub ctx: Ctx,
    pub app: Platform,
    permission: PhantomData<fn() -> P>,
}

/// Makes the platform available to guards, and to nothing else.
pub fn install(platform: Platform) -> impl FnOnce(&mut web::ServiceConfig) + Clone {
    move |config| {
        config.app_data(web::Data::new(Sealed(platform)));
    }
}

impl<P: Permission> Guard<P> {
    /// Proof for the rooms that this caller was checked.
    pub fn grant(&self) -> Result<Grant<P>, Denied> {
        self.ctx.grant::<P>()
    }
}

impl<P: Permission> FromRequest for Guard<P> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(admit(request))
    }
}

fn admit<P: Permission>(request: &HttpRequest) -> Result<Guard<P>, Problem> {
    let ctx = request.extensions().get::<Ctx>().cloned().ok_or(Denied::NotSignedIn)?;
    let sealed = request.app_data::<web::Data<Sealed>>().ok_or(Denied::NotSignedIn)?;
    ctx.check::<P>().map_err(|denied| match denied {
        Denied::NotSignedIn if request.headers().contains_key(header::AUTHORIZATION) => Denied::InvalidToken,
        denied => denied,
    })?;
    headers::refuse_cross_site(request, &ctx, &sealed.0)?;
    Ok(Guard { ctx, app: sealed.0.clone(), permission: PhantomData })
}

/// For extractors of this floor that check what a guard's request carries.
pub(in crate::web) fn keys_of(request: &HttpRequest) -> Option<crate::platform::keyring::Keyring> {
    request.app_data::<web::Data<Sealed>>().map(|sealed| sealed.0.keys.clone())
}

pub(in crate::web) fn config_of(request: &HttpRequest) -> Option<std::sync::Arc<crate::config::Config>> {
    request.app_data::<web::Data<Sealed>>().map(|sealed| sealed.0.config.clone())
}
