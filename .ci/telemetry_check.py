"""Holds the dashboard and the alerts of the chart against what a running service says to Prometheus: every metric and
label that they name is in a scrape after a search.

usage: telemetry_check.py HELM FILE

FILE has the output of `identity-trail demo --admin-listen …`, which has asked something.
"""

import json
import re
import subprocess
import sys
import urllib.request
from pathlib import Path

import yaml

import checks

HELM, OUTPUT = sys.argv[1], sys.argv[2]
CHART = Path("helm/identity-trail")
DASHBOARD = CHART / "dashboards/identity-trail.json"
# What Prometheus and its operator add to every sample.
ADDED = {"namespace", "pod", "job", "instance", "service", "container", "endpoint", "le"}
NAME = re.compile(r"\b(?:identity_trail|process)_[a-z0-9_]+")
SELECTOR = re.compile(r"\b((?:identity_trail|process)_[a-z0-9_]+)\{([^}]*)\}")


def admin(path):
    url = re.search(r"^\s*(http://\S+)/metrics$", Path(OUTPUT).read_text(), re.MULTILINE)
    assert url, "the demo printed no address of its metrics"
    with urllib.request.urlopen(url[1] + path, timeout=10) as answer:
        return answer.headers, answer.read().decode()


def samples():
    """The label sets of each series name in the scrape, with their values."""
    _, text = admin("/metrics")
    found = {}
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        name, labels, value = re.fullmatch(r"([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)", line).groups()
        labels = dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', labels or ""))
        found.setdefault(name, []).append((labels, float(value)))
    return found


def dashboard_queries():
    dashboard = json.loads(DASHBOARD.read_text())
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    queries += [it["query"]["query"] for it in dashboard["templating"]["list"] if isinstance(it["query"], dict)]
    return queries


def alert_queries():
    values = CHART / "ci/organization.yaml"
    done = subprocess.run(
        [HELM, "template", "trail", str(CHART), "--kube-version", "1.36.0", "--values", str(values)],
        capture_output=True, text=True, timeout=60, check=True,
    )
    (rules,) = [it for it in yaml.safe_load_all(done.stdout) if it and it["kind"] == "PrometheusRule"]
    return [rule["expr"] for group in rules["spec"]["groups"] for rule in group["rules"]]


@checks.check
def every_metric_that_is_named_is_in_a_scrape():
    seen = samples()
    for query in dashboard_queries() + alert_queries():
        names = set(NAME.findall(query))
        assert names, query
        assert names <= seen.keys(), f"{names - seen.keys()} in {query}"


@checks.check
def every_label_and_value_that_is_selected_exists():
    seen = samples()
    for query in dashboard_queries() + alert_queries():
        for name, selector in SELECTOR.findall(query):
            for label, operator, value in re.findall(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"', selector):
                if label in ADDED:
                    continue
                values = {labels.get(label) for labels, _ in seen[name]} - {None}
                assert values, f"no label {label} in {query}"
                # Codes and outcomes of calls have series once they occur; the others from the start.
                if operator == "=" and label in ("outcome", "result", "fate") and "aws_calls" not in name:
                    assert value in values, f"{label}={value} in {query}, but there are {values}"


@checks.check
def every_label_that_is_grouped_by_exists():
    seen = samples()
    for query in dashboard_queries() + alert_queries():
        labels = {label for group in re.findall(r"by \(([^)]*)\)", query) for label in re.split(r",\s*", group)}
        known = {label for name in NAME.findall(query) for labels, _ in seen[name] for label in labels}
        assert labels <= known | ADDED, f"{labels - known - ADDED} in {query}"


@checks.check
def a_search_has_left_its_numbers():
    seen = samples()

    def total(name, **labels):
        return sum(value for has, value in seen[name] if labels.items() <= has.items())

    assert total("identity_trail_searches_total") >= 1
    assert total("identity_trail_events_sent_total") >= 1
    assert total("identity_trail_scans_total", backend="event_history", outcome="complete") >= 1
    assert total("identity_trail_aws_calls_total", operation="LookupEvents", outcome="ok") >= 1
    assert total("identity_trail_session_refreshes_total", result="denied") >= 1, "the demo has an account that refuses"
    assert total("identity_trail_query_scanned_bytes_total", backend="athena") >= 1


@checks.check
def names_and_types_are_as_openmetrics_asks():
    headers, text = admin("/metrics")
    assert headers["content-type"].startswith("application/openmetrics-text"), headers
    lines = text.splitlines()
    assert lines[-1] == "# EOF"
    helps = {line.split(" ", 3)[2] for line in lines if line.startswith("# HELP ")}
    types = dict(line.split(" ")[2:4] for line in lines if line.startswith("# TYPE "))
    assert helps == types.keys() and len(helps) > 10
    for name, kind in types.items():
        assert not name.endswith(("_total", "_count", "_sum", "_bucket")), name
        if kind == "counter":
            assert f"{name}_total" in samples() or not any(it.startswith(name) for it in samples()), name


@checks.check
def nothing_names_a_caller_or_an_account():
    for name, series in samples().items():
        for labels, _ in series:
            assert not re.search(r"\b\d{12}\b|arn:|AKIA|ASIA|@", str(labels)), f"{name}{labels}"


@checks.check
def the_service_is_alive_and_ready():
    for path in ("/healthz", "/readyz"):
        admin(path)


if __name__ == "__main__":
    sys.exit(checks.run())
