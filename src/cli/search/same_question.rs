//! The command line that asks a question again.

use clap::ValueEnum as _;

use super::args::SearchArgs;

impl SearchArgs {
    /// The command line that asks about the same identity with the same filter, without time and
    /// scope: the beginning of a line to retry with.
    #[must_use]
    pub fn same_question(&self) -> String {
        let mut line = format!("{} search", crate::cli::program());
        let mut flag = |name: &str, value: &str| {
            line.push_str(" --");
            line.push_str(name);
            if !value.is_empty() {
                line.push(' ');
                line.push_str(&shell_word(value));
            }
        };
        for (name, values) in [
            ("user", &self.users),
            ("role", &self.roles),
            ("session", &self.sessions),
            ("permission-set", &self.permission_sets),
            ("access-key", &self.access_keys),
            ("principal-id", &self.principal_ids),
            ("source-identity", &self.source_identities),
            ("identity-center-user", &self.identity_center_users),
            ("arn", &self.arns),
            ("event-name", &self.event_names),
            ("event-source", &self.event_sources),
            ("error-code", &self.error_codes),
            ("source-ip", &self.source_ips),
            ("resource", &self.resources),
            ("event-id", &self.event_ids),
        ] {
            for value in values {
                flag(name, value);
            }
        }
        for (name, given) in [
            ("root", self.root),
            ("ignore-case", self.ignore_case),
            ("errors-only", self.errors_only),
        ] {
            if given {
                flag(name, "");
            }
        }
        for access in &self.access {
            if let Some(value) = access.to_possible_value() {
                flag("access", value.get_name());
            }
        }
        for category in &self.categories {
            if let Some(value) = category.to_possible_value() {
                flag("category", value.get_name());
            }
        }
        for backend in &self.backends {
            if let Some(value) = backend.to_possible_value() {
                flag("backend", value.get_name());
            }
        }
        if self.exact {
            flag("exact", "");
        }
        if self.oldest_first {
            flag("oldest-first", "");
        }
        if self.full {
            flag("full", "");
        }
        match &self.config {
            Some(config) => flag("config", &config.to_string_lossy()),
            None if self.organization.org => self.organization.write(&mut flag),
            None => flag("endpoint", &self.endpoint),
        }
        line
    }
}

/// A word that a shell reads as itself.
#[must_use]
pub fn shell_word(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-+=.,@:/%".contains(c);
    if !value.is_empty() && value.chars().all(plain) {
        value.to_owned()
    } else {
        format!("'{}'", value.replace('\'', "'\\''"))
    }
}
