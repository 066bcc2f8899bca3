import json

import pytest

from registry import holds, schema
from registry.core import Registry


def test_a_promotion_is_told_and_so_is_what_stops_one(tailorbird, pets):
    result = tailorbird("registry", "promote", "pets:1", "--why", "first", "--who", "ada", "--expect", "0")
    assert (result.returncode, result.stdout) == (0, "pets@champion now points to version 1, was unset\n")
    refused = tailorbird("registry", "promote", "pets:2", "--why", "newer")
    assert refused.returncode == 1
    assert refused.stderr.startswith("error: pets:2 as champion was refused: it may be ")
    assert "right on 50.00% of 60 images, pets:1 on 83.33%" in refused.stderr
    conflict = tailorbird("registry", "promote", "pets:2", "--why", "newer", "--expect", "2")
    assert conflict.returncode == 1
    assert "pets@champion is version 1, not version 2 as expected" in conflict.stderr
    forced = tailorbird("registry", "promote", "pets:2", "--why", "a try", "--force", "--expect", "1")
    assert forced.stdout.startswith("pets@champion now points to version 2, was 1 (forced: it may be ")


def test_a_promotion_as_json_is_its_line_of_history(tailorbird, pets):
    record = json.loads(tailorbird("registry", "promote", "pets:1", "--why", "first", "--who", "ada", "--json").stdout)
    assert (record["to_number"], record["from_number"], record["why"], record["who"]) == (1, None, "first", "ada")
    assert [{"event": "moved", **record}] == json.loads(tailorbird("registry", "history", "pets", "--json").stdout)


def test_other_aliases_move_too(tailorbird, pets):
    result = tailorbird("registry", "promote", "pets:2", "--alias", "challenger", "--why", "to compare")
    assert result.stdout == "pets@challenger now points to version 2, was unset\n"
    assert tailorbird("registry", "show", "pets@challenger").returncode == 0
    assert tailorbird("registry", "show", "pets").returncode == 2


def test_a_rollback_goes_one_back_or_where_it_is_told(tailorbird, pets):
    for number in (1, 2, 1):
        tailorbird("registry", "promote", f"pets:{number}", "--why", "again", "--force")
    back = tailorbird("registry", "rollback", "pets", "--why", "it errs")
    assert (back.returncode, back.stdout) == (0, "pets@champion now points to version 2, was 1\n")
    none = tailorbird("registry", "rollback", "pets", "--why", "it errs")
    assert (none.returncode, none.stderr) == (
        1, "error: rolling back pets@champion was refused: it has no previous version\n",
    )  # fmt: skip
    tailorbird("registry", "promote", "pets:1", "--why", "again")
    record = json.loads(tailorbird("registry", "rollback", "pets", "--to", "2", "--why", "it errs", "--json").stdout)
    assert (record["kind"], record["from_number"], record["to_number"]) == ("rollback", 1, 2)


def test_a_hold_is_set_and_released_and_stops_no_person(tailorbird, pets, home):
    result = tailorbird("registry", "hold", "pets", "--why", "audit", "--who", "grace")
    assert (result.returncode, result.stdout) == (0, "pets is on hold: its aliases are not moved automatically\n")
    with Registry(home) as registry:
        assert holds.current(registry, "pets").who == "grace"
    assert tailorbird("registry", "promote", "pets:1", "--why", "by hand").returncode == 0
    released = json.loads(tailorbird("registry", "hold", "pets", "--release", "--why", "done", "--json").stdout)
    assert (released["held"], released["why"]) == (False, "done")
    assert tailorbird("registry", "hold", "pets", "--release", "--why", "x").stdout == "pets is no longer on hold\n"


def test_a_policy_file_is_kept_to(tailorbird, pets, tmp_path):
    gates = tmp_path / "gates.yaml"
    gates.write_text("pets@champion: {accuracy: {at_least: 0.9}}")
    refused = tailorbird("registry", "promote", "pets:1", "--why", "first", TAILORBIRD_GATES=str(gates))
    assert refused.returncode == 1
    assert "held-out accuracy 83.33% is 6.67 points below the required 90%" in refused.stderr


def test_a_webhook_that_cannot_be_told_does_not_undo_the_move(tailorbird, pets, home, caplog):
    more = {"TAILORBIRD_WEBHOOKS": "http://127.0.0.1:9/secret", "TAILORBIRD_WEBHOOK_KEY": "0123456789abcdef"}
    result = tailorbird("registry", "promote", "pets:1", "--why", "first", **more)
    assert (result.returncode, result.stdout) == (0, "pets@champion now points to version 1, was unset\n")
    assert "retry with `tailorbird registry notify`" in caplog.messages[-1] and "secret" not in caplog.text
    with Registry(home) as registry, registry.reading() as connection:
        assert [row.attempts for row in connection.execute(schema.outbox.select())] == [1]


def test_a_promotion_to_where_the_alias_is_is_refused(tailorbird, pets):
    tailorbird("registry", "promote", "pets:1", "--why", "first")
    result = tailorbird("registry", "promote", "pets:1", "--why", "again")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == "error: pets:1 as champion was refused: pets:1 is pets@champion already\n"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["promote", "pets", "--why", "x"], "error: NAME:N: 'pets' has no version number; accepted: pets:1, pets:2, …"),
        (["promote", "pets:1", "--why", " "], "error: why: is empty"),
        (["promote", "pets:1", "--why", "x", "--alias", "A"], "error: alias: 'A' is not a name"),
        (["promote", "pets:1", "--why", "x", "--who", "a" * 129], "error: who: has 129 characters"),
        (["promote", "pets:1", "--why", "x"], "error: model: there is no model 'pets'; the registry is empty"),
        (["rollback", "pets", "--why", "x"], "error: model: there is no model 'pets'"),
        (["rollback", "pets:1", "--why", "x"], "error: model: 'pets:1' is not a name"),
        (["hold", "pets", "--why", "x"], "error: model: there is no model 'pets'"),
    ],
)
def test_wrong_input_is_one_sentence(tailorbird, words, sentence):
    result = tailorbird("registry", *words)
    assert result.returncode == 2
    assert result.stderr.startswith(sentence)
    assert result.stderr.count("\n") == 1
