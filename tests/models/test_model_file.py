"""A model's file: what it holds, and what is refused."""

import json

import pytest
import torch
from model_makers import fitted
from safetensors.torch import load, save

from impasto.models import model_file
from impasto.models.model import Model
from impasto.models.model_file import ModelError, encode_model, read_model


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return fitted().save(tmp_path_factory.mktemp("model") / "oil.impasto")


def header(path):
    data = path.read_bytes()
    return json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]["impasto"]


def rewritten(path, target, change_facts=None, change_tensors=None):
    """The same file with other facts or tensors."""
    facts, tensors = json.loads(header(path)), load(path.read_bytes())
    if change_facts:
        change_facts(facts)
    if change_tensors:
        change_tensors(tensors)
    target.write_bytes(save(tensors, {"impasto": json.dumps(facts)}))
    return target


def refused(path):
    with pytest.raises(ModelError) as caught:
        Model.load(path)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert path.name in sentence
    return sentence


def test_a_file_comes_back_as_it_was_and_is_under_a_megabyte(path):
    parts, file = read_model(path)
    assert path.stat().st_size < 1_000_000
    assert file.name == "oil.impasto"
    assert encode_model(parts) == path.read_bytes()
    assert parts.facts.figures.steps == 3
    assert len(parts.facts.photographs) == 2


def test_no_file_and_no_model_are_one_sentence(path, tmp_path):
    assert "no such file" in refused(tmp_path / "missing.impasto")
    for name, data in {
        "empty": b"",
        "text": b"hello" * 99,
        "tensors": save({"a": torch.zeros(3)}),
        "cut": path.read_bytes()[:-9],
        "long": path.read_bytes() + bytes(model_file.MAX_BYTES),
    }.items():
        (tmp_path / name).write_bytes(data)
        assert "`model` must be a fitted model" in refused(tmp_path / name)


def test_every_damaged_byte_of_the_header_is_refused_or_harmless(path, tmp_path):
    data = path.read_bytes()
    length = 8 + int.from_bytes(data[:8], "little")
    target = tmp_path / "damaged.impasto"
    for place in range(0, length, 97):
        target.write_bytes(data[:place] + bytes([data[place] ^ 0x15]) + data[place + 1 :])
        try:
            Model.load(target)
        except ModelError:
            continue


def test_a_later_version_says_so(path, tmp_path):
    target = rewritten(path, tmp_path / "new", lambda facts: facts.update(version=2))
    assert refused(target).endswith("update impasto")


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda facts: facts.update(extra=1), "extra"),
        (lambda facts: facts.pop("figures"), "figures"),
        (lambda facts: facts["recipe"].update(size=-1), "recipe.size"),
    ],
)
def test_facts_of_another_kind_are_refused(path, tmp_path, change, word):
    assert word in refused(rewritten(path, tmp_path / "facts", change))


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda tensors: tensors.pop("kernel"), "kernel"),
        (lambda tensors: tensors.update(more=torch.zeros(1)), "more"),
        (lambda tensors: tensors.update(bias=torch.zeros(4).half()), "bias"),
        (lambda tensors: tensors.update(bias=torch.zeros(3)), "float16"),
        (lambda tensors: tensors["bias"].fill_(float("nan")), "none"),
    ],
)
def test_tensors_are_held_against_what_a_model_has(path, tmp_path, change, word):
    assert word in refused(rewritten(path, tmp_path / "tensors", None, change))
