//! How the organization is ordered in AWS Organizations: units and tags by what an account is for.

use crate::sandbox::organizations::Directory;

use super::Account;

/// An account that was closed: it is listed, and nobody gets in.
const RETIRED: (&str, &str) = ("468013579246", "retired-playground");

/// The directory of an organization whose first account is the management account.
pub(super) fn directory(id: &str, accounts: &[Account]) -> Directory {
    let (management, others) = accounts
        .split_first()
        .expect("a cast has at least five accounts");
    let mut directory = Directory::flat(management, &[]);
    id.clone_into(&mut directory.id);
    for account in others {
        let (path, environment, team) = place(&account.name);
        let unit = directory.unit(path);
        let tags = &mut directory.add(account, &unit).tags;
        tags.insert("environment".into(), environment.into());
        tags.insert("team".into(), team.into());
    }
    let (id, name) = RETIRED;
    let retired = Account {
        id: id.to_owned(),
        name: name.to_owned(),
    };
    let unit = directory.unit("Sandbox");
    directory.add(&retired, &unit).state = "SUSPENDED";
    directory
}

/// Unit, environment and team of an account by its name.
fn place(name: &str) -> (&'static str, &'static str, &'static str) {
    match name {
        "security-tooling" | "log-archive" => ("Security", "prod", "security"),
        "shared-services" | "network" => ("Infrastructure", "prod", "platform"),
        "prod-data" => ("Workloads/Prod", "prod", "data"),
        "prod-payments" => ("Workloads/Prod", "prod", "payments"),
        "prod-web" => ("Workloads/Prod", "prod", "web"),
        "data-science" => ("Workloads/Dev", "dev", "data"),
        "staging" => ("Workloads/Dev", "staging", "web"),
        "sandbox" => ("Sandbox", "sandbox", "platform"),
        _ => ("Workloads/Dev", "dev", "web"),
    }
}
