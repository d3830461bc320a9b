use super::*;
use crate::plan::{
    EventPart, Gap, LogsMethod, LookupAttribute, Lookups, QueryPlan, Reason, ReasonCode,
    ScanTarget, plan,
};
use crate::query::{Access, BackendKind, EventId, EventKey, ResumePoint};

/// What a plan reads and does not, in words: hours before now, newest first.
pub(super) fn told(plan: &QueryPlan) -> Vec<String> {
    let hours = |range: TimeRange| {
        let before = |time: EventTime| {
            let seconds = EventTime::floor(now()).second() - time.second();
            assert_eq!(seconds % 3600, 0, "{range}");
            seconds / 3600
        };
        format!("[-{}, -{})", before(range.start()), before(range.end()))
    };
    let categories = |categories: &BTreeSet<EventCategory>| {
        let names: Vec<&str> = categories.iter().map(|c| c.as_str()).collect();
        names.join("+")
    };
    let numbers = |accounts: &BTreeSet<AccountId>| {
        let numbers: Vec<String> = accounts.iter().map(|a| a.as_u64().to_string()).collect();
        numbers.join("+")
    };
    let scans = plan.scans.iter().map(|scan| {
        let what = match &scan.target {
            ScanTarget::EventHistory {
                account, lookups, ..
            } => {
                let by = match lookups {
                    Lookups::Whole => "everything".to_owned(),
                    _ => lookups.to_string(),
                };
                format!("history {} {by}", account.as_u64())
            }
            ScanTarget::Logs {
                log_group,
                method,
                accounts,
                ..
            } => {
                format!(
                    "{} by {} {}",
                    log_group.name,
                    method.as_str(),
                    numbers(accounts)
                )
            }
            ScanTarget::Athena {
                archive, accounts, ..
            } => {
                format!("{} {}", archive.name, numbers(accounts))
            }
        };
        format!(
            "{} {what} {}",
            hours(scan.range),
            categories(&scan.categories)
        )
    });
    let gaps = plan.gaps.iter().map(|gap| {
        let EventPart {
            categories: of,
            read_only,
            event_sources,
        } = &gap.events;
        let kind = match read_only {
            None => "",
            Some(true) => " reads",
            Some(false) => " writes",
        };
        let services: Vec<&str> = event_sources.iter().flatten().map(String::as_str).collect();
        let services = services.iter().map(|service| format!(" of {service}"));
        format!(
            "{} nobody {} {}{kind}{}: {:?}",
            hours(gap.range),
            gap.account.as_u64(),
            categories(of),
            services.collect::<String>(),
            gap.reason.code
        )
    });
    scans.chain(gaps).collect()
}

fn one_account() -> Facts {
    let mut facts = facts();
    facts.accounts.truncate(1);
    facts
}

#[test]
fn inside_the_horizon_event_history_answers_and_an_archive_is_not_asked() {
    let facts = with(facts(), archive("trail"));
    let plan = plan(&ask(user("alice"), 24, 0), &facts, now());
    assert_eq!(
        told(&plan),
        [
            "[-24, -0) history 1 Username=alice, federated sessions Management",
            "[-24, -0) history 2 Username=alice, federated sessions Management",
        ]
    );
}

#[test]
fn without_an_archive_what_is_older_is_a_gap() {
    let plan = plan(&ask(user("alice"), HORIZON + 24, 0), &one_account(), now());
    assert_eq!(
        told(&plan),
        [
            "[-2160, -0) history 1 Username=alice, federated sessions Management",
            "[-2184, -2160) nobody 1 Management: BeyondHorizon",
        ]
    );
}

#[test]
fn an_archive_answers_what_is_older_for_all_accounts_at_once_with_the_seam_an_hour_inside() {
    let facts = with(facts(), archive("trail"));
    let plan = plan(&ask(user("alice"), HORIZON + 50, 0), &facts, now());
    assert_eq!(
        told(&plan),
        [
            "[-2159, -0) history 1 Username=alice, federated sessions Management",
            "[-2159, -0) history 2 Username=alice, federated sessions Management",
            "[-2183, -2159) trail 1+2 Management",
            "[-2210, -2183) trail 1+2 Management",
        ]
    );
}

#[test]
fn slices_double_towards_the_past() {
    let mut facts = with(one_account(), archive("trail"));
    facts.accounts[0].event_history = false;
    let plan = plan(&ask(user("alice"), 24 * 10, 0), &facts, now());
    assert_eq!(
        told(&plan),
        [
            "[-24, -0) trail 1 Management",
            "[-72, -24) trail 1 Management",
            "[-168, -72) trail 1 Management",
            "[-240, -168) trail 1 Management",
        ]
    );
    let ids: Vec<u32> = plan.scans.iter().map(|scan| scan.id.0).collect();
    assert_eq!(ids, [0, 1, 2, 3]);
    // The archive was asked for what it may not hold yet.
    assert_eq!(plan.settled_until, ago(1));
}

#[test]
fn a_role_goes_to_the_archive_for_all_that_was_delivered() {
    let query = ask(role("Admin"), 24, 0);
    assert_eq!(
        told(&plan(&query, &with(one_account(), archive("trail")), now())),
        [
            "[-1, -0) history 1 sessions of role_name=Admin Management",
            "[-24, -1) trail 1 Management",
        ]
    );
    assert_eq!(
        told(&plan(&query, &one_account(), now())),
        ["[-24, -0) history 1 sessions of role_name=Admin Management"],
        "without an archive, event history is read by its sessions"
    );
}

#[test]
fn a_role_reads_history_where_the_archive_began_later_or_holds_a_part_only() {
    let mut young = archive("young");
    young.holds.first_time = ago(10);
    let query = ask(role("Admin"), HORIZON + 1, 0);
    assert_eq!(
        told(&plan(&query, &with(one_account(), young), now())),
        [
            "[-1, -0) history 1 sessions of role_name=Admin Management",
            "[-10, -1) young 1 Management",
            "[-2160, -10) history 1 sessions of role_name=Admin Management",
            "[-2161, -2160) nobody 1 Management: NotInArchive",
        ]
    );
    let mut writes = archive("writes");
    writes.holds.reads = false;
    assert_eq!(
        told(&plan(&query, &with(one_account(), writes), now())),
        [
            "[-2160, -0) history 1 sessions of role_name=Admin Management",
            "[-2161, -2160) writes 1 Management",
            "[-2161, -2160) nobody 1 Management reads: NotInArchive",
        ]
    );
}

#[test]
fn several_identities_are_one_scan_with_a_lookup_for_each_attribute() {
    let mut query = ask(user("alice"), 24, 0);
    query
        .identities
        .push(Identity::SessionName("alice".parse().unwrap()));
    let told_shared = told(&plan(&query, &one_account(), now()));
    assert_eq!(
        told_shared,
        ["[-24, -0) history 1 Username=alice, federated sessions Management"]
    );
    query.identities.push(user("bob"));
    let told_apart = told(&plan(&query, &one_account(), now()));
    assert_eq!(
        told_apart,
        ["[-24, -0) history 1 Username=alice, Username=bob, federated sessions Management"]
    );
    // A role has none, but its sessions do.
    query.identities.push(role("Admin"));
    let with_sessions = told(&plan(&query, &one_account(), now()));
    let sessions = "sessions of role_name=Admin, Username=alice, Username=bob, federated sessions";
    assert_eq!(
        with_sessions,
        [format!("[-24, -0) history 1 {sessions} Management")]
    );
    // Whoever wants it exact reads everything, also for users alone.
    query.exact_roles = true;
    let exact = told(&plan(&query, &one_account(), now()));
    assert_eq!(exact, ["[-24, -0) history 1 everything Management"]);
    query.identities = vec![user("alice")];
    let exact = told(&plan(&query, &one_account(), now()));
    assert_eq!(exact, ["[-24, -0) history 1 everything Management"]);
}

/// What event history is asked for.
fn asked_by(change: impl FnOnce(&mut EventQuery)) -> String {
    let mut query = ask(user("alice"), 24, 0);
    change(&mut query);
    let told = told(&plan(&query, &one_account(), now()));
    let [one] = &told[..] else {
        panic!("{told:?}");
    };
    let words = one.strip_prefix("[-24, -0) history 1 ").unwrap();
    words.strip_suffix(" Management").unwrap().to_owned()
}

#[test]
fn what_has_no_one_value_to_look_up_is_read_whole() {
    let identity = |identity: Identity| asked_by(|query| query.identities = vec![identity]);
    let arn = |arn: &str| Identity::Arn(arn.parse().unwrap());
    for nowhere in [
        Identity::UserName("al*".parse().unwrap()),
        Identity::SessionName("*@example.com".parse().unwrap()),
        Identity::PrincipalId("AROACKCEVSQ6C2EXAMPLE:alice".parse().unwrap()),
        Identity::SourceIdentity("alice".parse().unwrap()),
        Identity::IdentityCenterUserId("906786f9".parse().unwrap()),
        arn("arn:aws:iam::111122223333:user/al*"),
        arn("arn:aws:sts::111122223333:assumed-role/Admin/*"),
        arn("arn:aws:sts::111122223333:federated-user/backup"),
    ] {
        assert_eq!(identity(nowhere.clone()), "everything", "{nowhere}");
    }
    // A wildcard in the role leaves the session's name.
    let session = arn("arn:aws:sts::111122223333:assumed-role/Adm*/alice");
    assert_eq!(identity(session), "Username=alice");
    assert_eq!(asked_by(|query| query.case = Case::Ignored), "everything");
    let root_in_any_case = asked_by(|query| {
        query.identities = vec![Identity::Root];
        query.case = Case::Ignored;
    });
    assert_eq!(root_in_any_case, "Username=root");
}

#[test]
fn filters_narrow_where_no_identity_does() {
    let without = |change: &dyn Fn(&mut EventFilter)| {
        asked_by(|query| {
            query.identities.clear();
            change(&mut query.filter);
        })
    };
    assert_eq!(
        without(&|f| f.event_ids = vec!["e-1".into(), "e-2".into()]),
        "EventId=e-1, EventId=e-2"
    );
    assert_eq!(
        without(&|f| {
            f.event_names = vec!["CreateUser".into()];
            f.access = vec![Access::Read];
        }),
        "EventName=CreateUser"
    );
    let from = |f: &mut EventFilter| f.source_ips = vec!["203.0.113.77".parse().unwrap()];
    assert_eq!(without(&from), "everything");
    assert_eq!(
        without(&|f| {
            from(f);
            f.access = vec![Access::Read];
        }),
        "ReadOnly=true"
    );
    // A record that does not say what it is counts as a write.
    assert_eq!(
        without(&|f| {
            from(f);
            f.access = vec![Access::Write];
        }),
        "everything"
    );
    // Of the APIs that issue credentials the names are known.
    assert_eq!(
        without(&|f| {
            from(f);
            f.access = vec![Access::IssuesCredentials];
        }),
        "EventName=AdminInitiateAuth, EventName=AdminRespondToAuthChallenge, \
         EventName=AdminSetUserPassword, EventName=AssumeDecoratedRoleWithSAML, \
         EventName=AssumeFleetRoleForRead and 93 more"
    );
    // The sessions of a role find fewer events than all reads; an API fewer than these, perhaps.
    let by_role = |change: &dyn Fn(&mut EventFilter)| {
        asked_by(|query| {
            query.identities = vec![role("deploy")];
            change(&mut query.filter);
        })
    };
    for access in [Access::Read, Access::IssuesCredentials] {
        assert_eq!(
            by_role(&|f| f.access = vec![access]),
            "sessions of role_name=deploy"
        );
    }
    assert_eq!(
        by_role(&|f| f.event_names = vec!["CreateUser".into()]),
        "EventName=CreateUser"
    );
    // AWS's own list of an event's resources has not all that a request names.
    assert_eq!(
        without(&|f| f.resources = vec!["Alice".parse().unwrap()]),
        "everything"
    );
    // An event's id says more than who made it.
    assert_eq!(
        asked_by(|query| query.filter.event_ids = vec!["e-1".into()]),
        "EventId=e-1"
    );
}

#[test]
fn each_identity_has_its_attribute() {
    let attribute = |identity: Identity, names: &[&str], sources: &[&str]| {
        let mut query = ask(identity, 24, 0);
        query.filter.event_names = names.iter().map(ToString::to_string).collect();
        query.filter.event_sources = sources.iter().map(ToString::to_string).collect();
        match &plan(&query, &one_account(), now()).scans[..] {
            [scan] => match &scan.target {
                ScanTarget::EventHistory { lookups, .. } => lookups.clone(),
                other => panic!("{other:?}"),
            },
            scans => panic!("{scans:?}"),
        }
    };
    let arn = |arn: &str| Identity::Arn(arn.parse().unwrap());
    let username = |name: &str| Lookups::by(LookupAttribute::Username(name.into()));
    for alice in [user("alice"), arn("arn:aws:iam::111122223333:user/a/alice")] {
        let by = attribute(alice.clone(), &["RunInstances"], &[]);
        assert_eq!(by.attributes(), username("alice").attributes());
        let federated = by.federated().unwrap();
        let users = federated.users.iter().map(|user| &user.identity);
        assert!(users.eq([&alice]));
        // The longest that such a session lives.
        assert_eq!(
            federated.issued_in,
            TimeRange::new(ago(24 + 36), ago(0)).unwrap()
        );
    }
    let session = Identity::RoleSession {
        role_name: "Admin".parse().unwrap(),
        session_name: "alice".parse().unwrap(),
    };
    assert_eq!(attribute(session, &[], &[]), username("alice"));
    let assumed = arn("arn:aws:sts::111122223333:assumed-role/Admin/alice");
    assert_eq!(attribute(assumed, &[], &[]), username("alice"));
    assert_eq!(attribute(Identity::Root, &[], &[]), username("root"));
    assert_eq!(
        attribute(arn("arn:aws:iam::111122223333:root"), &[], &[]),
        username("root")
    );
    let key = Identity::AccessKeyId("AKIAIOSFODNN7EXAMPLE".parse().unwrap());
    assert_eq!(
        attribute(key, &[], &[]),
        Lookups::by(LookupAttribute::AccessKeyId("AKIAIOSFODNN7EXAMPLE".into()))
    );
    let admin = || arn("arn:aws:iam::111122223333:role/Admin");
    let source = "iam.amazonaws.com";
    assert!(matches!(
        attribute(admin(), &[], &[]),
        Lookups::RoleSessions(_)
    ));
    let names = ["A", "B"].map(|name| LookupAttribute::EventName(name.into()));
    assert_eq!(
        attribute(admin(), &["A", "B"], &["a", "b"]),
        Lookups::Each(names.into())
    );
    assert_eq!(
        attribute(admin(), &["CreateUser"], &[source]),
        Lookups::by(LookupAttribute::EventName("CreateUser".into()))
    );
    assert_eq!(
        attribute(admin(), &[], &[source]),
        Lookups::by(LookupAttribute::EventSource(source.into()))
    );
}

#[test]
fn data_events_come_from_an_archive_that_holds_them_or_from_nowhere() {
    let mut query = ask(user("alice"), 24, 0);
    query.filter.categories = vec![EventCategory::Management, EventCategory::Data];
    assert_eq!(
        told(&plan(&query, &one_account(), now())),
        [
            "[-24, -0) history 1 Username=alice, federated sessions Management",
            "[-24, -0) nobody 1 Data: NoBackend",
        ]
    );
    assert_eq!(
        told(&plan(&query, &with(one_account(), archive("trail")), now())),
        [
            "[-24, -0) history 1 Username=alice, federated sessions Management",
            "[-24, -0) nobody 1 Data: NotInArchive",
        ]
    );
    let mut both = archive("both");
    both.holds.categories.insert(EventCategory::Data);
    assert_eq!(
        told(&plan(&query, &with(one_account(), both), now())),
        [
            "[-1, -0) history 1 Username=alice, federated sessions Management",
            "[-1, -0) both 1 Data",
            "[-24, -1) both 1 Management+Data",
        ],
        "the archive reads these seconds anyway"
    );
    let mut data = archive("data");
    data.holds.categories = BTreeSet::from([EventCategory::Data]);
    assert_eq!(
        told(&plan(&query, &with(one_account(), data), now())),
        [
            "[-24, -0) history 1 Username=alice, federated sessions Management",
            "[-24, -0) data 1 Data",
        ]
    );
}

#[test]
fn an_archive_is_believed_only_as_far_as_it_declares() {
    let mut part = archive("part");
    part.holds.writes = false;
    part.holds.excluded_event_sources = BTreeSet::from(["kms.amazonaws.com".to_owned()]);
    let facts = with(one_account(), part);
    let mut query = ask(user("alice"), HORIZON + 24, HORIZON);
    assert_eq!(
        told(&plan(&query, &facts, now())),
        [
            "[-2184, -2160) part 1 Management",
            "[-2184, -2160) nobody 1 Management writes: NotInArchive",
            "[-2184, -2160) nobody 1 Management reads of kms.amazonaws.com: NotInArchive",
        ]
    );
    query.filter.event_sources = vec!["iam.amazonaws.com".into()];
    assert_eq!(
        told(&plan(&query, &facts, now())),
        [
            "[-2184, -2160) part 1 Management",
            "[-2184, -2160) nobody 1 Management writes: NotInArchive",
        ]
    );
    query.filter.event_sources = vec!["kms.amazonaws.com".into()];
    assert_eq!(
        told(&plan(&query, &facts, now())),
        ["[-2184, -2160) nobody 1 Management: NotInArchive"]
    );
}

#[test]
fn accounts_regions_and_first_days_that_no_archive_holds_are_gaps() {
    let mut trail = archive("trail");
    trail.holds.accounts = Some(BTreeSet::from([account(1)]));
    trail.holds.first_time = ago(HORIZON + 10);
    let query = ask(user("alice"), HORIZON + 24, HORIZON);
    assert_eq!(
        told(&plan(&query, &with(facts(), trail), now())),
        [
            "[-2170, -2160) trail 1 Management",
            "[-2184, -2160) nobody 2 Management: BeyondHorizon",
            "[-2184, -2170) nobody 1 Management: NotInArchive",
        ]
    );
    let mut elsewhere = archive("elsewhere");
    elsewhere.holds.regions = Some(BTreeSet::from([region("us-east-1")]));
    let plan = plan(&query, &with(one_account(), elsewhere), now());
    assert_eq!(
        told(&plan),
        ["[-2184, -2160) nobody 1 Management: NotInArchive"]
    );
    assert!(plan.gaps[0].reason.message.contains("eu-west-1"));
}

#[test]
fn of_several_archives_the_first_that_holds_everything_serves() {
    let mut partial = archive("partial");
    partial.holds.reads = false;
    let mut young = archive("young");
    young.holds.first_time = ago(HORIZON + 10);
    let mut facts = with(one_account(), partial);
    facts = with(with(facts, young), archive("whole"));
    let query = ask(user("alice"), HORIZON + 20, HORIZON);
    assert_eq!(
        told(&plan(&query, &facts, now())),
        [
            "[-2170, -2160) young 1 Management",
            "[-2180, -2170) whole 1 Management",
        ]
    );
}

#[test]
fn a_table_that_cannot_answer_is_not_asked() {
    let query = ask(user("alice"), HORIZON + 24, HORIZON);
    let mut unusable = archive("unusable");
    unusable.table = Err(Reason::new(ReasonCode::AccessDenied, "no"));
    let facts = with(one_account(), unusable);
    assert_eq!(
        told(&plan(&query, &facts, now())),
        ["[-2184, -2160) nobody 1 Management: AccessDenied"]
    );
    let mut table = documented_table();
    table.columns.remove("useridentity.username");
    let mut poor = archive("poor");
    poor.table = Ok(Arc::new(table));
    let facts = with(one_account(), poor);
    let refused = plan(&query, &facts, now());
    assert_eq!(
        told(&refused),
        ["[-2184, -2160) nobody 1 Management: ArchiveUnusable"]
    );
    assert!(
        refused.gaps[0]
            .reason
            .message
            .contains("useridentity.username")
    );
    let by_role = ask(role("Admin"), HORIZON + 24, HORIZON);
    assert_eq!(
        plan(&by_role, &facts, now()).gaps,
        [],
        "a role needs other columns"
    );
}

#[test]
fn what_a_table_cannot_show_is_left_to_event_history_or_is_a_gap() {
    let source = Identity::SourceIdentity("alice".parse().unwrap());
    let facts = with(one_account(), archive("all"));
    assert_eq!(
        told(&plan(&ask(source, HORIZON + 24, 0), &facts, now())),
        [
            "[-2160, -0) history 1 everything Management",
            "[-2184, -2160) nobody 1 Management: ArchiveUnusable",
        ]
    );
    let mut by_error = ask(user("alice"), HORIZON + 24, HORIZON);
    by_error.filter.errors_only = true;
    let refused = plan(&by_error, &facts, now());
    assert!(refused.gaps[0].reason.message.contains("errorcode"));
}

#[test]
fn an_archive_of_writes_is_whole_for_who_asks_for_writes_alone() {
    let mut table = documented_table();
    table.columns.insert("readonly".to_owned());
    let mut writes = archive("writes");
    writes.holds.reads = false;
    writes.table = Ok(Arc::new(table));
    let facts = with(one_account(), writes);
    let mut query = ask(user("alice"), HORIZON + 24, HORIZON);
    query.filter.access = vec![Access::Write];
    assert_eq!(plan(&query, &facts, now()).gaps, []);
    query.filter.access = vec![Access::Read];
    assert_eq!(
        told(&plan(&query, &facts, now())),
        ["[-2184, -2160) nobody 1 Management: NotInArchive"]
    );
    query.filter.access = vec![Access::Write, Access::IssuesCredentials];
    assert_eq!(plan(&query, &facts, now()).gaps.len(), 1);
}

#[test]
fn a_table_that_cannot_tell_categories_serves_only_as_a_trail_of_management_events() {
    let query = ask(user("alice"), HORIZON + 24, HORIZON);
    let reads = |categories: &[EventCategory], has: &str| {
        let mut table = documented_table();
        table.columns.remove("eventcategory");
        table.columns.insert(has.to_owned());
        let mut archive = archive("old");
        archive.table = Ok(Arc::new(table));
        archive.holds.categories = categories.iter().copied().collect();
        plan(&query, &with(one_account(), archive), now())
            .gaps
            .is_empty()
    };
    let (management, data) = (EventCategory::Management, EventCategory::Data);
    assert!(reads(&[management], "eventversion"));
    assert!(!reads(&[management, data], "eventversion"));
    assert!(reads(&[management, data], "managementevent"));
    assert!(!reads(
        &[management, EventCategory::Insight],
        "managementevent"
    ));
    assert!(reads(
        &[management, EventCategory::Insight],
        "eventcategory"
    ));
}

#[test]
fn backends_restrict_routing_and_what_they_leave_out_is_a_gap() {
    let facts = with(one_account(), archive("trail"));
    let mut query = ask(user("alice"), HORIZON + 24, 0);
    query.backends = vec![BackendKind::EventHistory];
    assert_eq!(
        told(&plan(&query, &facts, now())),
        [
            "[-2160, -0) history 1 Username=alice, federated sessions Management",
            "[-2184, -2160) nobody 1 Management: BackendExcluded",
        ]
    );
    query.range = TimeRange::new(ago(24), ago(0)).unwrap();
    query.backends = vec![BackendKind::Athena];
    assert_eq!(
        told(&plan(&query, &facts, now())),
        ["[-24, -0) trail 1 Management"]
    );
    assert_eq!(
        told(&plan(&query, &one_account(), now())),
        ["[-24, -0) nobody 1 Management: BackendExcluded"]
    );
    query.backends = vec![BackendKind::Logs];
    assert_eq!(
        told(&plan(&query, &facts, now())),
        ["[-24, -0) nobody 1 Management: BackendExcluded"]
    );
}

#[test]
fn an_account_without_event_history_is_left_to_the_archive() {
    let mut facts = facts();
    facts.accounts[1].event_history = false;
    let query = ask(role("Admin"), 24, 0);
    assert_eq!(
        told(&plan(&query, &facts, now())),
        [
            "[-24, -0) history 1 sessions of role_name=Admin Management",
            "[-24, -0) nobody 2 Management: NoBackend",
        ]
    );
    assert_eq!(
        told(&plan(&query, &with(facts, archive("trail")), now())),
        [
            "[-1, -0) history 1 sessions of role_name=Admin Management",
            "[-1, -0) trail 2 Management",
            "[-24, -1) trail 1+2 Management",
        ]
    );
}

#[test]
fn an_archive_is_asked_for_the_configured_regions_one_query_for_each_set_of_them() {
    let mut facts = with(facts(), archive("trail"));
    facts.accounts[1].regions.push(region("us-east-1"));
    let mut third = facts.accounts[0].clone();
    third.id = account(3);
    facts.accounts.push(third);
    let targets = |query: &EventQuery| -> Vec<(Vec<u64>, Vec<String>)> {
        let plan = plan(query, &facts, now());
        let target = |scan: &crate::plan::Scan| match &scan.target {
            ScanTarget::Athena {
                accounts, regions, ..
            } => (
                accounts.iter().map(|a| a.as_u64()).collect(),
                regions.iter().flatten().map(ToString::to_string).collect(),
            ),
            other => panic!("{other:?}"),
        };
        plan.scans.iter().map(target).collect()
    };
    let mut query = ask(user("alice"), HORIZON + 24, HORIZON);
    let (ireland, virginia) = ("eu-west-1".to_owned(), "us-east-1".to_owned());
    assert_eq!(
        targets(&query),
        [
            (vec![1, 3], vec![ireland.clone()]),
            (vec![2], vec![ireland, virginia.clone()]),
        ]
    );
    query.regions = vec![region("us-east-1"), region("us-east-1")];
    assert_eq!(targets(&query), [(vec![1, 2, 3], vec![virginia])]);
}

#[test]
fn what_cannot_be_placed_in_the_federation_is_a_gap() {
    let mut facts = one_account();
    facts.accounts[0].regions.clear();
    let mut query = ask(user("alice"), 24, 0);
    query.account_ids = vec![account(1), account(9)];
    let plan = plan(&query, &facts, now());
    assert_eq!(
        told(&plan),
        [
            "[-24, -0) nobody 1 Management: NoBackend",
            "[-24, -0) nobody 9 Management: NoBackend",
        ]
    );
    assert_eq!(plan.accounts, [account(1)]);
}

#[test]
fn gaps_of_regions_with_the_same_reason_stand_together() {
    let mut query = ask(user("alice"), HORIZON + 24, HORIZON);
    query.regions = vec![region("us-east-1"), region("eu-west-1")];
    query.filter.categories = vec![EventCategory::Data, EventCategory::Management];
    let gaps: Vec<Gap> = plan(&query, &one_account(), now()).gaps;
    assert_eq!(gaps.len(), 2, "{gaps:?}");
    assert!(gaps.iter().all(|gap| gap.regions.len() == 2));
}

#[test]
fn resuming_plans_what_is_left_under_the_first_streams_horizon() {
    let position = EventKey {
        time: ago(5),
        account: account(1),
        id: EventId::Recorded("e".into()),
    };
    let mut query = ask(user("alice"), HORIZON + 24, 0);
    query.resume = Some(ResumePoint {
        position: Some(position),
        horizon: ago(HORIZON + 2),
        scope_digest: [0; 16],
    });
    let left = TimeRange::new(ago(HORIZON + 24), ago(5).plus(1)).unwrap();
    let plan = plan(&query, &one_account(), now());
    assert_eq!((plan.range, plan.horizon), (left, ago(HORIZON + 2)));
    assert_eq!(Some(plan.scans[0].range), left.from(ago(HORIZON + 2)));
    assert_eq!(Some(plan.gaps[0].range), left.before(ago(HORIZON + 2)));
}

#[test]
fn a_token_used_hours_later_leaves_to_the_archive_what_event_history_no_longer_holds() {
    let mut query = ask(user("alice"), HORIZON + 50, 0);
    query.resume = Some(ResumePoint {
        position: None,
        horizon: ago(HORIZON + 5),
        scope_digest: [0; 16],
    });
    let plan = plan(&query, &with(one_account(), archive("trail")), now());
    assert_eq!(
        told(&plan),
        [
            "[-2159, -0) history 1 Username=alice, federated sessions Management",
            "[-2183, -2159) trail 1 Management",
            "[-2210, -2183) trail 1 Management",
        ]
    );
}

#[test]
fn a_log_group_stands_in_where_no_archive_reaches() {
    let mut trail = archive("trail");
    trail.holds.first_time = ago(HORIZON + 20);
    let facts = with_logs(with(one_account(), trail), log_group("group"));
    let query = ask(user("alice"), HORIZON + 30, 0);
    assert_eq!(
        told(&plan(&query, &facts, now())),
        [
            "[-2159, -0) history 1 Username=alice, federated sessions Management",
            "[-2180, -2159) trail 1 Management",
            "[-2190, -2180) group by FilterLogEvents 1 Management",
        ]
    );
    let by_role = ask(role("Admin"), 12, 0);
    assert_eq!(
        told(&plan(
            &by_role,
            &with_logs(one_account(), log_group("group")),
            now()
        )),
        [
            "[-1, -0) history 1 sessions of role_name=Admin Management",
            "[-12, -1) group by FilterLogEvents 1 Management",
        ],
        "rather than reading what everybody did"
    );
    assert_eq!(
        told(&plan(&by_role, &facts, now())),
        [
            "[-1, -0) history 1 sessions of role_name=Admin Management",
            "[-12, -1) trail 1 Management",
        ],
        "where both hold it, the archive answers"
    );
}

#[test]
fn a_log_group_that_holds_all_is_better_than_an_archive_that_holds_a_part() {
    let mut writes = archive("writes");
    writes.holds.reads = false;
    let facts = with_logs(with(one_account(), writes), log_group("group"));
    let query = ask(user("alice"), HORIZON + 10, HORIZON);
    assert_eq!(
        told(&plan(&query, &facts, now())),
        ["[-2170, -2160) group by FilterLogEvents 1 Management"]
    );
    let mut data = log_group("data");
    data.holds.categories = BTreeSet::from([EventCategory::Data]);
    data.holds.writes = false;
    let facts = with_logs(with(one_account(), archive("trail")), data);
    let mut query = ask(user("alice"), 12, 0);
    query.filter.categories = vec![EventCategory::Data];
    assert_eq!(
        told(&plan(&query, &facts, now())),
        [
            "[-12, -0) data by FilterLogEvents 1 Data",
            "[-12, -0) nobody 1 Data writes: NotInLogGroup",
        ],
        "it is believed only as far as it declares"
    );
}

#[test]
fn long_intervals_of_a_log_group_are_read_by_queries_in_slices() {
    let query = ask(user("alice"), HORIZON + 80, HORIZON);
    let read = |read_with| {
        let mut group = log_group("group");
        group.read_with = read_with;
        told(&plan(&query, &with_logs(one_account(), group), now()))
    };
    let slices = [
        "[-2184, -2160) group by Logs Insights 1 Management",
        "[-2232, -2184) group by Logs Insights 1 Management",
        "[-2240, -2232) group by Logs Insights 1 Management",
    ];
    assert_eq!(read(ReadLogsWith::Auto), slices);
    assert_eq!(read(ReadLogsWith::Insights), slices);
    assert_eq!(
        read(ReadLogsWith::FilterLogEvents),
        ["[-2240, -2160) group by FilterLogEvents 1 Management"]
    );
}

#[test]
fn what_was_logged_before_2024_is_queried() {
    let mut group = log_group("group");
    group.read_with = ReadLogsWith::FilterLogEvents;
    let mut query = ask(user("alice"), 24, 0);
    let (start, middle) = (at("2023-12-31T20:00:00Z"), at("2024-01-01T00:00:00Z"));
    let end = middle.plus(3600);
    query.range = TimeRange::new(start, end).unwrap();
    let plan = plan(&query, &with_logs(one_account(), group), now());
    let read = plan.scans.iter().map(|scan| match &scan.target {
        ScanTarget::Logs { method, .. } => (*method, scan.range.start(), scan.range.end()),
        other => panic!("{other:?}"),
    });
    assert_eq!(
        read.collect::<Vec<_>>(),
        [
            (LogsMethod::FilterLogEvents, middle, end),
            (LogsMethod::Insights, start, middle),
        ]
    );
}

#[test]
fn what_a_log_group_no_longer_keeps_is_a_gap() {
    let mut group = log_group("group");
    group.holds.first_time = ago(HORIZON + 5);
    let query = ask(user("alice"), HORIZON + 10, HORIZON);
    let facts = with_logs(one_account(), group);
    assert_eq!(
        told(&plan(&query, &facts, now())),
        [
            "[-2165, -2160) group by FilterLogEvents 1 Management",
            "[-2170, -2165) nobody 1 Management: NotInLogGroup",
        ]
    );
    let mut query = ask(user("alice"), HORIZON + 5, HORIZON);
    query.backends = vec![BackendKind::EventHistory, BackendKind::Athena];
    let excluded = plan(&query, &facts, now());
    assert_eq!(
        told(&excluded),
        ["[-2165, -2160) nobody 1 Management: BackendExcluded"]
    );
    assert!(excluded.gaps[0].reason.message.contains("leave out logs"));
    query.backends = vec![BackendKind::Logs];
    assert_eq!(
        told(&plan(&query, &with(facts, archive("trail")), now())),
        ["[-2165, -2160) group by FilterLogEvents 1 Management"],
        "an archive that may not be asked does not stand in the way"
    );
}
