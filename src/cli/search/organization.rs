//! The flags with which `search` reads an organization without any configuration file.

use std::str::FromStr;

use clap::Args;

use crate::config::accounts::RoleArnTemplate;
use crate::config::{Config, ExternalId, Regions};
use crate::query::{Region, RoleName};

/// Reading an organization directly.
#[derive(Debug, Clone, Args)]
pub struct OrganizationArgs {
    /// Ask no service: discover the organization's accounts with the credentials of the environment
    /// (the management account's or a delegated administrator's) and search them in this process
    #[arg(
        long,
        requires = "assume_role",
        conflicts_with = "config",
        help_heading = "Organization"
    )]
    pub org: bool,
    /// The role to assume in each account: its name, or its ARN with {account_id} where the account goes
    #[arg(
        long,
        value_name = "NAME|ARN",
        requires = "org",
        help_heading = "Organization"
    )]
    pub assume_role: Option<RoleToAssume>,
    /// What the roles' trust policies ask for as sts:ExternalId
    #[arg(long, value_name = "ID", requires = "org", value_parser = ExternalId::from_str, help_heading = "Organization")]
    pub external_id: Option<ExternalId>,
    /// The Region whose STS endpoint assumes the roles
    #[arg(
        long,
        value_name = "REGION",
        env = "AWS_REGION",
        default_value = "us-east-1",
        value_parser = Region::from_str,
        help_heading = "Organization"
    )]
    pub hub_region: Region,
}

/// A role that every account has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RoleToAssume {
    /// By its friendly name.
    Name(RoleName),
    /// By its ARN, with a place for the account.
    Arn(RoleArnTemplate),
}

impl FromStr for RoleToAssume {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if !text.starts_with("arn:") {
            return text
                .parse()
                .map(Self::Name)
                .map_err(|why: crate::query::InvalidId| why.to_string());
        }
        let template: RoleArnTemplate = text.parse().map_err(str::to_owned)?;
        if template.names_the_account() {
            Ok(Self::Arn(template))
        } else {
            Err(
                "the role is assumed in every account: write {account_id} where the account goes"
                    .into(),
            )
        }
    }
}

impl OrganizationArgs {
    /// The configuration that the flags stand for, if they ask for an organization. Searches that
    /// name their Regions need none to be learned.
    #[must_use]
    pub fn config(&self, asked_regions: &[String]) -> Option<Config> {
        let role = self.assume_role.as_ref().filter(|_| self.org)?;
        let asked: Result<Vec<Region>, _> = asked_regions.iter().map(|name| name.parse()).collect();
        let regions = match asked {
            Ok(regions) if !regions.is_empty() => Regions::Listed(regions),
            // What is malformed is for the request's own checks to tell.
            _ => Regions::Enabled {
                fallback: Vec::new(),
            },
        };
        let mut config = Config::of_organization(self.hub_region.clone(), regions);
        let defaults = &mut config.accounts.defaults;
        match role {
            RoleToAssume::Name(name) => defaults.role_name = Some(name.clone()),
            RoleToAssume::Arn(template) => defaults.role_arn = Some(template.clone()),
        }
        defaults.external_id.clone_from(&self.external_id);
        Some(config)
    }

    /// The same flags, to begin a line to retry with.
    pub(super) fn write(&self, flag: &mut impl FnMut(&str, &str)) {
        if let (true, Some(role)) = (self.org, &self.assume_role) {
            flag("org", "");
            match role {
                RoleToAssume::Name(name) => flag("assume-role", name.as_str()),
                RoleToAssume::Arn(template) => flag("assume-role", template.as_str()),
            }
            if let Some(id) = &self.external_id {
                flag("external-id", id.as_str());
            }
            flag("hub-region", self.hub_region.as_str());
        }
    }
}
