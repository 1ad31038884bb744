//! Each room's list of routes: one declaration feeds the server, the OpenAPI document and the access matrix.

use actix_web::{FromRequest, Handler, Responder, http::Method};

use super::{document::Operation, guard::Guard};
use crate::base::access::{Permission, Role, Scope};

pub struct Route {
    pub method: Method,
    /// actix pattern: `/api/v1/assets/{id}`.
    pub path: &'static str,
    pub permission: &'static str,
    pub roles: &'static [Role],
    pub scope: Scope,
    /// Name of the handler, also the operation's id.
    pub name: &'static str,
    /// Described in the OpenAPI document, if it is part of the API.
    pub operation: Option<Operation>,
    make: Box<dyn Fn() -> actix_web::Route + Send + Sync>,
}

/// Handlers' arguments, the first of which is a guard.
pub trait Guarded {
    type Permission: Permission;
}

macro_rules! guarded {
    ($($argument:ident)*) => {
        impl<P: Permission, $($argument),*> Guarded for (Guard<P>, $($argument,)*) {
            type Permission = P;
        }
    };
}
guarded!();
guarded!(A);
guarded!(A B);
guarded!(A B C);
guarded!(A B C D);
guarded!(A B C D E);

impl Route {
    pub fn new<F, Args>(method: Method, path: &'static str, handler: F) -> Self
    where
        F: Handler<Args> + Send + Sync,
        Args: FromRequest + Guarded + 'static,
        F::Output: Responder + 'static,
    {
        let name = std::any::type_name::<F>().rsplit("::").next().unwrap_or_default();
        let for_method = method.clone();
        Self {
            method,
            path,
            permission: Args::Permission::NAME,
            roles: Args::Permission::ROLES,
            scope: Args::Permission::SCOPE,
            name,
            operation: None,
            make: Box::new(move || actix_web::Route::new().method(for_method.clone()).to(handler.clone())),
        }
    }

    /// Makes it part of the documented API.
    pub fn documented(mut self, operation: Operation) -> Self {
        self.operation = Some(operation);
        self
    }

    pub fn service(&self) -> actix_web::Route {
        (self.make)()
    }
}

macro_rules! shorthands {
    ($($name:ident, $method:ident;)*) => {$(
        pub fn $name<F, Args>(path: &'static str, handler: F) -> Route
        where
            F: Handler<Args> + Send + Sync,
            Args: FromRequest + Guarded + 'static,
            F::Output: Responder + 'static,
        {
            Route::new(Method::$method, path, handler)
        }
    )*};
}
shorthands! {
    get, GET;
    post, POST;
    put, PUT;
    patch, PATCH;
    delete, DELETE;
    head, HEAD;
}
