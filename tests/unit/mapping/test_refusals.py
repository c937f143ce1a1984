"""Everything that a person can get wrong is refused with its place and what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from connector.errors import ConfigurationError
from tests.unit.mapping.packs import pack_of

FILES = [
    ("felds: {a: id}", "3:1: felds is not a section of a mapping file (did you mean fields?)"),
    ("fields: [a]", "3:9: fields must be a map"),
    ("fields: {a..b: id}", "3:10: 'a..b' is not a valid field name"),
    (
        "fields: {a: 5}",
        "3:13: expected a path, or a map with one source (for a fixed value write {const: 5})",
    ),
    ("fields: {a: {form: id}}", "3:14: form is not part of a rule (did you mean from?)"),
    ("fields: {a: {as: lower}}", "3:13: expected exactly one source, got none"),
    ("fields: {a: {from: id, const: 1}}", "got from and const"),
    ("fields: {a: {from: [id]}}", "3:20: from: expected text"),
    ("fields: {a: {first_of: []}}", "3:24: first_of must be a list with at least one element"),
    ("fields: {a: some text}", "3:13: 'some text' is not a path"),
    ("fields: {a: $Time}", "3:13: $Time is not a name"),
    ("fields: {a: .}", "3:13: the path . is the current element"),
    ("fields: {a: {from: id, as: lowr}}", "3:28: there is no function lowr (did you mean lower?)"),
    ("fields: {a: {from: id, as: join}}", "3:28: join requires an argument (write {join: ...})"),
    ("fields: {a: {from: id, as: {lower: 1}}}", "3:36: lower takes no argument (write lower alone)"),
    ("fields: {a: {from: id, as: {truncate: 0}}}", "3:39: truncate: expected a whole number of at least 1"),
    ("fields: {a: {from: id, as: {prefix: 1}}}", "3:37: prefix: expected text (put it in quotes)"),
    ("fields: {a: {from: id, as: {each: {}}}}", "3:35: each: expected at least one key with a rule"),
    ("fields: {a: {from: id, as: {each: {b: ., b.c: .}}}}", "b cannot be both a value and an object"),
    (
        "fields: {a: {from: id, as: [{lower: 1, upper: 2}]}}",
        "expected a function name, or one name with its argument",
    ),
    ("fields: {a: {template: '{id'}}", "a single { in a template (write {{ for the character)"),
    ("fields: {a: {template: 'x } y'}}", "a single } in a template (write }} for the character)"),
    ("fields: {a: {const: 1, when: yes}}", "3:30: expected a map"),
    ("fields: {a: {const: 1, when: {id: {gt: 1}}}}", "3:36: there is no comparison gt (did you mean gte?)"),
    ("fields: {a: {const: 1, when: {id: {exists: 1}}}}", "exists: expected true or false"),
    ("fields: {a: {const: 1, when: {id: {gte: true}}}}", "gte: expected a number, a date or text"),
    ("fields: {a: {const: 1, when: {id: {matches: 5}}}}", "matches: expected text"),
    ("fields: {a: {const: 1, when: {id: {matches: $code}}}}", "matches: expected a fixed pattern"),
    ("fields: {a: {const: 1, when: {id: []}}}", "a list of values must be a list with at least one element"),
    ("fields: {a: {const: 1, when: {id: [[1]]}}}", "expected a single value to compare with"),
    ("fields: {a: {const: 1, when: {id: {}}}}", "empty test"),
    ("fields: {a: id, a.b: id}", "3:10: a cannot be both a value and an object"),
    ("fields: {a: id}\nrest: {into: a.b}", "a is a field, so the rest cannot go into it"),
    (
        "fields: {a.bad.x: id}\nrest: {into: a, malformed: bad}",
        "a.bad.x is a field, so malformed values cannot go there (choose another name for malformed)",
    ),
    ("fields: {a: id}\nlabels: {a: X}", "4:13: the format json has no labels"),
    ("rest: {without: [id]}", "3:7: rest: expected into"),
    ("rest: {into: x, witout: [id]}", "3:17: witout is not part of rest (did you mean without?)"),
    ("derive: {account: id}", "3:19: $account is built in and cannot be derived"),
    ("derive: {Bad: id}", "3:10: 'Bad' cannot be the name of a derived value"),
    ("derive: {a: $b, b: {from: id, when: {$a: 1}}}", "$a depends on itself: $a -> $b -> $a"),
    ("tables: {t: 5}", "3:13: the table t must be a map"),
    ("tests: [{name: x, given: {}}]", "3:9: a test must have name, given and expect"),
    ("tests: [{name: x, given: {$time: 1}, expect: {}}]", "$time is not allowed in given"),
    ("tests: {}", "3:8: tests must be a list"),
    ("extends: [x]", "3:10: extends: expected a name"),
]


@pytest.mark.parametrize(("text", "message"), FILES)
def test_a_wrong_file_is_refused_with_its_place_and_what_to_do(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        pack_of(tmp_path, text)

    assert message in str(caught.value)
    assert "mine.yaml:" in str(caught.value)


def test_a_file_without_its_first_line_and_one_of_another_version_are_refused(tmp_path: Path) -> None:
    for text in ("format: json\n", "mapping: 2\n", "mapping: true\n"):
        (tmp_path / "x.yaml").write_text(text, "utf-8")
        with pytest.raises(ConfigurationError, match="the first line must be mapping: 1"):
            pack_of(tmp_path, "extends: x")


def test_a_label_of_a_field_that_is_not_mapped_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigurationError, match=r"a label for cs2, which is not mapped \(did you mean cs1\?\)"
    ):
        pack_of(tmp_path, "fields: {cs1: id}\nlabels: {cs2: X}", "cef")


def test_an_unknown_format_names_those_that_there_are(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"mine.yaml:2:9: there is no format ecz"):
        pack_of(tmp_path, "", "ecz")
