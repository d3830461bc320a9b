//! The SQL as it is written, for each kind of identity, partition layout and filter.

use std::collections::BTreeSet;

use super::{Asked, OutputKind, ScanStatement, Unwritable, statement};
use crate::backend::athena::table::table_facts;
use crate::backend::athena::table::tests::{DOCUMENTED, metadata};
use crate::config::Archive;
use crate::plan::facts::TableFacts;
use crate::query::{
    Access, Case, Condition, EventCategory, EventFilter, EventTime, Identity, SearchOrder,
    TimeRange,
};

pub(super) fn archive(layout: &str, more: &str) -> Archive {
    let yaml = format!(
        "name: all\naccount: 111122223333\nregion: eu-central-1\ndatabase: logs\ntable: cloudtrail\n\
         partitions: {{layout: {layout}}}\nholds: {{accounts: all, first_day: 2020-01-01{more}}}\n"
    );
    serde_saphyr::from_str(&yaml).unwrap()
}

pub(super) fn table(without: &[&str]) -> TableFacts {
    let partitions = ["account", "region", "year", "month", "day", "timestamp"];
    let partitions = partitions.map(|name| (name, "string"));
    let mut facts = table_facts("all", &metadata(DOCUMENTED, &partitions));
    facts
        .columns
        .retain(|path| !without.contains(&path.as_str()));
    facts
}

/// A question with defaults that each test changes.
struct Question {
    archive: Archive,
    table: TableFacts,
    accounts: Vec<&'static str>,
    regions: Option<Vec<&'static str>>,
    start: &'static str,
    end: &'static str,
    categories: Vec<EventCategory>,
    identities: Vec<Identity>,
    case: Case,
    filter: EventFilter,
    order: SearchOrder,
}

impl Question {
    fn of(identity: Identity) -> Self {
        Self {
            archive: archive("projected", ""),
            table: table(&[]),
            accounts: vec!["000011112222", "111122223333"],
            regions: None,
            start: "2026-11-20T10:00:00Z",
            end: "2026-11-21T00:00:00Z",
            categories: vec![EventCategory::Management],
            identities: vec![identity],
            case: Case::Kept,
            filter: EventFilter::default(),
            order: SearchOrder::NewestFirst,
        }
    }

    fn condition(&self) -> Condition {
        let identities = self.identities.iter();
        let anyone = identities.map(|identity| identity.condition(self.case));
        let mut all = vec![Condition::Any(anyone.collect())];
        let Condition::All(filter) = self.filter.condition() else {
            panic!("not all of its parts");
        };
        all.extend(filter);
        Condition::All(all)
    }

    fn statement(&self) -> Result<ScanStatement, Unwritable> {
        let time = |text: &str| EventTime::floor(text.parse().unwrap());
        let accounts = self.accounts.iter().map(|id| id.parse().unwrap()).collect();
        let regions = self.regions.as_ref().map(|regions| {
            let regions = regions.iter().map(|name| name.parse().unwrap());
            regions.collect::<BTreeSet<_>>()
        });
        let asked = Asked {
            accounts: &accounts,
            regions: regions.as_ref(),
            range: TimeRange::new(time(self.start), time(self.end)).unwrap(),
            categories: &self.categories.iter().copied().collect(),
            condition: &self.condition(),
            order: self.order,
        };
        statement(&self.archive, &self.table, &asked)
    }

    /// The conditions, one a line.
    fn conditions(&self) -> String {
        let sql = self.statement().unwrap().sql;
        let (_, rest) = sql.split_once("\nWHERE ").unwrap();
        let (conditions, _) = rest.split_once("\nORDER BY ").unwrap();
        conditions.replace("\n  AND ", "\n")
    }

    /// The condition on the identity alone.
    fn identity(&self) -> String {
        self.conditions().lines().nth(5).unwrap().to_owned()
    }
}

fn by_name() -> Identity {
    Identity::UserName("o_hara+x@example.com".parse().unwrap())
}

fn arn(text: &str) -> Identity {
    Identity::Arn(text.parse().unwrap())
}

#[test]
fn a_whole_statement() {
    let sql = Question::of(by_name()).statement().unwrap().sql;
    insta::assert_snapshot!(sql, @r#"
    SELECT
      "eventversion" AS "eventversion",
      "useridentity"."type" AS "useridentity_type",
      "useridentity"."principalid" AS "useridentity_principalid",
      "useridentity"."arn" AS "useridentity_arn",
      "useridentity"."accountid" AS "useridentity_accountid",
      "useridentity"."accesskeyid" AS "useridentity_accesskeyid",
      "useridentity"."username" AS "useridentity_username",
      "useridentity"."invokedby" AS "useridentity_invokedby",
      "useridentity"."onbehalfof"."userid" AS "useridentity_onbehalfof_userid",
      "useridentity"."onbehalfof"."identitystorearn" AS "useridentity_onbehalfof_identitystorearn",
      "useridentity"."sessioncontext"."sessionissuer"."type" AS "useridentity_sessioncontext_sessionissuer_type",
      "useridentity"."sessioncontext"."sessionissuer"."principalid" AS "useridentity_sessioncontext_sessionissuer_principalid",
      "useridentity"."sessioncontext"."sessionissuer"."arn" AS "useridentity_sessioncontext_sessionissuer_arn",
      "useridentity"."sessioncontext"."sessionissuer"."accountid" AS "useridentity_sessioncontext_sessionissuer_accountid",
      "useridentity"."sessioncontext"."sessionissuer"."username" AS "useridentity_sessioncontext_sessionissuer_username",
      "useridentity"."sessioncontext"."webidfederationdata"."federatedprovider" AS "useridentity_sessioncontext_webidfederationdata_federatedprovider",
      json_format(CAST("useridentity"."sessioncontext"."webidfederationdata"."attributes" AS JSON)) AS "useridentity_sessioncontext_webidfederationdata_attributes",
      "useridentity"."sessioncontext"."attributes"."creationdate" AS "useridentity_sessioncontext_attributes_creationdate",
      "useridentity"."sessioncontext"."attributes"."mfaauthenticated" AS "useridentity_sessioncontext_attributes_mfaauthenticated",
      "useridentity"."sessioncontext"."ec2roledelivery" AS "useridentity_sessioncontext_ec2roledelivery",
      "eventtime" AS "eventtime",
      "eventsource" AS "eventsource",
      "eventname" AS "eventname",
      "awsregion" AS "awsregion",
      "sourceipaddress" AS "sourceipaddress",
      "useragent" AS "useragent",
      "errorcode" AS "errorcode",
      "errormessage" AS "errormessage",
      "requestparameters" AS "requestparameters",
      "responseelements" AS "responseelements",
      "additionaleventdata" AS "additionaleventdata",
      "requestid" AS "requestid",
      "eventid" AS "eventid",
      "readonly" AS "readonly",
      json_format(CAST("resources" AS JSON)) AS "resources",
      "eventtype" AS "eventtype",
      "apiversion" AS "apiversion",
      "recipientaccountid" AS "recipientaccountid",
      "serviceeventdetails" AS "serviceeventdetails",
      "sharedeventid" AS "sharedeventid",
      "vpcendpointid" AS "vpcendpointid",
      "vpcendpointaccountid" AS "vpcendpointaccountid",
      "eventcategory" AS "eventcategory",
      "addendum"."reason" AS "addendum_reason",
      "addendum"."updatedfields" AS "addendum_updatedfields",
      "addendum"."originalrequestid" AS "addendum_originalrequestid",
      "addendum"."originaleventid" AS "addendum_originaleventid",
      "sessioncredentialfromconsole" AS "sessioncredentialfromconsole",
      "edgedevicedetails" AS "edgedevicedetails",
      "tlsdetails"."tlsversion" AS "tlsdetails_tlsversion",
      "tlsdetails"."ciphersuite" AS "tlsdetails_ciphersuite",
      "tlsdetails"."clientprovidedhostheader" AS "tlsdetails_clientprovidedhostheader",
      "account" AS "partition_account",
      "$path" AS "log_file"
    FROM "logs"."cloudtrail"
    WHERE "account" IN ('000011112222', '111122223333')
      AND COALESCE("recipientaccountid", "account") IN ('000011112222', '111122223333')
      AND "timestamp" BETWEEN '2026/11/20' AND '2026/11/21'
      AND "eventtime" >= '2026-11-20T10:00:00Z'
      AND "eventtime" < '2026-11-21T00:00:00Z'
      AND (("useridentity"."type" = 'IAMUser' AND "useridentity"."username" = 'o_hara+x@example.com') OR ("useridentity"."type" = 'FederatedUser' AND "useridentity"."sessioncontext"."sessionissuer"."type" = 'IAMUser' AND "useridentity"."sessioncontext"."sessionissuer"."username" = 'o_hara+x@example.com'))
      AND ("eventcategory" = 'Management' OR "eventcategory" IS NULL)
    ORDER BY "eventtime" DESC NULLS LAST, "eventid" DESC NULLS LAST
    "#);
}

#[test]
fn oldest_first_orders_the_other_way_with_nulls_where_they_were() {
    let question = Question {
        order: SearchOrder::OldestFirst,
        ..Question::of(by_name())
    };
    let sql = question.statement().unwrap().sql;
    let (_, order) = sql.split_once("\nORDER BY ").unwrap();
    insta::assert_snapshot!(order, @r#""eventtime" ASC NULLS LAST, "eventid" ASC NULLS LAST"#);
}

#[test]
fn each_kind_of_identity() {
    let role = || "dev_ops".parse().unwrap();
    let session = || "alice_b".parse().unwrap();
    let identities = [
        by_name(),
        Identity::SessionName(session()),
        Identity::RoleSession {
            role_name: role(),
            session_name: session(),
        },
        Identity::RoleName(role()),
        Identity::PermissionSet("Read_Only".parse().unwrap()),
        Identity::AccessKeyId("AKIAIOSFODNN7EXAMPLE".parse().unwrap()),
        Identity::PrincipalId("AROACKCEVSQ6C2EXAMPLE".parse().unwrap()),
        Identity::IdentityCenterUserId("906786f9-f5a6-4e9b-a0c4-example00001".parse().unwrap()),
        Identity::Root,
        arn("arn:aws:iam::111122223333:user/team/alice"),
        arn("arn:aws:iam::111122223333:role/team/dev_ops"),
        arn("arn:aws:sts::111122223333:assumed-role/dev_ops/alice_b"),
        arn("arn:aws:sts::111122223333:federated-user/backup"),
        arn("arn:aws-cn:iam::111122223333:root"),
    ];
    let printed: Vec<_> = identities
        .into_iter()
        .map(|identity| Question::of(identity).identity())
        .collect();
    insta::assert_snapshot!(printed.join("\n\n"), @r#"
    (("useridentity"."type" = 'IAMUser' AND "useridentity"."username" = 'o_hara+x@example.com') OR ("useridentity"."type" = 'FederatedUser' AND "useridentity"."sessioncontext"."sessionissuer"."type" = 'IAMUser' AND "useridentity"."sessioncontext"."sessionissuer"."username" = 'o_hara+x@example.com'))

    ("useridentity"."type" = 'AssumedRole' AND "useridentity"."principalid" LIKE '%:alice\_b' ESCAPE '\')

    (("useridentity"."type" = 'AssumedRole' AND "useridentity"."principalid" LIKE '%:alice\_b' ESCAPE '\') AND (("useridentity"."sessioncontext"."sessionissuer"."username" = 'dev_ops' AND ("useridentity"."sessioncontext"."sessionissuer"."type" = 'Role' OR "useridentity"."sessioncontext"."sessionissuer"."type" IS NULL)) OR ("useridentity"."sessioncontext"."sessionissuer"."username" IS NULL AND "useridentity"."type" = 'AssumedRole' AND "useridentity"."arn" LIKE 'arn:%:sts:%:assumed-role/dev\_ops/%' ESCAPE '\')))

    (("useridentity"."sessioncontext"."sessionissuer"."username" = 'dev_ops' AND ("useridentity"."sessioncontext"."sessionissuer"."type" = 'Role' OR "useridentity"."sessioncontext"."sessionissuer"."type" IS NULL)) OR ("useridentity"."sessioncontext"."sessionissuer"."username" IS NULL AND "useridentity"."type" = 'AssumedRole' AND "useridentity"."arn" LIKE 'arn:%:sts:%:assumed-role/dev\_ops/%' ESCAPE '\'))

    (("useridentity"."sessioncontext"."sessionissuer"."username" LIKE 'AWSReservedSSO\_Read\_Only\_________________' ESCAPE '\' AND ("useridentity"."sessioncontext"."sessionissuer"."type" = 'Role' OR "useridentity"."sessioncontext"."sessionissuer"."type" IS NULL)) OR ("useridentity"."sessioncontext"."sessionissuer"."username" IS NULL AND "useridentity"."type" = 'AssumedRole' AND "useridentity"."arn" LIKE 'arn:%:sts:%:assumed-role/AWSReservedSSO\_Read\_Only\_________________/%' ESCAPE '\'))

    "useridentity"."accesskeyid" = 'AKIAIOSFODNN7EXAMPLE'

    ("useridentity"."principalid" = 'AROACKCEVSQ6C2EXAMPLE' OR "useridentity"."sessioncontext"."sessionissuer"."principalid" = 'AROACKCEVSQ6C2EXAMPLE' OR ("useridentity"."type" = 'AssumedRole' AND "useridentity"."principalid" LIKE 'AROACKCEVSQ6C2EXAMPLE:%' ESCAPE '\'))

    "useridentity"."onbehalfof"."userid" = '906786f9-f5a6-4e9b-a0c4-example00001'

    "useridentity"."type" = 'Root'

    (("useridentity"."type" = 'IAMUser' AND "useridentity"."arn" = 'arn:aws:iam::111122223333:user/team/alice') OR ("useridentity"."type" = 'FederatedUser' AND "useridentity"."sessioncontext"."sessionissuer"."arn" = 'arn:aws:iam::111122223333:user/team/alice'))

    ("useridentity"."sessioncontext"."sessionissuer"."arn" = 'arn:aws:iam::111122223333:role/team/dev_ops' OR ("useridentity"."sessioncontext"."sessionissuer"."arn" IS NULL AND "useridentity"."type" = 'AssumedRole' AND "useridentity"."arn" LIKE 'arn:aws:sts:%:111122223333:assumed-role/dev\_ops/%' ESCAPE '\'))

    "useridentity"."arn" = 'arn:aws:sts::111122223333:assumed-role/dev_ops/alice_b'

    "useridentity"."arn" = 'arn:aws:sts::111122223333:federated-user/backup'

    ("useridentity"."type" = 'Root' AND "useridentity"."accountid" = '111122223333')
    "#);
}

#[test]
fn wildcards_and_names_in_any_case() {
    let identities = [
        Identity::UserName("al*_B*".parse().unwrap()),
        Identity::SessionName("*".parse().unwrap()),
        arn("arn:aws:iam::111122223333:role/Team/*_x"),
    ];
    let printed = [Case::Kept, Case::Ignored].map(|case| {
        let printed = identities.clone().map(|identity| {
            let mut question = Question::of(identity);
            question.case = case;
            question.identity()
        });
        printed.join("\n\n")
    });
    insta::assert_snapshot!(printed.join("\n\n"), @r#"
    (("useridentity"."type" = 'IAMUser' AND "useridentity"."username" LIKE 'al%\_B%' ESCAPE '\') OR ("useridentity"."type" = 'FederatedUser' AND "useridentity"."sessioncontext"."sessionissuer"."type" = 'IAMUser' AND "useridentity"."sessioncontext"."sessionissuer"."username" LIKE 'al%\_B%' ESCAPE '\'))

    ("useridentity"."type" = 'AssumedRole' AND "useridentity"."principalid" LIKE '%:%' ESCAPE '\')

    ("useridentity"."sessioncontext"."sessionissuer"."arn" LIKE 'arn:aws:iam::111122223333:role/Team/%\_x' ESCAPE '\' OR ("useridentity"."sessioncontext"."sessionissuer"."arn" IS NULL AND "useridentity"."type" = 'AssumedRole' AND "useridentity"."arn" LIKE 'arn:aws:sts:%:111122223333:assumed-role/%\_x/%' ESCAPE '\'))

    (("useridentity"."type" = 'IAMUser' AND lower("useridentity"."username") LIKE 'al%\_b%' ESCAPE '\') OR ("useridentity"."type" = 'FederatedUser' AND "useridentity"."sessioncontext"."sessionissuer"."type" = 'IAMUser' AND lower("useridentity"."sessioncontext"."sessionissuer"."username") LIKE 'al%\_b%' ESCAPE '\'))

    ("useridentity"."type" = 'AssumedRole' AND lower("useridentity"."principalid") LIKE '%:%' ESCAPE '\')

    (lower("useridentity"."sessioncontext"."sessionissuer"."arn") LIKE 'arn:aws:iam::111122223333:role/team/%\_x' ESCAPE '\' OR ("useridentity"."sessioncontext"."sessionissuer"."arn" IS NULL AND "useridentity"."type" = 'AssumedRole' AND lower("useridentity"."arn") LIKE 'arn:aws:sts:%:111122223333:assumed-role/%\_x/%' ESCAPE '\'))
    "#);
}

#[test]
fn a_source_identity_needs_the_column_that_holds_it() {
    let asked = || Question::of(Identity::SourceIdentity("alice".parse().unwrap()));
    let column = "useridentity.sessioncontext.sourceidentity";
    assert_eq!(
        asked().statement().unwrap_err().to_string(),
        format!("it has no column {column}")
    );
    let mut question = asked();
    question.table.columns.insert(column.to_owned());
    insta::assert_snapshot!(question.identity(), @r#"
    "useridentity"."sessioncontext"."sourceidentity" = 'alice'
    "#);
}

#[test]
fn each_kind_of_filter() {
    let filter = |change: &dyn Fn(&mut EventFilter)| {
        let mut question = Question::of(Identity::Root);
        change(&mut question.filter);
        let conditions = question.conditions();
        let lines: Vec<_> = conditions.lines().skip(5).collect();
        let (last, lines) = lines.split_last().unwrap();
        assert!(last.contains("eventcategory"), "{last}");
        lines[1..].join("\n")
    };
    let ips = |list: &[&str]| list.iter().map(|ip| ip.parse().unwrap()).collect();
    let things = |list: &[&str]| list.iter().map(|name| name.parse().unwrap()).collect();
    let printed = [
        filter(&|f| f.access = vec![Access::Read]),
        filter(&|f| f.access = vec![Access::Read, Access::Write]),
        filter(&|f| f.errors_only = true),
        filter(&|f| f.error_codes = vec!["AccessDenied".into(), "Client.DryRunOperation".into()]),
        filter(&|f| f.source_ips = ips(&["203.0.113.77"])),
        filter(&|f| f.source_ips = ips(&["172.16.0.0/12", "0.0.0.0/0", "AWS Internal"])),
        filter(&|f| f.source_ips = ips(&["2001:db8::/32", "fe80::/10", "64:ff9b::/96"])),
        filter(&|f| f.resources = things(&["Alice_b"])),
        filter(&|f| f.resources = things(&["arn:aws:s3:::it's/a \"key\""])),
        filter(&|f| f.event_ids = vec!["b8f2a9f5-7e3c-4e8b-9a55-1f0d3a4c2e11".into()]),
    ];
    insta::assert_snapshot!(printed.join("\n\n"), @r#"
    lower("readonly") = 'true'

    (lower("readonly") = 'true' OR (lower("readonly") = 'false' OR "readonly" IS NULL))

    "errorcode" IS NOT NULL

    "errorcode" IN ('AccessDenied', 'Client.DryRunOperation')

    "sourceipaddress" = '203.0.113.77'

    ("sourceipaddress" LIKE '172.%' ESCAPE '\' OR "sourceipaddress" LIKE '%' ESCAPE '\' OR "sourceipaddress" = 'AWS Internal')

    (lower("sourceipaddress") LIKE '2001:%' ESCAPE '\' OR "sourceipaddress" LIKE '%:%' ESCAPE '\' OR "sourceipaddress" LIKE '%:%' ESCAPE '\')

    (json_format(CAST("resources" AS JSON)) LIKE '%Alice\_b%' ESCAPE '\' OR "requestparameters" LIKE '%Alice\_b%' ESCAPE '\')

    (json_format(CAST("resources" AS JSON)) LIKE '%arn:aws:s3:::it%s%a %key%' ESCAPE '\' OR "requestparameters" LIKE '%arn:aws:s3:::it%s%a %key%' ESCAPE '\')

    "eventid" = 'b8f2a9f5-7e3c-4e8b-9a55-1f0d3a4c2e11'
    "#);
}

#[test]
fn apis_that_issue_credentials_are_named_by_service() {
    let mut question = Question::of(Identity::Root);
    question.filter.access = vec![Access::IssuesCredentials];
    let conditions = question.conditions();
    assert!(
        conditions
            .contains(r#"("eventsource" = 'sts.amazonaws.com' AND "eventname" IN ('AssumeRole', "#)
    );
}

#[test]
fn any_of_several_identities() {
    let mut question = Question::of(by_name());
    question.identities.push(Identity::Root);
    insta::assert_snapshot!(question.identity(), @r#"
    ((("useridentity"."type" = 'IAMUser' AND "useridentity"."username" = 'o_hara+x@example.com') OR ("useridentity"."type" = 'FederatedUser' AND "useridentity"."sessioncontext"."sessionissuer"."type" = 'IAMUser' AND "useridentity"."sessioncontext"."sessionissuer"."username" = 'o_hara+x@example.com')) OR "useridentity"."type" = 'Root')
    "#);
}

#[test]
fn each_partition_layout() {
    let printed = ["region_date", "account_region_date", "projected"].map(|layout| {
        let mut question = Question::of(Identity::Root);
        question.archive = archive(layout, "");
        question.start = "2026-05-04T00:00:00Z";
        format!("{layout}:\n{}", question.conditions())
    });
    insta::assert_snapshot!(printed.join("\n\n"), @r#"
    region_date:
    ("recipientaccountid" IN ('000011112222', '111122223333') OR "recipientaccountid" IS NULL)
    (("year" = '2026' AND "month" = '05' AND "day" >= '04') OR ("year" = '2026' AND "month" BETWEEN '06' AND '10') OR ("year" = '2026' AND "month" = '11' AND "day" <= '21'))
    "eventtime" >= '2026-05-04T00:00:00Z'
    "eventtime" < '2026-11-21T00:00:00Z'
    "useridentity"."type" = 'Root'
    ("eventcategory" = 'Management' OR "eventcategory" IS NULL)

    account_region_date:
    "account" IN ('000011112222', '111122223333')
    COALESCE("recipientaccountid", "account") IN ('000011112222', '111122223333')
    (("year" = '2026' AND "month" = '05' AND "day" >= '04') OR ("year" = '2026' AND "month" BETWEEN '06' AND '10') OR ("year" = '2026' AND "month" = '11' AND "day" <= '21'))
    "eventtime" >= '2026-05-04T00:00:00Z'
    "eventtime" < '2026-11-21T00:00:00Z'
    "useridentity"."type" = 'Root'
    ("eventcategory" = 'Management' OR "eventcategory" IS NULL)

    projected:
    "account" IN ('000011112222', '111122223333')
    COALESCE("recipientaccountid", "account") IN ('000011112222', '111122223333')
    "timestamp" BETWEEN '2026/05/04' AND '2026/11/21'
    "eventtime" >= '2026-05-04T00:00:00Z'
    "eventtime" < '2026-11-21T00:00:00Z'
    "useridentity"."type" = 'Root'
    ("eventcategory" = 'Management' OR "eventcategory" IS NULL)
    "#);
}

#[test]
fn filters_narrow_too() {
    let mut question = Question::of(Identity::Root);
    question.regions = Some(vec!["eu-central-1", "us-east-1"]);
    question.filter.event_names = vec!["CreateUser".into(), "it's".into()];
    question.filter.event_sources = vec!["iam.amazonaws.com".into()];
    question.categories = vec![EventCategory::Management, EventCategory::Data];
    insta::assert_snapshot!(question.conditions(), @r#"
    "account" IN ('000011112222', '111122223333')
    COALESCE("recipientaccountid", "account") IN ('000011112222', '111122223333')
    "timestamp" BETWEEN '2026/11/20' AND '2026/11/21'
    "eventtime" >= '2026-11-20T10:00:00Z'
    "eventtime" < '2026-11-21T00:00:00Z'
    "awsregion" IN ('eu-central-1', 'us-east-1')
    "useridentity"."type" = 'Root'
    "eventname" IN ('CreateUser', 'it''s')
    "eventsource" = 'iam.amazonaws.com'
    ("eventcategory" IN ('Management', 'Data') OR "eventcategory" IS NULL)
    "#);
}

#[test]
fn the_region_partition_narrows_only_where_no_global_event_can_be() {
    let conditions = |regions| {
        let mut question = Question::of(Identity::Root);
        question.regions = Some(regions);
        question.conditions()
    };
    let partition = r#""region" IN"#;
    assert!(conditions(vec!["eu-central-1", "eu-west-1"]).contains(partition));
    assert!(!conditions(vec!["eu-central-1", "us-east-1"]).contains(partition));
    assert!(!conditions(vec!["cn-north-1", "cn-northwest-1"]).contains(partition));
}

#[test]
fn categories_follow_what_the_table_can_tell() {
    use EventCategory::{Data, Management, NetworkActivity};

    let conditions = |without: &[&str], with: &[&str], categories: &[EventCategory]| {
        let mut question = Question::of(Identity::Root);
        question.table = table(without);
        let with = with.iter().map(|path| (*path).to_owned());
        question.table.columns.extend(with);
        question.categories = categories.to_vec();
        question.statement().map(|_| {
            let conditions = question.conditions();
            conditions
                .lines()
                .nth(6)
                .unwrap_or("no condition")
                .to_owned()
        })
    };
    let (none, category, flag) = ([], ["eventcategory"], ["managementevent"]);
    let printed = [
        conditions(&none, &none, &[Management]),
        conditions(&none, &none, &[Data]),
        conditions(&none, &flag, &[Management]),
        conditions(&none, &flag, &[Data, NetworkActivity]),
        conditions(&category, &flag, &[Management]),
        conditions(&category, &none, &[Management]),
        conditions(&category, &none, &[Data]),
    ]
    .map(|line| line.unwrap_or_else(|error| error.to_string()));
    insta::assert_snapshot!(printed.join("\n"), @r#"
    ("eventcategory" = 'Management' OR "eventcategory" IS NULL)
    "eventcategory" = 'Data'
    ("eventcategory" = 'Management' OR ("eventcategory" IS NULL AND ("managementevent" = 'true' OR "managementevent" IS NULL)))
    ("eventcategory" IN ('Data', 'NetworkActivity') OR ("eventcategory" IS NULL AND "managementevent" = 'false'))
    ("managementevent" = 'true' OR "managementevent" IS NULL)
    no condition
    it has no column eventcategory, which tells management events from others
    "#);
}

#[test]
fn a_table_without_a_needed_column_is_refused_by_name() {
    let refused = |question: Question| question.statement().unwrap_err().to_string();
    let mut question = Question::of(by_name());
    question.table = table(&["useridentity.username"]);
    assert_eq!(refused(question), "it has no column useridentity.username");

    let mut question = Question::of(by_name());
    question.table = table(&["eventtime"]);
    assert_eq!(
        refused(question),
        "it has no column eventtime of type string"
    );

    let mut question = Question::of(by_name());
    question.table = table(&["timestamp"]);
    assert!(refused(question).contains("partition column timestamp"));

    let mut question = Question::of(by_name());
    question.archive = archive("region_date", "");
    question.table = table(&["recipientaccountid"]);
    assert!(refused(question).contains("nothing tells whose events"));
}

#[test]
fn more_accounts_than_a_statement_holds_are_said_to_be_too_many() {
    let mut question = Question::of(by_name());
    question.accounts = (0..10_000)
        .map(|number| &*Box::leak(format!("{number:012}").into_boxed_str()))
        .collect();
    assert!(matches!(question.statement(), Err(Unwritable::TooLong(_))));
}

#[test]
fn what_the_table_cannot_show_is_named() {
    let statement = Question::of(by_name()).statement().unwrap();
    insta::assert_snapshot!(statement.unseen_fields.join("\n"), @"
    eventContext
    managementEvent
    tlsDetails.keyExchange
    userIdentity.credentialId
    userIdentity.identityProvider
    userIdentity.inScopeOf
    userIdentity.invokedByDelegate
    userIdentity.sessionContext.assumedRoot
    userIdentity.sessionContext.signInSessionArn
    userIdentity.sessionContext.sourceIdentity
    ");
    let shown = |kind: OutputKind| statement.outputs.iter().any(|output| output.kind == kind);
    assert!(shown(OutputKind::PartitionAccount));
    assert!(shown(OutputKind::LogFile));
}

#[test]
fn an_older_tables_map_is_read_as_a_whole() {
    let map = "useridentity.sessioncontext.webidfederationdata";
    let mut question = Question::of(by_name());
    question.table = table(&["useridentity.sessioncontext.webidfederationdata.federatedprovider"]);
    question
        .table
        .composites
        .remove(&format!("{map}.attributes"));
    let statement = question.statement().unwrap();
    let object = OutputKind::Object("userIdentity.sessionContext.webIdFederationData");
    assert!(statement.outputs.iter().any(|output| output.kind == object));
    assert!(
        !statement
            .unseen_fields
            .iter()
            .any(|name| name.contains("webId"))
    );
    assert!(statement.sql.contains(
        r#"json_format(CAST("useridentity"."sessioncontext"."webidfederationdata" AS JSON))"#
    ));
}
