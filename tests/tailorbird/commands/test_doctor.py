import json


def test_everything_is_checked(tailorbird):
    result = tailorbird("doctor", "--json")
    assert result.returncode == 0, result.stderr
    checked = {finding["check"]: finding for finding in json.loads(result.stdout)}
    assert checked.keys() >= {"tailorbird", "train", "serve", "settings", "disk", "database", "storage", "data", "ray"}
    assert checked["database"]["state"] == "ok"
    mends = [finding["mend"] for finding in json.loads(result.stdout) if finding["check"] == "data"]
    for what in ("tailorbird data fashion_mnist", "tailorbird data mnist", "cifar-10-binary.tar.gz"):
        assert any(what in mend for mend in mends)


def test_a_misspelt_setting_is_found(tailorbird):
    result = tailorbird("doctor", "--json", TAILORBIRD_DATADIR="/data")
    (found,) = [finding for finding in json.loads(result.stdout) if "TAILORBIRD_DATADIR" in finding["what"]]
    assert found["state"] == "warning"
    assert "TAILORBIRD_DATA_DIR" in found["mend"]


def test_a_database_that_cannot_be_opened_is_an_error(tailorbird, tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "tailorbird.db").write_bytes(b"this is no database" * 100)
    result = tailorbird("doctor", "--json")
    assert result.returncode == 1
    (found,) = [finding for finding in json.loads(result.stdout) if finding["state"] == "error"]
    assert "tailorbird.db cannot be used" in found["what"]
    assert "Traceback" not in result.stderr


def test_a_wrong_setting_is_named(tailorbird):
    result = tailorbird("doctor", TAILORBIRD_RECEIPT_DAYS="-1")
    assert result.returncode == 2
    assert result.stderr.startswith("error: TAILORBIRD_RECEIPT_DAYS: must be greater than 0")


def test_an_empty_postgresql_is_to_be_migrated(tailorbird, postgres, tmp_path):
    url = postgres.empty()
    home = {"TAILORBIRD_DATABASE_URL": url}
    checks = tailorbird("doctor", "--json", **home)
    (problem,) = [finding for finding in json.loads(checks.stdout) if finding["state"] == "error"]
    assert problem["what"].endswith(" is empty") and problem["mend"] == "run `tailorbird registry migrate`"
    assert tailorbird("registry", "migrate", **home).returncode == 0
    assert tailorbird("doctor", **home).returncode == 0
