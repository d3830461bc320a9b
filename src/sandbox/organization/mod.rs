//! The generated organization: a seeded, believable set of CloudTrail logs with something in it to
//! find.
//!
//! | module | what it holds |
//! |---|---|
//! | `cast` | who exists |
//! | `days` | ordinary days: which activity happens when; `people`, `sign_in`, `pipelines`, `machines` play them |
//! | `intrusion`, `plunder` | the one story beside them, and [`Story`] to check answers against |
//! | `identity`, `apis`, `record` | how callers, calls and records look |
//! | `trail` | where records are written down, and how credentials are issued |
//! | `delivery` | records to files |
//! | `units` | what AWS Organizations says: units, tags, a closed account |

mod apis;
mod cast;
mod days;
mod delivery;
mod dice;
mod identity;
mod intrusion;
mod machines;
mod people;
mod pipelines;
mod plunder;
mod record;
mod sign_in;
mod story;
mod trail;
mod units;

#[cfg(test)]
mod tests;

use jiff::Timestamp;

use crate::sandbox::log_file::LogFile;
use crate::sandbox::organizations::Directory;
use cast::Cast;
use days::DAY;
use dice::Dice;
use trail::Trail;

pub use story::{Hop, Story};

/// What to generate. The same spec always gives the same organization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrganizationSpec {
    /// The seed of every choice.
    pub seed: u64,
    /// The organization's present: the last events happen just before it, their files may come after.
    pub now: Timestamp,
    /// How many days of ordinary activity end at `now`. The intrusion spans 97 days, however few these are.
    pub days: u32,
    /// How many accounts, each with four Regions. Five have a part in the story: fewer count as five.
    pub accounts: usize,
    /// About how many records an average day of the whole organization has, beside the intrusion.
    /// With ten for each account, none has a day without any but the first, which is not whole.
    pub events_per_day: u32,
}

impl OrganizationSpec {
    /// The organization of the demo: a dozen accounts, 200 days, about 42,000 records.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        Self {
            seed: 1,
            now,
            days: 200,
            accounts: 12,
            events_per_day: 210,
        }
    }
}

/// An organization and its trail.
#[derive(Debug, Clone)]
pub struct Organization {
    /// The organization's id, `o-…`.
    pub id: String,
    /// Its accounts, the management account first.
    pub accounts: Vec<Account>,
    /// The same as AWS Organizations has them, one closed account more among them.
    pub directory: Directory,
    /// Its log files, by delivery time.
    pub files: Vec<LogFile>,
    /// What there is to find.
    pub story: Story,
}

/// A member account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Twelve digits.
    pub id: String,
    /// What people call it.
    pub name: String,
}

/// Generates an organization.
#[must_use]
pub fn generate(spec: &OrganizationSpec) -> Organization {
    let mut dice = Dice::new(spec.seed);
    let id = format!(
        "o-{}",
        dice.letters(b"abcdefghijklmnopqrstuvwxyz0123456789", 10)
    );
    let cast = Cast::new(&mut dice, spec.accounts);
    let now = spec.now.as_second();
    let days = i64::from(spec.days);
    let mut trail = Trail::new(dice);
    days::live(
        &mut trail,
        &cast,
        now - days * DAY..now,
        spec.events_per_day,
    );
    let story = intrusion::play(&mut trail, &cast, now, days);
    if spec.events_per_day as usize >= 10 * cast.accounts.len() {
        machines::every_day(&mut trail, &cast, &(now - days * DAY..now));
    }
    let Trail { mut dice, records } = trail;
    let account_name = |id: &str| cast.account_by_id(id).name.clone();
    let files = delivery::deliver(&mut dice, &id, account_name, records);
    Organization {
        directory: units::directory(&id, &cast.accounts),
        id,
        accounts: cast.accounts,
        files,
        story,
    }
}
