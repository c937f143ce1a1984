"""The benchmarks run and report; how fast anything is, no test says."""

import hashlib

import orjson

from tests.benchmarks.bench_mapping import BUDGETS, jobs, report
from tests.benchmarks.page import page
from tests.benchmarks.timing import measure, table


def test_every_run_measures_the_same_page() -> None:
    first, second = page(100), page(100)

    assert hashlib.sha256(first).digest() == hashlib.sha256(second).digest()
    assert len({record["id"] for record in orjson.loads(first)}) == 100


def test_a_run_reports_the_floor_first_and_every_budget() -> None:
    results = measure(jobs(list(BUDGETS), records=20), rounds=1)

    made = report(results, records=20)
    assert results[0].ratio == 1
    assert {result.name: result.budget for result in results if result.budget} == BUDGETS
    assert [row["name"] for row in made["results"]][-2:] == list(BUDGETS)
    assert all(result.name in table(results) for result in results)
