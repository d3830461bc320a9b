"""Holds the CloudFormation templates in deploy/ against cfn-lint, against the AWS calls that the program makes, and
against the values that go with them.

usage: deploy_check.py, with a Python that can import botocore, cfnlint and yaml
"""

import fnmatch
import json
import re
import subprocess
import sys
from pathlib import Path

import botocore.session
import yaml

import checks

ROLES = ("reader-role", "archive-role", "log-group-role", "hub-role")
TEMPLATES = {name: Path(f"deploy/{name}.yaml") for name in ROLES}

# Which service's calls a part of the program makes. Nothing else there names AWS's SDK.
SERVICES = {
    "src/backend/event_history": ["cloudtrail"],
    "src/backend/trails.rs": ["cloudtrail"],
    "src/backend/athena": ["athena"],
    "src/backend/logs": ["logs"],
    "src/federation": ["sts", "organizations", "account"],
}
# It needs no permission.
FREE = {"sts:GetCallerIdentity"}
# What no call of the program names: what Athena does on its caller's behalf, and what AssumeRole asks for where sessions
# carry tags or a source identity.
BEHIND_ATHENA = {
    "athena:GetDataCatalog",
    "glue:GetDatabase", "glue:GetTable", "glue:GetPartition", "glue:GetPartitions", "glue:BatchGetPartition",
    "s3:GetBucketLocation", "s3:ListBucket", "s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload",
    "kms:Decrypt",
}  # fmt: skip
WITH_ASSUME_ROLE = {"sts:TagSession", "sts:SetSourceIdentity"}


class Loader(yaml.SafeLoader):
    """Reads CloudFormation's short functions as {tag: argument}."""


def _function(loader, tag, node):
    construct = {yaml.ScalarNode: loader.construct_scalar, yaml.SequenceNode: loader.construct_sequence}
    return {tag: construct[type(node)](node, *([True] if isinstance(node, yaml.SequenceNode) else []))}


Loader.add_multi_constructor("!", _function)


def template(name):
    return yaml.load(TEMPLATES[name].read_text(), Loader)


def default(name, parameter):
    return template(name)["Parameters"][parameter]["Default"]


def statements(node):
    """Every policy statement below a node, trust policies written as text included."""
    if isinstance(node, dict):
        if "Effect" in node:
            yield node
        for key, value in node.items():
            if key == "Sub" and isinstance(value, str) and value.lstrip().startswith("{"):
                value = json.loads(value)
            yield from statements(value)
    elif isinstance(node, list):
        for value in node:
            yield from statements(value)


def actions(*names):
    found = set()
    for name in names:
        for statement in statements(template(name)["Resources"]):
            assert statement["Effect"] == "Allow", statement
            stated = statement["Action"]
            found.update([stated] if isinstance(stated, str) else stated)
    return found


def snake(operation):
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", operation).lower()


def calls():
    """The IAM actions of the AWS calls in the program's source."""
    session = botocore.session.get_session()
    services = {service for several in SERVICES.values() for service in several}
    operations = {it: {snake(op): op for op in session.get_service_model(it).operation_names} for it in services}
    found = set()
    for file in sorted(Path("src").rglob("*.rs")):
        path, text = file.as_posix(), file.read_text()
        if path.startswith("src/sandbox/") or path.endswith("tests.rs"):
            continue
        here = [service for place, several in SERVICES.items() if path.startswith(place) for service in several]
        assert here or "aws_sdk_" not in text, f"{path} names AWS's SDK: add it to SERVICES"
        # client.lookup_events(), operation::start_query::builders::…
        for name in re.findall(r"\.(\w+)\(\)|operation::(\w+)::", text):
            for service in here:
                operation = operations[service].get(name[0] or name[1])
                if operation:
                    found.add(f"{service}:{operation}")
    return found


@checks.check
def cfn_lint_has_nothing_to_say():
    files = [str(path) for path in TEMPLATES.values()]
    done = subprocess.run(
        [sys.executable, "-c", "import cfnlint.runner as r; r.main()", "--regions", "eu-central-1", "us-east-1", "us-gov-west-1", "--include-checks", "I", "--", *files],
        capture_output=True, text=True, timeout=300, check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@checks.check
def the_roles_may_do_what_the_program_does_and_no_more():
    made = calls()
    assert {"cloudtrail:LookupEvents", "athena:StartQueryExecution", "sts:AssumeRole"} <= made, made
    granted = actions(*TEMPLATES)
    # The service account's own way in, besides AssumeRole.
    granted.remove("sts:AssumeRoleWithWebIdentity")
    assert granted == (made - FREE) | BEHIND_ATHENA | WITH_ASSUME_ROLE, granted ^ (
        (made - FREE) | BEHIND_ATHENA | WITH_ASSUME_ROLE
    )
    # A reader reads event history, and knows nothing of archives.
    services = {it.split(":")[0] for it in actions("reader-role")}
    assert services == {"cloudtrail", "account", "sts"}, services


@checks.check
def every_role_is_opened_by_the_external_id_only():
    for name in ("reader-role", "archive-role", "log-group-role"):
        opening = [
            it for it in statements(template(name)["Resources"]) if it["Action"] == "sts:AssumeRole" and "Principal" in it
        ]
        assert len(opening) == 1, opening
        assert opening[0]["Principal"] == {"AWS": {"Ref": "HubRoleArn"}}, opening
        assert opening[0]["Condition"] == {"StringEquals": {"sts:ExternalId": {"Ref": "ExternalId"}}}, opening


@checks.check
def advice_and_readme_name_granted_actions():
    granted = actions(*TEMPLATES) | FREE
    services = {it.split(":")[0] for it in granted}
    named = re.compile(r'[`"]((?:%s):[A-Z][A-Za-z]+)[`"]' % "|".join(sorted(services)))
    sources = [path for path in Path("src/check").glob("*.rs") if path.name != "policy.rs"]
    for path in [Path("README.md"), *sources]:
        for action in named.findall(path.read_text()):
            if action not in ("sts:ExternalId",):
                assert action in granted, f"{path} names {action}, which no template grants"


@checks.check
def the_values_fit_the_roles():
    values = yaml.safe_load(Path("deploy/values.yaml").read_text())
    assert values["awsCredentials"]["roleArn"].endswith(f":role/{default('hub-role', 'RoleName')}")
    accounts = values["config"]["accounts"]
    assert accounts["defaults"]["role_name"] == default("reader-role", "RoleName")
    assert ("organization" in accounts) == (default("hub-role", "ListOrganization") == "true")
    (archive,) = values["config"]["archives"]
    (log_group,) = values["config"]["log_groups"]
    assert log_group["role_name"] == default("log-group-role", "RoleName")
    for key, parameter in (("role_name", "RoleName"), ("workgroup", "WorkGroup"), ("database", "Database"), ("table", "Table")):
        assert archive[key] == default("archive-role", parameter), key
    for role in ("reader-role", "archive-role", "log-group-role"):
        assert fnmatch.fnmatchcase(default(role, "RoleName"), default("hub-role", "RoleNames")), role


if __name__ == "__main__":
    sys.exit(checks.run())
