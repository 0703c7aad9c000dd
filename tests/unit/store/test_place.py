"""Names of places: folders, S3 URLs and databases."""

import pytest

from lastack.model.errors import UsageError
from lastack.store.place import Where, is_url, place_of


def test_place__a_path_is_local_whatever_it_looks_like():
    for name in ("data", "/data/day.pcap", "-", "C:\\data", "http://x/y", "./s3:/bucket"):
        assert place_of(name).where is Where.local
        assert place_of(name).path == name == place_of(name).shown
        assert not is_url(name)


def test_place__an_s3_url_names_bucket_and_key():
    place = place_of("s3://bucket/day/one?endpoint_override=127.0.0.1:9000")
    assert (place.where, place.path, place.last) == (Where.s3, "bucket/day/one", "one")
    assert place.options == {"endpoint_override": "127.0.0.1:9000"}
    assert place.shown == "s3://bucket/day/one"
    assert is_url(place.name)


def test_place__a_clickhouse_url_names_host_database_and_who_logs_in():
    place = place_of("clickhouse://ann:p%40ss@[2001:db8::1]:8443/net%20flows?secure=1")
    assert place.where is Where.clickhouse
    assert (place.host, place.port, place.path) == ("2001:db8::1", 8443, "net flows")
    assert (place.user, place.password) == ("ann", "p@ss")
    assert place.options == {"secure": "1"}
    assert place.shown == "clickhouse://[2001:db8::1]:8443/net%20flows"
    assert place_of("clickhouse://db/flows").user is None


def test_place__no_password_is_in_what_is_shown():
    place = place_of("clickhouse://ann:secret@db/flows")
    assert "secret" not in place.shown + repr(place)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("clickhouse://", "no host"),
        ("clickhouse:///flows", "no host"),
        ("clickhouse://ann:secret@db", "no database"),
        ("clickhouse://ann:secret@db/a/b", "has a /"),
        ("clickhouse://ann:secret@db:port/flows", "no URL"),
        ("clickhouse://ann:secret@db:99999/flows", "no URL"),
        ("s3://", "no bucket"),
    ],
)
def test_place__a_url_with_something_missing_is_refused_without_its_password(name, said):
    with pytest.raises(UsageError, match=said) as caught:
        place_of(name)
    assert "secret" not in str(caught.value)
