//! The wire: proto ⇄ domain, service, status codes.
