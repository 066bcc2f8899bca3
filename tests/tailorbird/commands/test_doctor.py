import json


def test_everything_is_checked(tailorbird):
    told = tailorbird("doctor", "--json")
    assert told.returncode == 0, told.stderr
    checked = {one["check"]: one for one in json.loads(told.stdout)}
    assert checked.keys() >= {"tailorbird", "train", "serve", "settings", "disk", "database", "storage", "data", "ray"}
    assert checked["database"]["state"] == "ok"
    mends = [one["mend"] for one in json.loads(told.stdout) if one["check"] == "data"]
    for what in ("tailorbird data fashion_mnist", "tailorbird data mnist", "cifar-10-binary.tar.gz"):
        assert any(what in mend for mend in mends)


def test_a_misspelt_setting_is_found(tailorbird):
    told = tailorbird("doctor", "--json", TAILORBIRD_DATADIR="/data")
    (found,) = [one for one in json.loads(told.stdout) if "TAILORBIRD_DATADIR" in one["what"]]
    assert found["state"] == "warning"
    assert "TAILORBIRD_DATA_DIR" in found["mend"]


def test_a_database_that_cannot_be_opened_is_an_error(tailorbird, tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "tailorbird.db").write_bytes(b"this is no database" * 100)
    told = tailorbird("doctor", "--json")
    assert told.returncode == 1
    (found,) = [one for one in json.loads(told.stdout) if one["state"] == "error"]
    assert "tailorbird.db cannot be used" in found["what"]
    assert "Traceback" not in told.stderr


def test_a_wrong_setting_is_named(tailorbird):
    told = tailorbird("doctor", TAILORBIRD_RECEIPT_DAYS="-1")
    assert told.returncode == 2
    assert told.stderr.startswith("error: TAILORBIRD_RECEIPT_DAYS: must be greater than 0")


def test_an_empty_postgresql_is_to_be_migrated(tailorbird, postgres, tmp_path):
    url = postgres.empty()
    home = {"TAILORBIRD_DATABASE_URL": url}
    checks = tailorbird("doctor", "--json", **home)
    (problem,) = [one for one in json.loads(checks.stdout) if one["state"] == "error"]
    assert problem["what"].endswith(" is empty") and problem["mend"] == "run `tailorbird registry migrate`"
    assert tailorbird("registry", "migrate", **home).returncode == 0
    assert tailorbird("doctor", **home).returncode == 0
