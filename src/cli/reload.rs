//! Reading the configuration anew: what a running process takes over, and what only a start reads.

use crate::config::{Auth, Config};

/// Sets what only a start reads in `new` to what it is in `old`, and names the keys that differed.
pub fn keep_until_restart(old: &Config, new: &mut Config) -> Vec<String> {
    let mut kept = Vec::new();
    let mut keep = |key: &str, differs: bool| {
        if differs {
            kept.push(key.to_owned());
        }
    };
    macro_rules! keep {
        ($($field:ident).+) => {
            let (before, now) = (&old.$($field).+, &mut new.$($field).+);
            keep(stringify!($($field).+), *before != *now);
            now.clone_from(before);
        };
    }
    keep!(listen);
    keep!(tls);
    keep!(audit);
    keep!(telemetry);
    // The process keeps to these with what it has: pacing and permits are shared with what runs.
    keep!(event_history.requests_per_second);
    keep!(limits.filter_log_events_per_second);
    keep!(limits.aws_calls);
    keep!(limits.assume_role_calls);
    keep!(limits.page_memory_bytes);
    // These are the port's.
    keep!(limits.connections);
    keep!(limits.max_request_bytes);
    keep!(limits.keepalive_interval);
    keep!(limits.keepalive_timeout);
    // Policies are read anew; who callers are is the port's.
    let policies = new.auth.policies.take();
    let before = Auth {
        policies: None,
        ..old.auth.clone()
    };
    keep("auth.jwt or auth.mtls", new.auth != before);
    new.auth = Auth { policies, ..before };
    macro_rules! keep_query_permits {
        ($($section:ident),+) => {$(
            for new in &mut new.$section {
                let name = &new.value.name;
                let before = old.$section.iter().find(|old| old.value.name == *name);
                if let Some(before) = before.map(|old| old.value.max_concurrent_queries) {
                    let key = format!("{}: {name}: max_concurrent_queries", stringify!($section));
                    keep(&key, before != new.value.max_concurrent_queries);
                    new.value.max_concurrent_queries = before;
                }
            }
        )+};
    }
    keep_query_permits!(archives, log_groups);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = include_str!("../../identity-trail.example.yaml");

    #[test]
    fn what_only_a_start_reads_stays_and_is_named() {
        let old = Config::parse(EXAMPLE, "old").unwrap();
        let mut new = old.clone();
        new.listen.set_port(1);
        new.limits.aws_calls += 1;
        new.limits.concurrent_searches += 1;
        new.archives[0].value.max_concurrent_queries += 1;
        let kept = keep_until_restart(&old, &mut new);
        let expected = [
            "listen",
            "limits.aws_calls",
            "archives: organization-trail: max_concurrent_queries",
        ];
        assert_eq!(kept, expected);
        assert_eq!(new.listen, old.listen);
        assert_ne!(
            new.limits.concurrent_searches,
            old.limits.concurrent_searches
        );
        assert!(keep_until_restart(&old, &mut new).is_empty());
    }
}
