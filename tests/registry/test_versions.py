import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import sqlalchemy as sa

from registry import aliases, history, names, packages, schema, verification, versions
from registry.cards import contents
from registry.core import Registry
from registry.exchange import carrying
from registry.names import Reference
from registry.requests import Promotion
from registry.version import Version
from tailorbird import shares
from tailorbird.errors import Corrupt, InvalidInput, NotFound, Refused, Unavailable
from tailorbird.package.lineage import Lineage
from tailorbird.package.measurements import Export, Latency, Parity
from tests import stores
from tests.packages import ABOUT, records, saved

PARITY = Parity(agreement=1.0, max_difference=3e-7, samples=100)
EXPORT = Export(parity=PARITY)


def numbers(registry, model="fashion"):
    return [version.number for version in versions.every(registry, model)]


def rows(registry):
    with registry.reading() as connection:
        tables = (schema.models, schema.versions, schema.aliases, schema.moves)
        return [connection.execute(sa.select(table)).all() for table in tables]


def blob(registry, version, name):
    if name == packages.MANIFEST:
        return version.manifest
    return str(packages.manifest(registry.blobs, version.manifest).files[name].sha256)


# --- registering


def test_a_version_says_what_was_measured_and_where_it_came_from(registry, package_files):
    lineage = {"sweep": "fashion-1", "trial": 3}
    version = versions.register(registry, "fashion", package_files(0.875), EXPORT, Lineage(**lineage), who="ada")
    assert str(version) == "fashion:1" and (version.who, version.aliases) == ("ada", ())
    assert version.lineage.record() == lineage
    assert version.evidence.record() == {
        "accuracy": 0.875,
        "standard_error": shares.standard_error(0.875, 1000),
        "samples": 1000,
        "calibration_error": 0.02,
        "test": {"accuracy": 0.8, "samples": 50},
        "parity": PARITY.record(),
        "batches": None,
        "latency": None,
    }
    assert versions.resolve(registry, "fashion:1") == version
    assert json.loads(json.dumps(version.record(), allow_nan=False)) == version.record()
    assert verification.signature(registry, version).classes == ("cat", "dog")


def test_numbers_count_up_for_each_model(registry, register):
    for model, number in [("fashion", 1), ("fashion", 2), ("letters", 1), ("fashion", 3), ("letters", 2)]:
        assert register(registry, model).number == number
    assert numbers(registry) == [3, 2, 1]
    assert [str(version) for version in versions.every(registry)] == [
        "letters:2", "fashion:3", "letters:1", "fashion:2", "fashion:1",
    ]  # fmt: skip


def test_a_latency_that_was_taken_is_kept(registry, package_files):
    latency = Latency(p50_ms=0.5, p99_ms=0.75, runs=200, threads=1)
    export = Export(parity=PARITY, latency=latency)
    version = versions.register(registry, "fashion", package_files(), export, Lineage(), who="ada")
    assert versions.resolve(registry, "fashion:1").evidence.latency == latency == version.evidence.latency


def test_the_row_in_the_database_is_what_the_manifest_says(registry, register):
    version = register(registry)
    manifest = packages.manifest(registry.blobs, version.manifest)
    for key in ("model", "created", "evidence", "lineage"):
        assert getattr(manifest, key) == getattr(version, key)
    assert b"champion" not in manifest.encode()


def test_a_lineage_is_stored_as_json_gives_it_back(registry, package_files):
    lineage = {"shape": (28, 28), "note": "one", "loss": float("nan")}
    version = versions.register(registry, "fashion", package_files(), EXPORT, Lineage(**lineage), who="ada")
    assert version.lineage.record() == {"shape": [28, 28], "note": "one", "loss": None}
    assert versions.resolve(registry, "fashion:1") == version
    assert verification.verify(registry, version) == []


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_parity_that_is_no_number_is_registered_as_none(local, register, value):
    version = register(local, max_difference=value)
    assert version.evidence.parity.max_difference is None
    assert verification.verify(local, versions.resolve(local, "fashion:1")) == []


@pytest.mark.parametrize(
    "baseline",
    [b"", b"poem", b"\xff", b"[]", b"3", b"{}", b'{"accuracy": null}', b'{"accuracy": "0.9"}', b'{"accuracy": NaN}',
     b'{"accuracy": 90.1}', b'{"accuracy": -0.1}'],
)  # fmt: skip
def test_a_package_without_a_sound_baseline_is_refused(local, package_files, baseline):
    files = package_files(**{"baseline.json": baseline})
    with pytest.raises(InvalidInput, match=r"^package: baseline\.json: "):
        versions.register(local, "fashion", files, EXPORT, Lineage(), who="ada")
    assert rows(local) == [[], [], [], []]


@pytest.mark.parametrize(
    "estimator",
    [b"poem", b"{}", b'{"answers": {"a": {"a": {"0": 1%s}}}, "weights": null, "error": null}' % (b"0" * 400)],
)
def test_an_estimator_need_not_be_there_but_must_be_sound(local, package_files, estimator):
    files = package_files(**{"estimator.json": estimator})
    with pytest.raises(InvalidInput, match=r"^package: estimator\.json: "):
        versions.register(local, "fashion", files, EXPORT, Lineage(), who="ada")
    assert rows(local) == [[], [], [], []]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("heldout.npy", b"x"),
        ("heldout.npy", saved(records(classes=3))),
        ("curves.json", b"[]"),
        ("config.yaml", b"words"),
        ("environment.txt", b"\xff"),
        ("samples.npz", b"x"),
    ],
)
def test_a_file_that_is_not_what_its_name_says_is_refused(local, package_files, name, data):
    with pytest.raises(InvalidInput, match=f"^package: {name}: "):
        versions.register(local, "fashion", package_files(**{name: data}), EXPORT, Lineage(), who="ada")
    assert rows(local) == [[], [], [], []]


def test_a_package_that_misses_a_file_is_refused_and_uses_no_number(local, register, package_files):
    files = package_files()
    del files["heldout.npy"]
    with pytest.raises(InvalidInput, match=r"heldout\.npy"):
        versions.register(local, "fashion", files, EXPORT, Lineage(), who="ada")
    assert rows(local) == [[], [], [], []]
    assert register(local).number == 1


@pytest.mark.parametrize("model", ["", "..", "a/b", "Fashion", "fashion:1", "fashion@champion"])
def test_a_model_has_a_name(local, register, model):
    with pytest.raises(InvalidInput, match="is not a name"):
        register(local, model)


@pytest.mark.parametrize(
    ("who", "problem"),
    [("", "is empty"), (" ", "is empty"), ("a\0b", "holds a NUL character"), ("\ud800", "is not valid Unicode"),
     ("a" * 129, "has 129 characters; accepted: at most 128")],
)  # fmt: skip
def test_who_registers_has_a_name_that_records_keep(local, package_files, who, problem):
    with pytest.raises(InvalidInput, match=f"^who: {problem}"):
        versions.register(local, "fashion", package_files(), EXPORT, Lineage(), who=who)
    assert rows(local) == [[], [], [], []] and list(local.blobs.listing()) == []


def test_the_longest_and_strangest_texts_come_back(registry, package_files):
    who, lineage = "é" * (names.WHO - 1) + "𝄞", {"code": "x" * names.TEXT, "note": "\u202e'\"; DROP TABLE versions --"}
    version = versions.register(registry, "fashion", package_files(), EXPORT, Lineage(**lineage), who=who)
    assert versions.resolve(registry, "fashion:1") == version
    assert (version.who, version.lineage.record()) == (who, lineage)


def test_the_row_appears_after_every_blob(registry, register, monkeypatch):
    write, stored = registry.blobs.write, []

    def watched(blobs):
        assert rows(registry) == [[], [], [], []]
        write(blobs)
        stored.extend(blobs)

    monkeypatch.setattr(registry.blobs, "write", watched)
    version = register(registry)
    assert stored[-1] == version.manifest
    assert {entry.sha256 for entry in packages.manifest(registry.blobs, version.manifest).files.values()} == {
        *stored[:-1]
    }


def test_blobs_that_cannot_be_stored_leave_the_registry_as_it_was(embedded, register, monkeypatch):
    with Registry(embedded) as registry:
        register(registry)
        before = rows(registry)
        (registry.blobs.folder / "full").touch()
        monkeypatch.setattr(registry.blobs, "folder", registry.blobs.folder / "full")
        with pytest.raises(Unavailable, match=r"blobs/full/.* cannot be written"):
            register(registry)
        assert rows(registry) == before


def test_threads_may_register_at_once(registry, register):
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda n: register(registry, weights=b"%d" % n), range(8)))
    assert sorted(version.number for version in made) == [*range(1, 9)]
    for n, version in enumerate(made):
        assert packages.file(registry.blobs, version.manifest, "checkpoint.safetensors") == b"%d" % n
        assert versions.resolve(registry, str(version)) == version


def test_processes_may_register_at_once(settings, register, race):
    def add(n):
        with Registry(settings) as registry:
            return [register(registry, weights=b"%d %d" % (n, k)).number for k in range(2)]

    came = race(add, 4)
    assert sorted(number for numbers in came for number in numbers) == [*range(1, 9)]
    with Registry(settings) as registry:
        assert numbers(registry) == [*range(8, 0, -1)]
        assert all(verification.verify(registry, version) == [] for version in versions.every(registry))


@pytest.mark.parametrize("model", ["blobs", "feedback", "schema"])
def test_a_model_may_be_called_as_a_lock_is(registry, register, model):
    with ThreadPoolExecutor(8) as threads:
        versions = list(threads.map(lambda n: register(registry, model, weights=b"%d" % n), range(16)))
    assert sorted(version.number for version in versions) == [*range(1, 17)]


@pytest.mark.long
def test_of_a_hundred_that_register_at_once_each_is_whole(settings, register, race):
    def add(n):
        with Registry(settings) as registry:
            return register(registry, weights=b"%d" % n).number

    came = race(add, 100)
    assert sorted(outcome for outcome in came if isinstance(outcome, int)) == [*range(1, 101)], came
    with Registry(settings) as registry:
        assert numbers(registry) == [*range(100, 0, -1)]
        assert all(verification.verify(registry, version) == [] for version in versions.every(registry))


@pytest.mark.parametrize("every", [pytest.param(1, marks=pytest.mark.long), 9])
def test_a_register_that_dies_at_any_point_leaves_whole_versions_alone(settings, register, deaths, every):
    """Promise 1: killed at every step, every visible version verifies, and the numbers go on without a gap."""
    Registry(settings).close()

    def add(step):
        with Registry(settings) as registry:
            return register(registry, weights=b"%d" % step)

    seen = []

    def whole(acknowledged):
        with Registry(settings) as registry:
            visible = [version.number for version in versions.every(registry)]
            assert visible == [*range(len(visible), 0, -1)] and len(visible) - len(seen) in (0, 1)
            if acknowledged is not None:
                assert visible[0] == acknowledged.number == len(seen) + 1
            seen[:] = visible
            for version in versions.every(registry):
                assert verification.verify(registry, version) == []

    assert deaths(add, whole, every) * every > 25
    with Registry(settings) as registry:
        assert register(registry).number == len(seen) + 1


# --- resolving and listing


def test_a_version_is_found_by_its_number_its_alias_and_its_reference(registry, register):
    register(registry)
    register(registry)
    aliases.promote(registry, Promotion("fashion", 1, why="first", who="ada"))
    aliases.promote(registry, Promotion("fashion", 1, why="to compare", who="ada", alias="challenger"))
    for reference in ("fashion", "fashion@champion", "fashion@challenger", "fashion:1", Reference("fashion", 1)):
        version = versions.resolve(registry, reference)
        assert version.number == 1 and version.aliases == ("challenger", "champion")
    assert versions.resolve(registry, "fashion:2").aliases == ()
    assert [version.aliases for version in versions.every(registry)] == [(), ("challenger", "champion")]


@pytest.mark.parametrize(
    ("reference", "field", "told"),
    [
        ("letters", "model", "there is no model 'letters'; registered models: fashion"),
        ("letters:1", "model", "there is no model 'letters'; registered models: fashion"),
        ("fashion:9", "version", "there is no fashion:9; fashion has the aliases champion and the versions 2, 1"),
        ("fashion@other", "alias", "there is no fashion@other; fashion has the aliases champion and the versions 2, 1"),
    ],
)
def test_what_is_not_there_is_not_found_and_what_is_there_is_told(registry, register, reference, field, told):
    register(registry)
    register(registry)
    aliases.promote(registry, Promotion("fashion", 1, why="first", who="ada"))
    with pytest.raises(NotFound) as missing:
        versions.resolve(registry, reference)
    assert (missing.value.field, missing.value.problem) == (field, told)


def test_an_empty_registry_says_how_to_fill_it(registry):
    assert versions.page(registry) == [] == [*versions.every(registry)]
    with pytest.raises(NotFound, match="the registry is empty; `tailorbird demo` registers a first model"):
        versions.resolve(registry, "fashion")
    with pytest.raises(NotFound, match="there is no model 'fashion'"):
        versions.page(registry, "fashion")


def test_a_list_of_one_model_holds_that_model_alone(registry, register):
    register(registry, "fashion")
    register(registry, "letters")
    assert [str(version) for version in versions.every(registry, "letters")] == ["letters:1"]


def add_rows(registry, model, numbers, created):
    """Versions that are rows alone, which is all that a page looks at."""
    row = {"model": model, "manifest": "0" * 64, "lineage": {}, "who": "ada", "created": created}
    row["evidence"] = ABOUT.evidence.record()
    with registry.atomic() as connection:
        if 1 in numbers:
            connection.execute(schema.models.insert().values(name=model, last_number=0, created=created))
        for number in numbers:
            entry = history.enter(connection, model)
            connection.execute(schema.versions.insert().values(**row, id=entry, number=number))


@pytest.fixture
def a_dozen(registry):
    """Versions of three models, the later ones from machines whose clocks are behind; newest first."""
    for year, numbers in (("2026", [1, 2, 3]), ("2025", [4])):
        for model in ("beta", "alpha", "gamma"):
            add_rows(registry, model, numbers, f"{year}-01-01T00:00:00.000000Z")
    registered = [(model, 4) for model in ("gamma", "alpha", "beta")]
    registered += [(model, number) for model in ("gamma", "alpha", "beta") for number in (3, 2, 1)]
    return [versions.recall(registry, model, number) for model, number in registered]


def walked(registry, model, limit):
    """All pages, each asked for after the last version of the one before."""
    result = [versions.page(registry, model, limit=limit)]
    while len(result[-1]) == limit:
        result.append(versions.page(registry, model, limit=limit, before=result[-1][-1]))
    return [one for page in result for one in page]


@pytest.mark.parametrize("limit", [1, 2, 5, 12, 100])
def test_pages_follow_each_other_without_a_gap_or_a_repetition(registry, a_dozen, limit):
    assert walked(registry, None, limit) == a_dozen
    assert [str(version) for version in walked(registry, "alpha", limit)] == [
        "alpha:4",
        "alpha:3",
        "alpha:2",
        "alpha:1",
    ]


@pytest.mark.parametrize("model", [None, "alpha"])
def test_what_is_registered_meanwhile_moves_no_page(registry, a_dozen, model):
    first = versions.page(registry, model, limit=2)
    rest = versions.page(registry, model, before=first[-1])
    add_rows(registry, "alpha", [5], schema.now())
    add_rows(registry, "omega", [1], schema.now())
    assert versions.page(registry, model, before=first[-1]) == rest
    assert versions.page(registry, model, limit=2) != first


def test_a_page_goes_on_after_a_version_that_was_deleted_meanwhile(registry, a_dozen):
    first, second, *_ = versions.page(registry, "alpha")
    versions.delete(registry, "alpha", second.number, why="old", who="ada")
    assert [version.number for version in versions.page(registry, "alpha", before=second)] == [2, 1]
    assert [version.number for version in versions.page(registry, "alpha", before=first)] == [2, 1]


def test_a_version_that_was_deleted_is_recalled_by_its_number(registry, a_dozen):
    there = versions.resolve(registry, "alpha:1")
    assert versions.recall(registry, "alpha", 1) == there
    versions.delete(registry, "alpha", 1, why="old", who="ada")
    assert versions.recall(registry, "alpha", 1) == there
    with pytest.raises(NotFound, match="there is no alpha:99; alpha has"):
        versions.recall(registry, "alpha", 99)


def test_every_goes_over_pages(registry, a_dozen, monkeypatch):
    pages = []

    def small(*arguments, page=versions.page, **more):
        pages.append(page(*arguments, limit=5, **more))
        return pages[-1]

    monkeypatch.setattr(versions, "page", small)
    assert [*versions.every(registry)] == a_dozen
    assert [len(page) for page in pages] == [5, 5, 2, 0]


def test_a_page_has_a_hundred(registry):
    assert versions.PAGE == 100
    add_rows(registry, "fashion", range(1, 103), schema.now())
    assert [version.number for version in versions.page(registry)] == [*range(102, 2, -1)]
    assert [version.number for version in versions.page(registry, "fashion")] == [*range(102, 2, -1)]
    assert [version.number for version in versions.every(registry)] == [*range(102, 0, -1)]


# --- tags


def test_tags_are_set_changed_and_removed_beside_a_version(registry, register):
    version, other = register(registry), register(registry)
    assert versions.tags(registry, version) == {}
    assert versions.tag(registry, version, {"camera": "north", "b": "2"}) == {"b": "2", "camera": "north"}
    assert versions.tag(registry, version, {"camera": "süd", "b": "", "c": "3"}) == {"c": "3", "camera": "süd"}
    assert versions.tag(registry, version, {"never-there": ""}) == {"c": "3", "camera": "süd"}
    assert list(versions.tags(registry, version)) == ["c", "camera"]
    assert versions.tags(registry, other) == {}
    assert versions.resolve(registry, "fashion:1") == version and verification.verify(registry, version) == []


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"good": "1", "Bad key": "2"}, "^tag: 'Bad key' is not a name"),
        ({"good": "1", "": "2"}, "^tag: '' is not a name"),
        ({"good": "1", "a" * 65: "2"}, "^tag: .* is not a name"),
        ({"good": "1", "nul": "a\0b"}, "^tag nul: holds a NUL character"),
        ({"good": "1", "surrogate": "\ud800"}, "^tag surrogate: is not valid Unicode"),
        ({"good": "1", "blank": " "}, "^tag blank: is empty"),
        ({"good": "1", "long": "a" * 10_001}, "^tag long: has 10,001 characters; accepted: at most 10,000"),
    ],
)
def test_tags_that_cannot_be_kept_are_refused_and_none_is_set(local, register, changes, problem):
    version = register(local)
    with pytest.raises(InvalidInput, match=problem):
        versions.tag(local, version, changes)
    assert versions.tags(local, version) == {}


def test_the_longest_tag_is_kept(registry, register):
    longest = {"a" * 64: "𝄞" * 10_000}
    assert versions.tag(registry, register(registry), longest) == longest


def test_tags_that_many_set_at_once_are_all_there(settings, register, race):
    with Registry(settings) as registry:
        version = register(registry)

    def note(n):
        with Registry(settings) as registry:
            versions.tag(registry, version, {f"of-{n}": "1", "last": f"{n}"})

    assert race(note, 4) == [None] * 4
    with Registry(settings) as registry:
        tags = versions.tags(registry, version)
        assert sorted(tags) == ["last", "of-0", "of-1", "of-2", "of-3"] and tags["last"] in "0123"


# --- deleting


def delete(registry, number, **more):
    versions.delete(registry, "fashion", number, **{"why": "too old", "who": "ada", **more})


def promote(registry, number, **more):
    return aliases.promote(registry, Promotion("fashion", number, **{"why": "better", "who": "ada", **more}))


def test_a_deleted_version_is_not_found_anywhere(registry, register):
    version = register(registry)
    register(registry)
    delete(registry, 1, why="it leaks", who="grace")
    for look in (
        lambda: versions.resolve(registry, "fashion:1"),
        lambda: versions.tag(registry, version, {"a": "b"}),
        lambda: delete(registry, 1),
        lambda: promote(registry, 1),
        lambda: promote(registry, 1, force=True),
    ):
        with pytest.raises(NotFound, match="there is no fashion:1"):
            look()
    assert numbers(registry) == [2] == [version.number for version in versions.page(registry)]
    with registry.reading() as connection:
        [row] = connection.execute(sa.select(schema.deletions))
    assert (row.model, row.number, row.why, row.who) == ("fashion", 1, "it leaks", "grace")


def test_a_model_of_which_all_is_deleted_is_still_known(registry, register):
    register(registry)
    delete(registry, 1)
    assert versions.page(registry, "fashion") == []
    with pytest.raises(NotFound, match=r"^alias: there is no fashion@champion; all versions of fashion are deleted"):
        versions.resolve(registry, "fashion")


def test_numbers_of_deleted_versions_are_not_used_again(registry, register):
    for number in (1, 2, 3):
        assert register(registry).number == number
        delete(registry, number)
    assert register(registry).number == 4
    assert numbers(registry) == [4]


def test_what_an_alias_points_to_is_not_deleted(registry, register):
    for number in (1, 2):
        register(registry)
        promote(registry, number, alias="challenger")
    promote(registry, 1)
    with pytest.raises(Refused, match=r"^deleting fashion:1 was refused: fashion@champion points to it$"):
        delete(registry, 1)
    with pytest.raises(Refused, match=r"^deleting fashion:2 was refused: fashion@challenger points to it$"):
        delete(registry, 2)
    assert numbers(registry) == [2, 1]


def test_what_an_alias_could_be_rolled_back_to_is_not_deleted(registry, register, monkeypatch):
    assert history.WINDOW == 5
    monkeypatch.setattr(history, "WINDOW", 2)
    last = history.WINDOW + 3
    for number in range(1, last + 1):
        register(registry)
        promote(registry, number)
    for number in range(last - history.WINDOW, last):
        with pytest.raises(
            Refused, match=rf"fashion:{number} was refused: fashion@champion could be rolled back to it"
        ):
            delete(registry, number)
    for number in range(1, last - history.WINDOW):
        delete(registry, number)
    assert numbers(registry) == [*range(last, last - history.WINDOW - 1, -1)]


def test_what_only_another_models_alias_holds_may_be_deleted(registry, register):
    for model in ("fashion", "letters"):
        register(registry, model)
    aliases.promote(registry, Promotion("letters", 1, why="first", who="ada"))
    delete(registry, 1)
    with pytest.raises(NotFound):
        versions.resolve(registry, "fashion:1")
    assert versions.resolve(registry, "letters").number == 1


@pytest.mark.parametrize(
    ("more", "problem"),
    [({"why": ""}, "why: is empty"), ({"who": " "}, "who: is empty"), ({"why": "a\0"}, "why: holds a NUL"),
     ({"who": "a" * 129}, "who: has 129")],
)  # fmt: skip
def test_a_deletion_says_why_and_who(local, register, more, problem):
    register(local)
    with pytest.raises(InvalidInput, match=f"^{problem}"):
        delete(local, 1, **more)
    assert numbers(local) == [1]


def test_of_many_that_delete_one_does(settings, register, race):
    with Registry(settings) as registry:
        register(registry)

    def remove(_):
        with Registry(settings) as registry:
            return delete(registry, 1)

    came = race(remove, 4)
    assert sorted(type(outcome).__name__ for outcome in came) == ["NoneType", "NotFound", "NotFound", "NotFound"], came


def test_a_deletion_and_a_promotion_at_once_leave_no_alias_on_what_is_gone(settings, register, race):
    with Registry(settings) as registry:
        for _ in range(3):
            register(registry)
    for number in range(1, 4):

        def act(n, number=number):
            with Registry(settings) as registry:
                return (delete if n else promote)(registry, number)

        promoted, deleted = sorted(race(act, 2), key=lambda item: isinstance(item, Refused | type(None)))
        with Registry(settings) as registry:
            if deleted is None:
                assert isinstance(promoted, NotFound) and number not in numbers(registry)
            else:
                assert promoted.to_number == number == versions.resolve(registry, "fashion").number


# --- verifying

DAMAGE = {how: "is missing" if how == "deleted" else "does not match its SHA-256 sum" for how in stores.HOW}


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("model.onnx", "flipped"),
        ("model.onnx", "deleted"),
        ("heldout.npy", "cut"),
        ("checkpoint.safetensors", "lengthened"),
        ("baseline.json", "emptied"),
        ("manifest.json", "flipped"),
        ("manifest.json", "cut"),
        ("manifest.json", "deleted"),
    ],
)
def test_damage_is_told_by_the_name_of_its_file_and_nothing_is_given_out(registry, register, tmp_path, name, how):
    version = register(registry)
    other = register(registry, weights=b"other", accuracy=0.8)
    assert verification.verify(registry, version) == []
    damaged = blob(registry, version, name)
    stores.damage(registry.blobs, damaged, how)
    problem = f"{name}: {registry.blobs.place(damaged)} {DAMAGE[how]}"
    assert verification.verify(registry, version) == [problem]
    assert verification.verify(registry, other) == []
    for load in (
        lambda: packages.file(registry.blobs, version.manifest, name),
        lambda: packages.write(registry.blobs, version.manifest, tmp_path / "out"),
        lambda: packages.fetch(registry.blobs, version.manifest, tmp_path / "cache"),
    ):
        with pytest.raises(Corrupt) as refused:
            load()
        assert str(refused.value) == problem
    assert not (tmp_path / "out").exists() and not list(tmp_path.glob("cache/packages/*"))
    with pytest.raises(Refused, match="fashion:1 does not verify: "):
        promote(registry, 1, force=True)


def test_what_verify_finds_is_what_the_integrity_gate_finds(registry, package_files):
    """A package whose files are what was registered, and not what their names say."""
    problem = "baseline.json says accuracy 99% of 1000 images, the answers in heldout.npy give 90%"
    baseline = json.loads(package_files()["baseline.json"]) | {"accuracy": 0.99}
    files = package_files(**{"baseline.json": json.dumps(baseline).encode()})
    version = versions.register(registry, "fashion", files, EXPORT, Lineage(), who="ada")
    [told] = verification.verify(registry, version)
    assert told.startswith(problem)
    with pytest.raises(Refused) as refused:
        promote(registry, 1, force=True)
    assert refused.value.reasons == [f"fashion:1 does not verify: {told}"]
    stores.damage(registry.blobs, blob(registry, version, "model.onnx"), "flipped")
    [told] = verification.verify(registry, version)
    assert told.startswith("model.onnx: ")  # of what is damaged no figure is asked


def test_every_damaged_file_is_told(registry, register):
    version = register(registry)
    for name in ("model.onnx", "heldout.npy"):
        stores.damage(registry.blobs, blob(registry, version, name), "flipped")
    assert [problem.partition(":")[0] for problem in verification.verify(registry, version)] == [
        "heldout.npy",
        "model.onnx",
    ]


def test_registering_the_same_files_again_mends_them(registry, register):
    version = register(registry)
    stores.damage(registry.blobs, blob(registry, version, "model.onnx"), "flipped")
    register(registry)
    assert verification.verify(registry, version) == []


@pytest.mark.parametrize(
    ("key", "value"),
    [("evidence", ABOUT.evidence.record()), ("lineage", {}), ("created", "2020"), ("model", "letters")],
)
def test_a_row_that_does_not_say_what_the_manifest_says_is_told(local, register, key, value):
    version = register(local)
    problems = verification.verify(local, Version.of({**version.record(), key: value}))
    assert problems == [f"manifest.json: its {key} differs from that of the version's row"]


@pytest.mark.parametrize(
    ("column", "value"), [("evidence", ABOUT.evidence.record()), ("lineage", {}), ("created", "2020")]
)
def test_a_row_that_was_changed_is_told_and_not_promoted(registry, register, unlock, column, value):
    register(registry)
    unlock(registry, "versions")
    with registry.atomic() as connection:
        connection.execute(schema.versions.update().values({column: value}))
    problems = verification.verify(registry, versions.resolve(registry, "fashion:1"))
    assert problems == [f"manifest.json: its {column} differs from that of the version's row"]
    with pytest.raises(Refused, match=f"fashion:1 does not verify: manifest.json: its {column} differs from"):
        promote(registry, 1, force=True)


@pytest.mark.parametrize("column", ["evidence", "lineage"])
def test_a_row_that_cannot_be_read_is_told_where_it_is_used_and_spoils_no_other(registry, register, unlock, column):
    register(registry), register(registry, weights=b"other")
    unlock(registry, "versions")
    with registry.atomic() as connection:
        connection.execute(schema.versions.update().filter_by(number=1).values({column: {"accuracy": 2, "sweep": 3}}))
    whole, damaged = versions.page(registry, "fashion")
    assert verification.verify(registry, whole) == []
    [problem] = verification.verify(registry, damaged)
    assert problem.startswith(f"fashion:1: {column}: ")
    for use in (damaged.record, lambda: getattr(damaged, column), lambda: versions.resolve(registry, "fashion:1")):
        with pytest.raises(Corrupt, match=f"^fashion:1: {column}: "):
            use()


def test_manifests_that_are_swapped_between_rows_are_told_and_not_loaded(registry, register, unlock, tmp_path):
    made = [register(registry), register(registry, weights=b"other", accuracy=0.8)]
    assert made[0].created != made[1].created
    unlock(registry, "versions")
    with registry.atomic() as connection:
        for one, other in (made, made[::-1]):
            connection.execute(schema.versions.update().filter_by(number=one.number).values(manifest=other.manifest))
    for number in (1, 2):
        assert verification.verify(registry, versions.resolve(registry, f"fashion:{number}")) == [
            "manifest.json: its created differs from that of the version's row",
            "manifest.json: its evidence differs from that of the version's row",
        ]
        with pytest.raises(Refused):
            promote(registry, number, force=True)
        result = versions.resolve(registry, f"fashion:{number}")
        message = r"fashion:\d: manifest.json: its created differs from that of the version's row"
        with pytest.raises(Corrupt, match=message):
            contents.read(registry, result)
        with pytest.raises(Corrupt, match=message):
            carrying.export(registry, result, tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_a_manifest_with_the_bytes_of_anothers_is_told(registry, register):
    version, other = register(registry), register(registry, weights=b"other")
    stores.overwrite(registry.blobs, version.manifest, registry.blobs.get(other.manifest))
    [problem] = verification.verify(registry, version)
    assert problem == f"manifest.json: {registry.blobs.place(version.manifest)} does not match its SHA-256 sum"
    assert verification.verify(registry, other) == []


def test_files_that_are_swapped_in_the_store_are_both_told(registry, register):
    version = register(registry)
    one, other = (blob(registry, version, name) for name in ("model.onnx", "checkpoint.safetensors"))
    contents = registry.blobs.get(one), registry.blobs.get(other)
    stores.overwrite(registry.blobs, one, contents[1])
    stores.overwrite(registry.blobs, other, contents[0])
    told = [problem.partition(":")[0] for problem in verification.verify(registry, version)]
    assert told == ["checkpoint.safetensors", "model.onnx"]


def test_a_row_that_names_another_blob_is_told(registry, register):
    version = register(registry)
    swapped = replace(version, manifest=blob(registry, version, "model.onnx"))
    [problem] = verification.verify(registry, swapped)
    assert problem == "manifest.json: is not a JSON object"
