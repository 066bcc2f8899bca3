def test_opens_what_lies_in_a_package(loaded):
    assert (loaded.version.number, loaded.alias) == (1, "champion")
    assert loaded.baseline.accuracy == 0.875
    assert len(loaded.signature.classes) == 10
    assert loaded.session.seconds > 0
