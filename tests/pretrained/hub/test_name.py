"""Which strings are names of models of the hub."""

from pathlib import Path

import pytest

from openk2.pretrained import HubName, LocalModelError, hub_name
from openk2.pretrained.hub import folder_name


@pytest.mark.parametrize(
    ("text", "repository", "revision"),
    [
        ("moonshotai/Moonlight-16B-A3B", "moonshotai/Moonlight-16B-A3B", None),
        ("moonshotai/Kimi-K2.5@main", "moonshotai/Kimi-K2.5", "main"),
        ("a/b@refs/pr/1", "a/b", "refs/pr/1"),
        ("a_1/b-c.d_e", "a_1/b-c.d_e", None),
    ],
)
def test_a_name_is_an_organisation_a_name_and_a_revision(
    text: str, repository: str, revision: str | None
) -> None:
    name = HubName.parse(text)
    assert name == HubName(repository, revision)
    assert str(name) == text


@pytest.mark.parametrize(
    "text",
    [
        *("model", "/a/b", "./a/b", "../a", "a/../b", "a/b/", "a/b/c", "a//b", "~/a", "~user/b"),
        *("a/b@", "a/b@../c", "a/b@/c", "a/b@c//d", "a/b@-x", "a/b@c@d", "a/..", "a/b--c", "a/b."),
        *("", "/", "a/", "/b", "a\\b", "a/b c", "a/b\n", "http://a/b", f"a/{'b' * 95}", "a/b@c/"),
    ],
)
def test_anything_else_is_no_name(text: str) -> None:
    assert HubName.parse(text) is None


def test_a_path_that_exists_wins_and_a_path_object_is_never_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here" / "model").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert hub_name("here/model") is None
    assert hub_name("here/other") == HubName("here/other")
    assert hub_name(Path("here/other")) is None


def test_a_revision_is_given_once() -> None:
    name = HubName("a/b")
    assert name.at(None) == name
    assert name.at("v1") == HubName("a/b", "v1")
    assert HubName("a/b", "v1").at("v1") == HubName("a/b", "v1")
    for start, revision in ((HubName("a/b", "v1"), "v2"), (name, "../v1")):
        with pytest.raises(LocalModelError, match="cannot be used"):
            start.at(revision)


def test_only_a_whole_commit_pins() -> None:
    assert HubName("a/b", "0" * 40).is_pinned
    for revision in (None, "main", "0" * 39, "0" * 41, "G" * 40):
        assert not HubName("a/b", revision).is_pinned


def test_a_snapshot_is_called_after_its_repository(tmp_path: Path) -> None:
    snapshot = tmp_path / "models--moonshotai--Kimi-K2" / "snapshots" / ("0" * 40)
    assert folder_name(snapshot) == "moonshotai/Kimi-K2"
    assert folder_name(tmp_path / "my-model") == "my-model"
