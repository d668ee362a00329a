from pathlib import Path

import pytest

from openk2.pretrained import LocalModelError, built_in_names, find_folder


@pytest.fixture
def assets(tmp_path: Path) -> Path:
    for name in ("two", "one"):
        (tmp_path / "assets" / name).mkdir(parents=True)
        (tmp_path / "assets" / name / "config.json").write_text("{}")
    (tmp_path / "assets" / "no-model").mkdir()
    return tmp_path / "assets"


def test_built_in_models_are_found_by_name(assets: Path) -> None:
    assert built_in_names(assets) == ["one", "two"]
    assert find_folder("two", assets) == assets / "two"


def test_a_path_with_a_config_is_a_model(assets: Path) -> None:
    assert find_folder(assets / "one", assets) == assets / "one"


def test_wrong_paths_are_named_with_what_there_is(assets: Path, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    for path, wrong in [
        (tmp_path / "gone", "does not exist"),
        (assets / "no-model", "holds no config.json"),
        (file, "is not a folder"),
    ]:
        with pytest.raises(LocalModelError) as caught:
            find_folder(path, assets)
        [line] = str(caught.value).splitlines()
        assert line.startswith(f"{path} {wrong}: ")
        assert "built-in model (one, two)" in line
