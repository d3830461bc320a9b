//! What policies allow, rule by rule, and why something is denied.

use jiff::Timestamp;
use proptest::prelude::*;

use super::super::question::KINDS;
use super::*;
use crate::query::{
    AskedRange, Case, EventFilter, EventQuery, EventTime, Identity, ResumePoint, SearchOrder,
    TimeRange,
};

#[test]
fn without_policies_everything_is_allowed() {
    let everything = asked(
        &Authorizer::allow_all(),
        &caller("anyone", &[]),
        &Question::SearchEvents(search()),
        &[],
    );
    assert_eq!(everything, Ok(vec![1, 2, 3, 4]));
}

#[test]
fn each_rule_allows_what_it_says_and_no_more() {
    let alice = caller("alice", &["security", "people"]);
    for (rule, expected) in [
        // The caller, by name, group and how it is known.
        (
            r#"principal == Caller::"alice", action, resource"#,
            &[1, 2, 3, 4][..],
        ),
        (r#"principal == Caller::"bob", action, resource"#, &[]),
        (
            r#"principal in Group::"security", action, resource"#,
            &[1, 2, 3, 4],
        ),
        (
            r#"principal is Caller in Group::"people", action, resource"#,
            &[1, 2, 3, 4],
        ),
        (r#"principal in Group::"auditors", action, resource"#, &[]),
        // A group of that name is no caller of that name.
        (r#"principal == Caller::"security", action, resource"#, &[]),
        (
            r#"principal, action, resource) when { principal.authentication == Authentication::"token" && principal has issuer && principal.issuer == "https://issuer.example" "#,
            &[1, 2, 3, 4],
        ),
        (
            r#"principal, action, resource) when { principal.authentication == Authentication::"certificate" "#,
            &[],
        ),
        (
            r#"principal, action, resource) when { principal.name like "ali*" "#,
            &[1, 2, 3, 4],
        ),
        // The RPC.
        (
            r#"principal, action == Action::"SearchEvents", resource"#,
            &[1, 2, 3, 4],
        ),
        (
            r#"principal, action in [Action::"PlanSearch", Action::"ListAccounts"], resource"#,
            &[],
        ),
        // The account: id, name, units by id and by path, tags.
        (
            r#"principal, action, resource == Account::"000000000002""#,
            &[2],
        ),
        (
            r#"principal, action, resource) when { resource == Account::"000000000002" || resource in OrganizationalUnit::"/Workloads/Dev" "#,
            &[2, 3],
        ),
        (
            r#"principal, action, resource in OrganizationalUnit::"/Workloads""#,
            &[1, 2, 3],
        ),
        (
            r#"principal, action, resource in OrganizationalUnit::"/Workloads/Prod""#,
            &[1, 2],
        ),
        (
            r#"principal, action, resource in OrganizationalUnit::"/Prod""#,
            &[],
        ),
        (
            r#"principal, action, resource in OrganizationalUnit::"ou-root-10000prod""#,
            &[1, 2],
        ),
        (
            r#"principal, action, resource) when { resource.hasTag("env") && resource.getTag("env") == "prod" "#,
            &[1, 2],
        ),
        (
            r#"principal, action, resource) when { resource has name && resource.name like "prod-*" "#,
            &[1, 2],
        ),
        // The question.
        (
            r#"principal, action == Action::"SearchEvents", resource) when { context.lookback_seconds <= 86400 "#,
            &[1, 2, 3, 4],
        ),
        (
            r#"principal, action == Action::"SearchEvents", resource) when { context.identity_kinds == [IdentityKind::"user_name"] "#,
            &[1, 2, 3, 4],
        ),
    ] {
        let text = if rule.contains(" when ") {
            format!("permit ({rule}}};")
        } else {
            format!("permit ({rule});")
        };
        let found = readable(&text, &alice, search());
        match expected {
            [] => assert_eq!(found, Err(rpc_denied()), "{rule}"),
            accounts => assert_eq!(found, Ok(accounts.to_vec()), "{rule}"),
        }
    }
}

#[test]
fn a_forbid_wins_and_an_exception_to_it_holds() {
    let text = r#"
        permit (principal, action, resource);
        forbid (principal, action, resource in OrganizationalUnit::"/Workloads/Prod")
        unless { principal in Group::"incident-response" };
    "#;
    assert_eq!(readable(text, &caller("a", &[]), search()), Ok(vec![3, 4]));
    let responder = caller("a", &["incident-response"]);
    assert_eq!(readable(text, &responder, search()), Ok(vec![1, 2, 3, 4]));
}

#[test]
fn a_denied_question_says_which_of_its_parts_is() {
    let text = r#"
        permit (principal, action == Action::"SearchEvents", resource == Account::"000000000001")
        when {
            context.lookback_seconds <= 86400 &&
            context.record_view != RecordView::"full" &&
            [IdentityKind::"user_name", IdentityKind::"access_key_id"].containsAll(context.identity_kinds)
        };
    "#;
    let alice = caller("alice", &[]);
    let full = SearchQuestion {
        record_view: RecordView::Full,
        ..search()
    };
    let far_back = SearchQuestion {
        lookback_seconds: 86_401,
        ..search()
    };
    let root = SearchQuestion {
        identity_kinds: BTreeSet::from(["user_name", "root"]),
        ..search()
    };
    let both = SearchQuestion {
        lookback_seconds: 86_401,
        ..full.clone()
    };
    for (question, expected) in [
        (search(), Ok(vec![1])),
        (full, Err(aspect(Aspect::RecordView))),
        (far_back, Err(aspect(Aspect::Lookback))),
        (root, Err(aspect(Aspect::IdentityKind))),
        (both, Err(Denial::Question(Rpc::SearchEvents))),
    ] {
        assert_eq!(
            readable(text, &alice, question.clone()),
            expected,
            "{question:?}"
        );
        // By its id the account is no less known: what is denied is the question.
        let by_id = asked(
            &authorizer(text),
            &alice,
            &Question::SearchEvents(question),
            &[1],
        );
        assert_eq!(by_id.map_err(denial), expected);
    }
}

#[test]
fn an_account_out_of_reach_reads_like_one_that_is_not_there() {
    let text = r#"permit (principal, action, resource == Account::"000000000001");"#;
    let (authorizer, alice) = (authorizer(text), caller("alice", &[]));
    let question = Question::SearchEvents(search());
    let of = |ids: &[u64]| asked(&authorizer, &alice, &question, ids);
    let not_there = |ids: &[u64]| {
        let ids = ids.iter().map(|&number| id(number)).collect();
        Err(Refused::NotFound(NotSelected::Unknown(ids)))
    };
    assert_eq!(of(&[1]), Ok(vec![1]));
    assert_eq!(of(&[2]), not_there(&[2]));
    assert_eq!(of(&[9]), not_there(&[9]));
    assert_eq!(of(&[1, 2, 9]), not_there(&[2, 9]));
    // Whoever may ask nothing is told so, whatever exists.
    let nobody = caller("nobody", &[]);
    let text = r#"permit (principal == Caller::"alice", action, resource);"#;
    let authorizer = super::authorizer(text);
    for ids in [&[][..], &[1], &[9]] {
        let refused = asked(&authorizer, &nobody, &question, ids);
        assert_eq!(refused, Err(Refused::Denied(rpc_denied())));
    }
}

#[test]
fn what_is_known_under_other_questions_is_denied_and_not_hidden() {
    let text = r#"
        permit (principal, action == Action::"SearchEvents", resource == Account::"000000000003");
        permit (principal, action == Action::"SearchEvents", resource == Account::"000000000001")
        when { context.lookback_seconds < 60 };
    "#;
    let (authorizer, alice) = (authorizer(text), caller("alice", &[]));
    let question = Question::SearchEvents(search());
    let of = |ids: &[u64]| asked(&authorizer, &alice, &question, ids);
    assert_eq!(of(&[]), Ok(vec![3]));
    assert_eq!(of(&[1, 3]), Err(Refused::Denied(aspect(Aspect::Lookback))));
    let unknown = Refused::NotFound(NotSelected::Unknown(vec![id(2)]));
    assert_eq!(of(&[1, 2]), Err(unknown));
}

#[test]
fn each_rpc_is_decided_by_itself() {
    let text = r#"
        permit (principal, action == Action::"ListAccounts", resource in OrganizationalUnit::"/Workloads/Dev");
        permit (principal, action == Action::"CheckAccounts", resource == Account::"000000000001")
        when { context.lookback_seconds <= 2592000 };
    "#;
    let (authorizer, alice) = (authorizer(text), caller("alice", &[]));
    let of = |question: &Question| asked(&authorizer, &alice, question, &[]).map_err(denial);
    assert_eq!(of(&Question::ListAccounts), Ok(vec![3]));
    assert_eq!(of(&Question::check_accounts(30)), Ok(vec![1]));
    let too_far = Denial::Aspect(Rpc::CheckAccounts, Aspect::Lookback);
    assert_eq!(of(&Question::check_accounts(31)), Err(too_far));
    assert_eq!(of(&Question::SearchEvents(search())), Err(rpc_denied()));
    assert_eq!(
        of(&Question::PlanSearch(search())),
        Err(Denial::Rpc(Rpc::PlanSearch))
    );
    // A listing shows closed accounts, where they are permitted.
    let all = |_: &Inventory| Ok::<_, NotSelected>(Vec::new());
    let listed = authorizer.access(&alice, &Question::ListAccounts, &inventory(), all);
    let listed = listed.unwrap();
    assert_eq!(listed.inventory.left_out[0].id, id(5));
    assert!(listed.limited);
}

#[test]
fn a_policy_that_cannot_be_evaluated_denies() {
    // Cedar skips it, and with it would skip a forbid.
    let text = r#"
        permit (principal, action, resource);
        forbid (principal, action == Action::"SearchEvents", resource == Account::"000000000002")
        when { context.lookback_seconds * 9223372036854775807 < 0 };
    "#;
    let alice = caller("alice", &[]);
    assert_eq!(readable(text, &alice, search()), Ok(vec![1, 3, 4]));
}

#[test]
fn the_same_name_with_other_groups_is_judged_anew() {
    let text = r#"permit (principal in Group::"security", action, resource);"#;
    let authorizer = authorizer(text);
    let question = Question::SearchEvents(search());
    let all = |_: &Inventory| Ok::<_, NotSelected>(Vec::new());
    let inventory = inventory();
    for (groups, allowed) in [
        (&["security"][..], true),
        (&[], false),
        (&["security"], true),
    ] {
        let caller = caller("alice", groups);
        let access = authorizer.access(&caller, &question, &inventory, all);
        assert_eq!(access.is_ok(), allowed, "{groups:?}");
    }
}

#[test]
fn a_unit_whose_name_has_a_slash_stands_for_no_other() {
    let mut inventory = Inventory::of_list(vec![AccountFacts::new(id(1), Vec::new())]);
    inventory.accounts[0].membership = Some(membership(&["Workloads/Prod", "Inner"], &[]));
    let inventory = Arc::new(inventory);
    let all = |_: &Inventory| Ok::<_, NotSelected>(Vec::new());
    for unit in ["/Workloads/Prod", "/Workloads/Prod/Inner", "/Workloads"] {
        let text =
            format!("permit (principal, action, resource in OrganizationalUnit::\"{unit}\");");
        let access = authorizer(&text).access(
            &caller("alice", &[]),
            &Question::ListAccounts,
            &inventory,
            all,
        );
        assert!(access.is_err(), "{unit}");
    }
}

fn query(identities: &[Identity], range: TimeRange, asked: AskedRange) -> EventQuery {
    EventQuery {
        identities: identities.to_vec(),
        case: Case::Kept,
        range,
        asked_range: asked,
        account_ids: Vec::new(),
        account_selector: AccountSelector::default(),
        regions: Vec::new(),
        filter: EventFilter::default(),
        order: SearchOrder::default(),
        record_view: RecordView::Fields,
        max_events: None,
        exact_roles: false,
        backends: Vec::new(),
        max_scan_bytes: None,
        progress_interval: None,
        resume: None,
    }
}

#[test]
fn an_arn_is_of_the_kind_that_it_is_read_for_too() {
    let now = Timestamp::from_second(1_700_000_000).unwrap();
    let end = EventTime::ceil(now);
    let range = TimeRange::new(end.plus(-60), end).unwrap();
    for (arn, kind) in [
        ("arn:aws:iam::111122223333:user/alice", Some("user_name")),
        ("arn:aws:iam::111122223333:role/deploy", Some("role_name")),
        (
            "arn:aws:sts::111122223333:assumed-role/deploy/ci",
            Some("role_session"),
        ),
        ("arn:aws:iam::111122223333:root", Some("root")),
        ("arn:aws:sts::111122223333:federated-user/bob", None),
    ] {
        let identity = Identity::Arn(arn.parse().unwrap());
        let question = SearchQuestion::of(&query(&[identity], range, AskedRange::default()), now);
        let expected = kind.into_iter().chain(["arn"]).collect();
        assert_eq!(question.identity_kinds, expected, "{arn}");
    }
}

#[test]
fn a_resumed_search_reaches_back_as_far_as_it_did_for_a_day() {
    const NOW: i64 = 1_700_000_000;
    const WEEK: i64 = 7 * 86_400;
    let lookback = |age: i64| {
        let began = NOW - age;
        let time = |second| EventTime::from_second(second).unwrap();
        let mut query = query(
            &[],
            TimeRange::new(time(began - WEEK), time(began)).unwrap(),
            AskedRange {
                lookback_seconds: Some(WEEK),
                ..AskedRange::default()
            },
        );
        query.resume = Some(ResumePoint {
            position: None,
            horizon: time(began - 90 * 86_400),
            scope_digest: [0; 16],
        });
        let now = Timestamp::from_second(NOW).unwrap();
        SearchQuestion::of(&query, now).lookback_seconds
    };
    assert_eq!(lookback(0), WEEK);
    assert_eq!(lookback(86_400), WEEK);
    // An old token, or one that somebody made up.
    assert_eq!(lookback(86_500), WEEK + 100);
    assert_eq!(lookback(-1_000), WEEK - 1_000);
}

#[test]
fn every_question_is_as_the_schema_has_it() {
    let views = [RecordView::None, RecordView::Fields, RecordView::Full];
    let searches = views.map(|record_view| SearchQuestion {
        identity_kinds: KINDS.into_iter().collect(),
        record_view,
        ..search()
    });
    let searches = searches.into_iter().flat_map(|search| {
        [
            Question::SearchEvents(search.clone()),
            Question::PlanSearch(search),
        ]
    });
    let others = [Question::ListAccounts, Question::check_accounts(1)];
    for question in searches.chain(others) {
        let action = question.rpc().action();
        let valid = question.context().validate(&load::SCHEMA, &action);
        assert!(valid.is_ok(), "{question:?}: {valid:?}");
    }
}

proptest! {
    /// Whatever single accounts are permitted: these are read, and no question about any other is
    /// answered in any other way than one about an account that is nowhere.
    #[test]
    fn no_more_than_the_permitted_is_there(
        permitted in proptest::collection::btree_set(1_u64..=4, 1..4),
        ids in proptest::collection::btree_set(1_u64..=9, 0..5),
    ) {
        let policies: Vec<String> = (permitted.iter())
            .map(|number| format!(
                "permit (principal, action, resource == Account::\"{number:012}\");"
            ))
            .collect();
        let ids: Vec<u64> = ids.into_iter().collect();
        let found = asked(
            &authorizer(&policies.join("\n")),
            &caller("alice", &[]),
            &Question::SearchEvents(search()),
            &ids,
        );
        let hidden: Vec<AccountId> = (ids.iter())
            .filter(|number| !permitted.contains(*number))
            .map(|&number| id(number))
            .collect();
        let expected = match (&ids[..], &hidden[..]) {
            ([], _) => Ok(permitted.into_iter().collect()),
            (_, []) => Ok(ids),
            _ => Err(Refused::NotFound(NotSelected::Unknown(hidden))),
        };
        prop_assert_eq!(found, expected);
    }
}
