//! The caller out of the certificate of its connection.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::{CertificateError, Error};

use super::Denial;
use crate::caller::{Authentication, Caller};
use crate::config::Mtls;
use crate::tls::ServerTls;

/// What tells callers apart by their certificates.
#[derive(Debug)]
pub(super) struct Certificates {
    trust_domain: Option<String>,
    tls: Arc<ServerTls>,
}

impl Certificates {
    pub fn new(config: &Mtls, tls: Arc<ServerTls>) -> Self {
        Self {
            trust_domain: config.trust_domain.clone(),
            tls,
        }
    }

    /// The caller who showed `chain` when it connected.
    pub fn caller(&self, chain: &[CertificateDer<'_>]) -> Result<Caller, Denial> {
        self.tls.verify_client(chain).map_err(|error| match error {
            Error::InvalidCertificate(
                CertificateError::Expired | CertificateError::ExpiredContext { .. },
            ) => Denial::CertificateExpired,
            _ => Denial::CertificateInvalid,
        })?;
        let own = chain.first().ok_or(Denial::CertificateMissing)?;
        let parsed =
            webpki::EndEntityCert::try_from(own).map_err(|_| Denial::CertificateInvalid)?;
        let uris: Vec<&str> = parsed.valid_uri_names().collect();
        let name = name(
            &uris,
            parsed.valid_dns_names(),
            self.trust_domain.as_deref(),
        )?;
        Ok(Caller {
            name: name.into(),
            authentication: Authentication::Certificate,
            groups: BTreeSet::new(),
        })
    }
}

/// A SPIFFE ID (of the trust domain, if one is given), else, without a trust domain, the first DNS
/// name.
fn name<'a>(
    uris: &[&'a str],
    mut dns_names: impl Iterator<Item = &'a str>,
    trust_domain: Option<&str>,
) -> Result<&'a str, Denial> {
    let nameless = |why| Err(Denial::CertificateNameless(why));
    let spiffe_id = uris
        .iter()
        .find_map(|uri| Some((*uri, uri.strip_prefix("spiffe://")?)));
    match (spiffe_id, trust_domain) {
        (Some(_), _) if uris.len() > 1 => {
            nameless("it has a SPIFFE ID and further URIs, which SPIFFE does not allow")
        }
        (Some((_, rest)), _) if !is_spiffe_id(rest) => nameless("its SPIFFE ID is malformed"),
        (Some((id, rest)), Some(domain)) => match rest.split_once('/') {
            Some((own, _)) if own == domain => Ok(id),
            _ => nameless("its SPIFFE ID is of another trust domain"),
        },
        (Some((id, _)), None) => Ok(id),
        (None, Some(_)) => nameless("it has no SPIFFE ID"),
        (None, None) => match dns_names.find(|name| !name.starts_with('*')) {
            Some(name) => Ok(name),
            None => nameless("it has neither a SPIFFE ID nor a DNS name"),
        },
    }
}

/// What follows `spiffe://` in a workload's SPIFFE ID: a trust domain and a path, of the characters
/// that its specification allows.
fn is_spiffe_id(rest: &str) -> bool {
    let mut parts = rest.split('/');
    let domain = parts.next().unwrap_or_default();
    let in_domain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-_".contains(c);
    let in_path = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
    let mut segments = parts.peekable();
    (1..=2_048).contains(&rest.len())
        && !domain.is_empty()
        && domain.chars().all(in_domain)
        && segments.peek().is_some()
        && segments.all(|it| !matches!(it, "" | "." | "..") && it.chars().all(in_path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spiffe_id_comes_first_then_a_dns_name_of_one_host() {
        let dns = ["*.example.com", "soc.example.com"];
        let named = |uris: &[&'static str], domain| name(uris, dns.into_iter(), domain);
        let spiffe = "spiffe://prod.example.com/ns/soc/sa/console";
        assert_eq!(named(&[spiffe], None), Ok(spiffe));
        assert_eq!(named(&[spiffe], Some("prod.example.com")), Ok(spiffe));
        assert_eq!(named(&[], None), Ok("soc.example.com"));
        assert_eq!(
            named(&["https://example.com/"], None),
            Ok("soc.example.com")
        );
        for (uris, domain) in [
            (&[spiffe][..], Some("example.com")),
            (&[], Some("prod.example.com")),
            (&[spiffe, "https://example.com/"], None),
            (&["spiffe://prod.example.com"], None),
            (&["spiffe://prod.example.com/"], None),
            (&["spiffe://prod.example.com/a//b"], None),
            (&["spiffe://prod.example.com/../b"], None),
            (&["spiffe://Prod.example.com/a"], None),
            (&["spiffe://prod.example.com:80/a"], None),
            (&["spiffe://me@prod.example.com/a"], None),
            (&["spiffe://prod.example.com/a?b"], None),
        ] {
            let refused = named(uris, domain);
            assert!(
                matches!(refused, Err(Denial::CertificateNameless(_))),
                "{uris:?}: {refused:?}"
            );
        }
        let wildcard = name(&[], ["*.example.com"].into_iter(), None);
        assert!(wildcard.is_err());
    }
}
