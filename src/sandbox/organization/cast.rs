//! Who exists: accounts, people, users, roles and the machines that run as them.

use super::Account;
use super::dice::Dice;
use super::identity::{Role, User};
use super::record::{REGIONS, Region};

/// The accounts by name, the indispensable ones first.
const NAMES: [&str; 12] = [
    "management",
    "shared-services",
    "dev",
    "prod-web",
    "prod-data",
    "staging",
    "prod-payments",
    "security-tooling",
    "log-archive",
    "network",
    "data-science",
    "sandbox",
];

/// Without these there is no story to tell.
pub(super) const FEWEST_ACCOUNTS: usize = 5;

/// Everybody and everything that acts on ordinary days.
pub(super) struct Cast {
    pub accounts: Vec<Account>,
    pub people: Vec<Person>,
    pub users: Vec<User>,
    pub roles: Vec<Role>,
    pub servers: Vec<Server>,
    pub identity_store: String,
}

/// Somebody with a login at Identity Center.
pub(super) struct Person {
    pub email: String,
    /// Identity Center's own id of them.
    pub id: String,
    /// Hours east of UTC.
    pub offset: i64,
    pub home: Region,
    pub ip: String,
    pub browser: &'static str,
    pub shell: &'static str,
    /// The permission sets they hold, everywhere.
    pub sets: &'static [&'static str],
}

/// An EC2 instance.
pub(super) struct Server {
    pub id: String,
    pub role: Role,
    pub region: Region,
    pub ip: String,
}

/// Name, hours east of UTC, home Region, permission sets.
const PEOPLE: [(&str, i64, Region, &[&str]); 11] = [
    (
        "amara.okafor",
        0,
        "eu-west-1",
        &["AdministratorAccess", "ReadOnlyAccess"],
    ),
    (
        "benoit.lacroix",
        1,
        "eu-central-1",
        &["PowerUserAccess", "ReadOnlyAccess"],
    ),
    ("chiara.conti", 1, "eu-central-1", &["PowerUserAccess"]),
    (
        "dmitri.hale",
        -5,
        "us-east-1",
        &["PowerUserAccess", "ReadOnlyAccess"],
    ),
    ("elena.vargas", -8, "us-west-2", &["PowerUserAccess"]),
    (
        "farid.nazari",
        1,
        "eu-central-1",
        &["DataAnalyst", "ReadOnlyAccess"],
    ),
    (
        "grace.lin",
        -8,
        "us-west-2",
        &["SecurityAudit", "ReadOnlyAccess"],
    ),
    ("hugo.brandt", 1, "eu-central-1", &["AdministratorAccess"]),
    (
        "ines.moreau",
        0,
        "eu-west-1",
        &["Billing", "ReadOnlyAccess"],
    ),
    ("jonas.keller", -5, "us-east-1", &["ReadOnlyAccess"]),
    ("orla.byrne+contractor", 0, "eu-west-1", &["ReadOnlyAccess"]),
];

const SETS: [&str; 6] = [
    "AdministratorAccess",
    "PowerUserAccess",
    "ReadOnlyAccess",
    "DataAnalyst",
    "SecurityAudit",
    "Billing",
];

const BROWSERS: [&str; 4] = [
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:143.0) Gecko/20100101 Firefox/143.0",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/139.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Safari/605.1.15",
];

const SHELLS: [&str; 5] = [
    "aws-cli/2.28.11 md/awscrt#0.27.6 ua/2.1 os/macos#24.6.0 md/arch#arm64 lang/python#3.13.7 md/pyimpl#CPython cfg/retry-mode#standard md/installer#source md/prompt#off",
    "aws-cli/2.17.9 md/awscrt#0.20.11 ua/2.0 os/linux#6.8.0 md/arch#x86_64 lang/python#3.11.8 md/pyimpl#CPython cfg/retry-mode#standard md/installer#exe md/prompt#off",
    "APN/1.0 HashiCorp/1.0 Terraform/1.12.2 (+https://www.terraform.io) terraform-provider-aws/6.8.0 (+https://registry.terraform.io/providers/hashicorp/aws) aws-sdk-go-v2/1.37.0 ua/2.1 os/linux lang/go#1.23.11",
    "Boto3/1.40.4 md/Botocore#1.40.4 ua/2.1 os/linux#6.8.0 md/arch#x86_64 lang/python#3.12.3 md/pyimpl#CPython cfg/retry-mode#legacy Botocore/1.40.4",
    "aws-sdk-rust/1.3.8 os/macos lang/rust/1.88.0",
];

impl Cast {
    pub(super) fn new(dice: &mut Dice, accounts: usize) -> Self {
        let accounts: Vec<Account> = (0..accounts.max(FEWEST_ACCOUNTS)).map(account).collect();
        let people = PEOPLE
            .iter()
            .enumerate()
            .map(|(index, &(name, offset, home, sets))| Person {
                email: format!("{name}@example.com"),
                id: format!("{}-{}", dice.hex(10), dice.uuid()),
                offset,
                home,
                ip: if index % 3 == 0 {
                    format!("198.18.{}.{}", dice.between(0, 255), dice.between(2, 250))
                } else {
                    format!("192.0.2.{}", dice.between(10, 40))
                },
                browser: BROWSERS[index % BROWSERS.len()],
                shell: SHELLS[index % SHELLS.len()],
                sets,
            })
            .collect();
        let mut roles = Vec::new();
        for account in &accounts {
            for set in SETS {
                let name = format!("AWSReservedSSO_{set}_{}", dice.hex(16));
                roles.push(Role::new(
                    dice,
                    &account.id,
                    "/aws-reserved/sso.amazonaws.com/",
                    &name,
                ));
            }
            for (path, name) in account_roles(&account.name) {
                roles.push(Role::new(dice, &account.id, path, name));
            }
        }
        let identity_store = format!(
            "arn:aws:identitystore::{}:identitystore/d-{}",
            accounts[0].id,
            dice.hex(10)
        );
        let mut cast = Self {
            accounts,
            people,
            users: Vec::new(),
            roles,
            servers: Vec::new(),
            identity_store,
        };
        cast.users = [
            ("dev", "pat.legacy"),
            ("dev", "svc-nightly-report"),
            ("shared-services", "svc-build-cache"),
            ("prod-data", "svc-warehouse-loader"),
            ("prod-payments", "svc-ledger-feed"),
            ("management", "breakglass-1"),
        ]
        .into_iter()
        .filter_map(|(account, name)| {
            let account = cast.accounts.iter().find(|one| one.name == account)?;
            Some(User::new(dice, &account.id, name))
        })
        .collect();
        let servers: Vec<Server> = cast
            .roles
            .iter()
            .filter(|role| role.name == "app-server")
            .flat_map(|role| [(role, 0), (role, 1), (role, 2)])
            .map(|(role, index)| Server {
                id: format!("i-0{}", dice.hex(16)),
                role: role.clone(),
                region: REGIONS[index],
                ip: format!(
                    "10.{}.{}.{}",
                    16 + index,
                    dice.between(0, 63),
                    dice.between(4, 250)
                ),
            })
            .collect();
        cast.servers = servers;
        cast
    }

    /// The account of that name, which is one of the first [`FEWEST_ACCOUNTS`].
    pub(super) fn account(&self, name: &str) -> &Account {
        self.accounts
            .iter()
            .find(|account| account.name == name)
            .expect("an account that every organization has")
    }

    /// The account of that id, which is one of ours.
    pub(super) fn account_by_id(&self, id: &str) -> &Account {
        self.accounts
            .iter()
            .find(|account| account.id == id)
            .expect("one of our own accounts")
    }

    /// A role of an account, which has it.
    pub(super) fn role(&self, account: &Account, name: &str) -> &Role {
        self.roles
            .iter()
            .find(|role| role.account_id == account.id && role.name == name)
            .expect("a role that this kind of account has")
    }

    /// The role of a permission set, whose name differs from account to account.
    pub(super) fn permission_set(&self, account: &Account, set: &str) -> &Role {
        let prefix = format!("AWSReservedSSO_{set}_");
        self.roles
            .iter()
            .find(|role| role.account_id == account.id && role.name.starts_with(&prefix))
            .expect("every account has every permission set")
    }

    /// Every role of that name, wherever it is.
    pub(super) fn roles_named<'a>(&'a self, name: &'a str) -> Vec<&'a Role> {
        self.roles.iter().filter(|role| role.name == name).collect()
    }
}

/// The account with that index. The ids are of the kind that AWS's documentation uses.
fn account(index: usize) -> Account {
    let id = if index < 81 {
        let digit = index % 9 + 1;
        let step = index / 9 + 1;
        [digit, digit + step, digit + 2 * step]
            .map(|digit| (digit % 10).to_string().repeat(4))
            .concat()
    } else {
        (300_000_000_000 + index).to_string()
    };
    let name = NAMES
        .get(index)
        .map_or_else(|| format!("team-{}", index + 1), |name| (*name).into());
    Account { id, name }
}

/// Path and name of the roles that an account has beside the permission sets.
fn account_roles(account: &str) -> Vec<(&'static str, &'static str)> {
    let mut roles = vec![
        ("/", "SecurityAudit"),
        ("/", "OrganizationAccountAccessRole"),
    ];
    match account {
        "management" | "log-archive" | "security-tooling" | "network" => {}
        "shared-services" => roles.extend([
            ("/ci/", "artifact-deployer"),
            ("/ci/", "web-build"),
            ("/ci/", "data-build"),
        ]),
        _ => roles.extend([
            ("/", "app-server"),
            ("/service-role/", "worker-function"),
            ("/deploy/", "deploy-target"),
        ]),
    }
    if account == "security-tooling" {
        roles.push(("/", "posture-scanner"));
    }
    if account == "prod-data" {
        roles.push(("/", "data-migration"));
    }
    if account.starts_with("prod-") {
        roles.push(("/", "BreakGlass"));
    }
    roles
}
