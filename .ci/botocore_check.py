"""Calls the sandbox's STS, CloudTrail, Athena, CloudWatch Logs, Organizations and Account API with botocore, whose
signer and parsers are not those of the SDK that the service uses, and compares what comes back with the log files themselves.

usage: botocore_check.py SANDBOX_OUTPUT CORPUS_SET DATABASE TABLE

SANDBOX_OUTPUT is a file that holds what `identity-trail sandbox` printed (its `export` lines are read), CORPUS_SET the
folder that it was started with, and TABLE the one of its Athena tables in DATABASE that is asked.
"""

import sys
import time
from collections import Counter
from datetime import datetime, timezone

import botocore.session
from botocore.config import Config
from botocore.exceptions import ClientError

import checks

ACCOUNT = "123837392027"
REGION = "us-east-1"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/identity-trail-reader"
ATHENA_DEADLINE_SECONDS = 60
LOG_GROUP = "cloudtrail/organization"

EXPORTS = checks.exports(sys.argv[1])
RECORDS = checks.records(sys.argv[2])
DATABASE, TABLE = sys.argv[3:5]


def client(service, region=REGION, key=None, secret=None, token=None):
    session = botocore.session.Session()
    return session.create_client(
        service,
        region_name=region,
        endpoint_url=EXPORTS["AWS_ENDPOINT_URL"],
        aws_access_key_id=key or EXPORTS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=secret or EXPORTS["AWS_SECRET_ACCESS_KEY"],
        aws_session_token=token,
        config=Config(retries={"total_max_attempts": 1}, proxies={}),
    )


def assumed(service, region=REGION):
    credentials = client("sts").assume_role(RoleArn=ROLE, RoleSessionName="ci", DurationSeconds=900)["Credentials"]
    return client(
        service, region, credentials["AccessKeyId"], credentials["SecretAccessKey"], credentials["SessionToken"]
    )


def refused(call, **arguments):
    """The code and HTTP status with which a call is refused."""
    try:
        answer = call(**arguments)
    except ClientError as error:
        return error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]
    raise AssertionError(f"not refused: {answer}")


def lookup(cloudtrail, **arguments):
    """All events of a lookup, page by page, and the sizes of the pages."""
    events, pages = [], []
    while True:
        page = cloudtrail.lookup_events(**arguments)
        events += page["Events"]
        pages.append(len(page["Events"]))
        if "NextToken" not in page:
            return events, pages
        arguments["NextToken"] = page["NextToken"]


def by(key, value):
    return [{"AttributeKey": key, "AttributeValue": value}]


def user_name(record):
    """What event history calls the record's Username, for the identity types that are certain."""
    identity = record["userIdentity"]
    if identity.get("type") == "IAMUser":
        return identity.get("userName")
    if identity.get("type") == "AssumedRole":
        return identity["principalId"].partition(":")[2]
    return None


@checks.check
def sts_names_the_caller():
    answer = client("sts").get_caller_identity()
    assert len(answer["Account"]) == 12 and answer["Account"].isdigit(), answer
    assert answer["Arn"].startswith(f"arn:aws:iam::{answer['Account']}:"), answer
    assert answer["UserId"], answer


@checks.check
def sts_assumes_a_role():
    answer = client("sts").assume_role(RoleArn=ROLE, RoleSessionName="ci", DurationSeconds=900)
    credentials = answer["Credentials"]
    assert credentials["AccessKeyId"].startswith("ASIA"), answer
    left = (credentials["Expiration"] - datetime.now(timezone.utc)).total_seconds()
    assert 800 < left <= 901, left
    assert answer["AssumedRoleUser"]["Arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/identity-trail-reader/ci", answer
    caller = assumed("sts").get_caller_identity()
    assert caller["Account"] == ACCOUNT, caller
    assert caller["Arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/identity-trail-reader/ci", caller


@checks.check
def sts_refuses_a_role_that_does_not_exist():
    arn = ROLE + "-of-nobody"
    assert refused(client("sts").assume_role, RoleArn=arn, RoleSessionName="ci") == ("AccessDenied", 403)


@checks.check
def sts_names_the_owner_of_a_key():
    key = assumed("sts")._request_signer._credentials.access_key
    assert client("sts").get_access_key_info(AccessKeyId=key)["Account"] == ACCOUNT


@checks.check
def a_wrong_secret_is_refused():
    sts = client("sts", secret="wrong" * 8)
    assert refused(sts.get_caller_identity) == ("SignatureDoesNotMatch", 403)
    cloudtrail = client("cloudtrail", secret="wrong" * 8)
    code, _ = refused(cloudtrail.lookup_events)
    assert code in ("InvalidSignatureException", "SignatureDoesNotMatch"), code


@checks.check
def an_unknown_key_is_refused():
    assert refused(client("sts", key="AKIAIOSFODNN7EXAMPLE").get_caller_identity) == ("InvalidClientTokenId", 403)
    code, _ = refused(client("cloudtrail", key="AKIAIOSFODNN7EXAMPLE").lookup_events)
    assert code == "UnrecognizedClientException", code


@checks.check
def a_wrong_session_token_is_refused():
    credentials = client("sts").assume_role(RoleArn=ROLE, RoleSessionName="ci")["Credentials"]
    sts = client("sts", REGION, credentials["AccessKeyId"], credentials["SecretAccessKey"], "not the token")
    assert refused(sts.get_caller_identity) == ("InvalidClientTokenId", 403)


@checks.check
def event_history_finds_a_user():
    expected = Counter(record["eventID"] for record in RECORDS if user_name(record) == "benjamin")
    assert expected.total() == 105, expected.total()
    events, pages = lookup(assumed("cloudtrail"), LookupAttributes=by("Username", "benjamin"))
    assert pages == [50, 50, 5], pages
    assert Counter(event["EventId"] for event in events) == expected
    times = [event["EventTime"] for event in events]
    assert times == sorted(times, reverse=True), "not newest first"
    records = {record["eventID"]: record for record in RECORDS}
    for event in events:
        record = records[event["EventId"]]
        assert event["Username"] == "benjamin", event
        assert event["EventName"] == record["eventName"], event
        assert event["EventSource"] == record["eventSource"], event
        assert event["ReadOnly"] == str(record["readOnly"]).lower(), event
        assert event["AccessKeyId"] == record["userIdentity"]["accessKeyId"], event
        assert checks.time(record["eventTime"]) == event["EventTime"], event
        assert checks.json_of(event["CloudTrailEvent"]) == record, event


@checks.check
def event_history_finds_keys_apis_and_services():
    cloudtrail = assumed("cloudtrail")
    wanted = {
        "AccessKeyId": ("AKIATFQR7NSCUXC3DDDP", lambda record: record["userIdentity"].get("accessKeyId")),
        "EventName": ("AssumeRole", lambda record: record["eventName"]),
        "EventSource": ("iam.amazonaws.com", lambda record: record["eventSource"]),
        "ReadOnly": ("false", lambda record: str(record["readOnly"]).lower()),
        "EventId": (RECORDS[0]["eventID"], lambda record: record["eventID"]),
    }
    for key, (value, of) in wanted.items():
        expected = Counter(record["eventID"] for record in RECORDS if of(record) == value)
        assert expected, key
        events, _ = lookup(cloudtrail, LookupAttributes=by(key, value))
        assert Counter(event["EventId"] for event in events) == expected, key


@checks.check
def event_history_keeps_both_ends_of_the_interval():
    at = sorted({record["eventTime"] for record in RECORDS})
    start, end = at[len(at) // 4], at[len(at) // 2]
    expected = Counter(record["eventID"] for record in RECORDS if start <= record["eventTime"] <= end)
    events, _ = lookup(assumed("cloudtrail"), StartTime=checks.time(start), EndTime=checks.time(end))
    assert Counter(event["EventId"] for event in events) == expected


@checks.check
def event_history_is_empty_in_another_region():
    events, pages = lookup(assumed("cloudtrail", "eu-central-1"))
    assert events == [] and pages == [0], pages


@checks.check
def event_history_refuses_bad_requests():
    cloudtrail = assumed("cloudtrail")
    now = datetime.now(timezone.utc)
    first = cloudtrail.lookup_events(MaxResults=1)
    cases = [
        ("InvalidMaxResultsException", {"MaxResults": 51}),
        ("InvalidNextTokenException", {"NextToken": "made up"}),
        ("InvalidNextTokenException", {"NextToken": first["NextToken"], "LookupAttributes": by("Username", "x")}),
        ("InvalidTimeRangeException", {"StartTime": now, "EndTime": datetime(2020, 1, 1, tzinfo=timezone.utc)}),
        ("InvalidLookupAttributesException", {"LookupAttributes": by("Username", "")}),
    ]
    for code, arguments in cases:
        try:
            got, status = refused(cloudtrail.lookup_events, **arguments)
        except botocore.exceptions.ParamValidationError:
            continue  # botocore knows better than to send it
        assert (got, status) == (code, 400), (arguments, got, status)


def athena_run(athena, sql):
    """Starts a statement and waits for its end."""
    started = athena.start_query_execution(
        QueryString=sql,
        QueryExecutionContext={"Database": DATABASE},
        WorkGroup="primary",
        ResultConfiguration={"OutputLocation": "s3://athena-results/ci/"},
    )
    return athena_end(athena, started["QueryExecutionId"])


def athena_end(athena, query_id):
    """Waits for the end of a statement."""
    deadline = time.monotonic() + ATHENA_DEADLINE_SECONDS
    while True:
        execution = athena.get_query_execution(QueryExecutionId=query_id)["QueryExecution"]
        if execution["Status"]["State"] not in ("QUEUED", "RUNNING"):
            return execution
        assert time.monotonic() < deadline, execution
        time.sleep(0.1)


def athena_rows(athena, query_id, page_size):
    """All rows of a result without its header, and the header."""
    rows, token = [], {}
    while True:
        page = athena.get_query_results(QueryExecutionId=query_id, MaxResults=page_size, **token)
        rows += [[cell.get("VarCharValue") for cell in row["Data"]] for row in page["ResultSet"]["Rows"]]
        if "NextToken" not in page:
            return rows[0], rows[1:]
        token = {"NextToken": page["NextToken"]}


@checks.check
def athena_describes_its_table():
    table = client("athena").get_table_metadata(
        CatalogName="AwsDataCatalog", DatabaseName=DATABASE, TableName=TABLE
    )["TableMetadata"]
    columns = {column["Name"]: column["Type"] for column in table["Columns"]}
    assert columns["eventtime"] == "string" and columns["readonly"] == "string", columns
    assert columns["useridentity"].startswith("struct<type:string,"), columns
    assert table["PartitionKeys"], table


@checks.check
def athena_answers_in_pages():
    athena = client("athena")
    sql = (
        "SELECT eventid AS event_id, useridentity.accesskeyid AS access_key_id, errorcode AS error_code "
        f"FROM \"{TABLE}\" "
        "WHERE useridentity.type = 'IAMUser' AND useridentity.username = 'benjamin' "
        "ORDER BY eventtime DESC NULLS LAST, eventid"
    )
    execution = athena_run(athena, sql)
    assert execution["Status"]["State"] == "SUCCEEDED", execution
    assert execution["Statistics"]["DataScannedInBytes"] > 0, execution
    header, rows = athena_rows(athena, execution["QueryExecutionId"], 40)
    assert header == ["event_id", "access_key_id", "error_code"], header
    expected = [record for record in RECORDS if user_name(record) == "benjamin"]
    expected.sort(key=lambda record: record["eventID"])
    expected.sort(key=lambda record: record["eventTime"], reverse=True)
    assert rows == [
        [record["eventID"], record["userIdentity"].get("accessKeyId"), record.get("errorCode")] for record in expected
    ]


@checks.check
def athena_says_why_a_statement_fails():
    execution = athena_run(client("athena"), "SELECT no_such_column FROM \"" + TABLE + '"')
    assert execution["Status"]["State"] == "FAILED", execution
    assert "no_such_column" in execution["Status"]["StateChangeReason"], execution
    assert execution["Status"]["AthenaError"]["Retryable"] is False, execution


@checks.check
def athena_starts_once_for_a_token_and_stops():
    athena = client("athena")
    arguments = {
        "QueryString": f"SELECT count(*) AS n FROM \"{TABLE}\"",
        "QueryExecutionContext": {"Database": DATABASE},
        "ResultConfiguration": {"OutputLocation": "s3://athena-results/ci/"},
        "ClientRequestToken": "0123456789abcdef0123456789abcdef",
    }
    first = athena.start_query_execution(**arguments)["QueryExecutionId"]
    again = athena.start_query_execution(**arguments)["QueryExecutionId"]
    assert first == again, (first, again)
    athena.stop_query_execution(QueryExecutionId=first)
    state = athena_end(athena, first)["Status"]["State"]
    # A statement this small may have ended before the stop arrived.
    assert state in ("CANCELLED", "SUCCEEDED"), state
    code, status = refused(athena.get_query_execution, QueryExecutionId="00000000-0000-0000-0000-000000000000")
    assert (code, status) == ("InvalidRequestException", 400), (code, status)


def epoch(time):
    """A time in whole seconds."""
    return int(datetime.fromisoformat(time).timestamp())


def insights_end(logs, query_id):
    """Waits for the end of an Insights query."""
    deadline = time.monotonic() + ATHENA_DEADLINE_SECONDS
    while True:
        results = logs.get_query_results(queryId=query_id)
        if results["status"] not in ("Scheduled", "Running"):
            return results
        assert time.monotonic() < deadline, results
        time.sleep(0.1)


@checks.check
def logs_describe_their_group():
    (group,) = client("logs").describe_log_groups()["logGroups"]
    assert group["logGroupName"] == LOG_GROUP and group["retentionInDays"] == 365, group
    assert group["arn"] == group["logGroupArn"] + ":*", group
    assert client("logs", "eu-central-1").describe_log_groups()["logGroups"] == []


@checks.check
def logs_filter_events_in_pages():
    expected = Counter(record["eventID"] for record in RECORDS if user_name(record) == "benjamin")
    pages = client("logs").get_paginator("filter_log_events").paginate(
        logGroupName=LOG_GROUP,
        filterPattern='{ ($.userIdentity.type = "IAMUser") && ($.userIdentity.userName = "benjamin") }',
        PaginationConfig={"PageSize": 40},
    )
    pages = [page["events"] for page in pages]
    assert all(len(page) <= 40 for page in pages) and len(pages) >= 3, [len(page) for page in pages]
    events = [event for page in pages for event in page]
    found = [checks.json_of(event["message"]) for event in events]
    assert Counter(record["eventID"] for record in found) == expected
    times = [event["timestamp"] for event in events]
    assert times == sorted(times), "not oldest first"
    assert len({event["eventId"] for event in events}) == len(events)
    assert all(event["logStreamName"].startswith(f"{ACCOUNT}_CloudTrail_") for event in events), events[0]


@checks.check
def logs_refuse_bad_requests():
    logs = client("logs")
    first = logs.filter_log_events(logGroupName=LOG_GROUP, limit=1)
    for code, arguments in [
        ("ResourceNotFoundException", {"logGroupName": "nobody"}),
        ("InvalidParameterException", {"filterPattern": "ERROR"}),
        ("InvalidParameterException", {"nextToken": "made up"}),
        ("InvalidParameterException", {"nextToken": first["nextToken"], "filterPattern": "{ $.a = b }"}),
        ("InvalidParameterException", {"startFromHead": False, "startTime": 1}),
    ]:
        got = refused(logs.filter_log_events, **{"logGroupName": LOG_GROUP, **arguments})
        assert got == (code, 400), (arguments, got)


@checks.check
def insights_find_a_user():
    logs = client("logs")
    query = {
        "logGroupNames": [LOG_GROUP],
        "startTime": epoch("2023-07-01T00:00:00+00:00"),
        "endTime": epoch("2023-07-20T00:00:00+00:00"),
    }
    text = 'fields @message, @timestamp | filter userIdentity.userName = "benjamin" | sort @timestamp desc'
    results = insights_end(logs, logs.start_query(queryString=text, **query)["queryId"])
    assert results["status"] == "Complete", results["status"]
    rows = [{field["field"]: field["value"] for field in row} for row in results["results"]]
    found = Counter(checks.json_of(row["@message"])["eventID"] for row in rows)
    expected = [record for record in RECORDS if record["userIdentity"].get("userName") == "benjamin"]
    assert found == Counter(record["eventID"] for record in expected)
    times = [row["@timestamp"] for row in rows]
    assert times == sorted(times, reverse=True), "not newest first"
    assert results["statistics"]["recordsMatched"] == len(expected), results["statistics"]
    assert results["statistics"]["recordsScanned"] == len(RECORDS), results["statistics"]
    code, status = refused(logs.start_query, queryString="stats count(*)", **query)
    assert (code, status) == ("MalformedQueryException", 400), (code, status)
    code, status = refused(logs.stop_query, queryId="00000000-0000-0000-0000-000000000000")
    assert (code, status) == ("ResourceNotFoundException", 400), (code, status)


@checks.check
def organizations_lists_accounts_in_pages():
    organizations = client("organizations")
    accounts, pages, token = [], [], {}
    while True:
        page = organizations.list_accounts(MaxResults=1, **token)
        pages.append(len(page["Accounts"]))
        accounts += page["Accounts"]
        if "NextToken" not in page:
            break
        token = {"NextToken": page["NextToken"]}
    assert 0 in pages, pages
    assert {ACCOUNT} < {account["Id"] for account in accounts}, accounts
    assert all(account["Status"] == account["State"] == "ACTIVE" for account in accounts), accounts
    root = organizations.list_roots()["Roots"][0]["Id"]
    below = organizations.list_accounts_for_parent(ParentId=root)["Accounts"]
    assert {account["Id"] for account in below} <= {account["Id"] for account in accounts}
    assert organizations.list_organizational_units_for_parent(ParentId=root)["OrganizationalUnits"] == []
    assert organizations.list_tags_for_resource(ResourceId=ACCOUNT)["Tags"] == []
    owner = organizations.describe_organization()["Organization"]["MasterAccountId"]
    assert owner == client("sts").get_caller_identity()["Account"], owner


@checks.check
def organizations_refuses_members():
    code, _ = refused(assumed("organizations").list_accounts)
    assert code == "AccessDeniedException", code


@checks.check
def an_account_lists_its_regions():
    account = assumed("account")
    regions = account.list_regions(RegionOptStatusContains=["ENABLED", "ENABLED_BY_DEFAULT"])["Regions"]
    names = {region["RegionName"] for region in regions}
    assert "us-east-1" in names and len(names) >= 17, names
    statuses = {region["RegionOptStatus"] for region in account.list_regions()["Regions"]}
    assert "DISABLED" in statuses, statuses


if __name__ == "__main__":
    sys.exit(checks.run())
