import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry import policy
from registry.policy import Champion, Latency, Policies, Policy
from tailorbird.errors import InvalidInput


@pytest.fixture
def load(tmp_path):
    """Loads a policy file that holds a text."""

    def read(text) -> Policies:
        path = tmp_path / "gates.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return policy.load(path)

    return read


def test_without_a_file_every_gate_has_its_default():
    assert policy.load(None).of("fashion", "champion") == Policy()
    assert Policy().record() == {
        "integrity": "always",
        "parity": {"agreement": 0.999, "max_difference": 0.001},
        "accuracy": {"at_least": None},
        "champion": {"require": "not_worse", "margin": 0.01},
        "recall": {"margin": 0.05},
        "calibration": {"at_most": 0.1},
        "latency": {"p50_ms": 100, "p99_ms": None},
        "size": {"megabytes": 500},
        "classes": "same",
    }
    assert json.loads(json.dumps(Policy().record())) == Policy().record()


def test_the_nearest_section_wins_key_by_key(load):
    policies = load(
        """
        default: {champion: {margin: 0.02}, accuracy: {at_least: 0.5}}
        champion: {accuracy: {at_least: 0.9}, latency: {p99_ms: 20}}
        fashion@champion: {latency: {p99_ms: 5}, champion: {require: better}}
        """
    )
    fashion, letters = policies.of("fashion", "champion"), policies.of("letters", "champion")
    assert fashion.latency == Latency(p50_ms=100, p99_ms=5) and letters.latency == Latency(p50_ms=100, p99_ms=20)
    assert fashion.champion == Champion(require="better", margin=0.02)
    assert letters.champion == Champion(require="not_worse", margin=0.02)
    assert fashion.accuracy.at_least == letters.accuracy.at_least == 0.9
    assert policies.of("fashion", "challenger") == Policy.model_validate(
        {"champion": {"margin": 0.02}, "accuracy": {"at_least": 0.5}}
    )


def test_null_switches_a_gate_off_and_a_nearer_section_switches_it_on(load):
    policies = load("default: {champion: null, classes: null}\nfashion@champion: {champion: {margin: 0.1}}")
    assert policies.of("letters", "champion").champion is None
    assert policies.of("letters", "champion").classes is None
    assert policies.of("fashion", "champion").champion == Champion(margin=0.1)
    assert policies.of("fashion", "champion").recall == Policy().recall


@pytest.mark.parametrize("gate", [name for name in Policy.model_fields if name != "integrity"])
def test_every_gate_but_integrity_can_be_switched_off(load, gate):
    off = load(f"challenger: {{{gate}: null}}").of("fashion", "challenger")
    assert getattr(off, gate) is None
    assert [name for name, value in off.record().items() if value is None] == [gate]


def test_a_number_may_be_written_in_scientific_notation(load):
    assert load("champion: {parity: {max_difference: 1e-4}}").of("a", "champion").parity.max_difference == 1e-4


@pytest.mark.parametrize(
    ("text", "key", "problem"),
    [
        ("champion: {latency: {p9_ms: 5}}", "champion.latency.p9_ms", "is not a known key"),
        ("champion: {speed: {}}", "champion.speed", "is not a known key"),
        ("a@b: {recall: {margin: 2}}", "a@b.recall.margin", "must be less than or equal to 1"),
        ("a@b: {accuracy: {at_least: 90}}", "a@b.accuracy.at_least", "must be less than or equal to 1"),
        ("a@b: {size: {megabytes: 0}}", "a@b.size.megabytes", "must be greater than 0"),
        ("a@b: {accuracy: {at_least: .nan}}", "a@b.accuracy.at_least", "must be a finite number"),
        ("a@b: {accuracy: {at_least: yes}}", "a@b.accuracy.at_least", "must be a number, not True"),
        ("a@b: {champion: {require: best}}", "a@b.champion.require", "must be 'not_worse' or 'better', not 'best'"),
        ("a@b: {champion: better}", "a@b.champion", "must be keys with values"),
        ("champion: {integrity: null}", "champion.integrity", "must be 'always', not None"),
        ("champion: {classes: other}", "champion.classes", "must be 'same'"),
        ("champion:", "champion", "must be keys with values, not None"),
        ("champion: [1]", "champion", "must be keys with values"),
    ],
)
def test_what_is_not_accepted_is_refused_with_its_path(load, tmp_path, text, key, problem):
    with pytest.raises(InvalidInput) as refused:
        load(text)
    assert refused.value.field == f"{tmp_path / 'gates.yaml'}: {key}"
    assert problem in refused.value.problem


@pytest.mark.parametrize(
    "name", ["Champion", "a@b@c", "'@champion'", "fashion@", "fashion:3", "..", "1", "null", "'*'"]
)
def test_a_section_is_named_by_alias_or_model_and_alias(load, name):
    with pytest.raises(InvalidInput, match="is not a section; accepted: default, ALIAS and MODEL@ALIAS"):
        load(f"{name}: {{}}")


@pytest.mark.parametrize("text", ["", "poem", "champion: {}\nchampion: {}"])
def test_a_file_that_cannot_be_meant_is_refused_by_its_name(load, text):
    with pytest.raises(InvalidInput, match=r"gates\.yaml"):
        load(text)


GATES = st.fixed_dictionaries(
    {},
    optional={
        "champion": st.none() | st.fixed_dictionaries({}, optional={"margin": st.floats(0, 1)}),
        "recall": st.none() | st.fixed_dictionaries({}, optional={"margin": st.floats(0, 1)}),
        "latency": st.none()
        | st.fixed_dictionaries({}, optional={"p50_ms": st.none() | st.floats(1, 9), "p99_ms": st.floats(1, 9)}),
    },
)


@given(st.dictionaries(st.sampled_from(["default", "champion", "fashion@champion"]), GATES))
def test_sections_that_are_accepted_one_by_one_are_accepted_together(sections):
    result = Policies(sections).of("fashion", "champion").record()
    for gate, nearest in sections.get("fashion@champion", {}).items():
        if nearest is None:
            assert result[gate] is None
        else:
            assert nearest.items() <= result[gate].items()
    assert Policies(sections).of("other", "other") == Policies({"default": sections.get("default", {})}).of("a", "b")
