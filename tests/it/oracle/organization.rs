//! Generated organizations: many accounts, role chains, an intrusion, late files.

use identity_trail::sandbox::{Data, OrganizationSpec};

use super::corpus::hold_data;
use crate::world::ArchiveSetup;

fn organization(seed: u64) -> Data {
    Data::Organization(OrganizationSpec {
        seed,
        now: "2026-06-01T12:00:00Z".parse().unwrap(),
        days: 3,
        accounts: 5,
        events_per_day: 60,
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_organization_gives_every_identity_its_events() {
    let archive = ArchiveSetup::of("cloudtrail_by_account");
    let tally = hold_data("organization", &organization(7), archive, 2, 1).await;
    assert!(tally.with_secrets > 0 && tally.handed_over > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_archive_does_not_declare_is_said_to_be_missing() {
    let archive = ArchiveSetup {
        // The intrusion began 97 days before the organization's present.
        first_day: jiff::civil::date(2026, 4, 1),
        ..ArchiveSetup::of("cloudtrail_projected")
    };
    let tally = hold_data("half an archive", &organization(8), archive, 1, 1).await;
    assert!(tally.incomplete > 0);
}
