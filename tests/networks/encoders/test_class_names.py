import pytest

from variad.core.errors import UserError
from variad.networks.conse import imagenet_class_names, names_in


def test_names_follow_the_order_of_the_logits():
    names = imagenet_class_names()
    assert len(names) == 1000
    assert (names[0], names[281], names[999]) == ("tench", "tabby cat", "toilet paper")


def test_names_are_read_from_source_without_running_it(tmp_path):
    path = tmp_path / "names.py"
    path.write_text("raise SystemExit\nOTHER = 1\nIMAGENET_CLASSNAMES = ('a', 'b')\n")
    assert names_in(path) == ["a", "b"]


def test_a_file_without_names(tmp_path):
    path = tmp_path / "names.py"
    path.write_text("OTHER = ['a']\n")
    with pytest.raises(UserError, match="expected a list IMAGENET_CLASSNAMES"):
        names_in(path)
