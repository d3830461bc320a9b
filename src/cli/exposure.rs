//! Where the service may listen: what others can reach needs TLS and authentication, or a word that
//! says that it has none.

use std::net::SocketAddr;

use crate::config::Config;

/// Why the service does not listen there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "listen: {address} is not a loopback address, and {missing}; or listen on 127.0.0.1, or pass --insecure"
)]
pub struct Exposed {
    address: SocketAddr,
    missing: Missing,
}

/// What an address that others can reach lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum Missing {
    #[error("there is neither TLS nor authentication: set the sections tls and auth")]
    Both,
    #[error(
        "there is no TLS: whoever is on the way could read the tokens and what they are asked for; set \
         the section tls"
    )]
    Tls,
    #[error(
        "there is no authentication: whoever reaches the port reads every account's audit log; set the \
         section auth"
    )]
    Authentication,
}

/// Whether the service may listen where `config` says.
pub fn check(config: &Config, insecure: bool) -> Result<(), Exposed> {
    check_address(
        config.listen,
        config.tls.is_some(),
        config.auth.authenticates(),
        insecure,
    )
}

/// The same for an address that is known otherwise.
pub fn check_address(
    address: SocketAddr,
    tls: bool,
    authentication: bool,
    insecure: bool,
) -> Result<(), Exposed> {
    let missing = match (tls, authentication) {
        (true, true) => return Ok(()),
        _ if insecure || address.ip().is_loopback() => return Ok(()),
        (false, false) => Missing::Both,
        (false, true) => Missing::Tls,
        (true, false) => Missing::Authentication,
    };
    Err(Exposed { address, missing })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_reach_only_what_has_tls_and_authentication_unless_told_so() {
        let [here, there] = ["127.0.0.1:1", "0.0.0.0:1"].map(|text| text.parse().unwrap());
        for (tls, authentication, missing) in [
            (true, true, None),
            (false, false, Some(Missing::Both)),
            (false, true, Some(Missing::Tls)),
            (true, false, Some(Missing::Authentication)),
        ] {
            let checked = |address, insecure| {
                let checked = check_address(address, tls, authentication, insecure);
                checked.err().map(|exposed| exposed.missing)
            };
            assert_eq!(checked(there, false), missing);
            assert_eq!(checked(there, true), None);
            assert_eq!(checked(here, false), None);
        }
        let everywhere = check_address("[::]:1".parse().unwrap(), false, false, false);
        assert!(everywhere.unwrap_err().to_string().contains("--insecure"));
    }
}
