"""The table of methods."""

import inspect
import subprocess
import sys
from importlib import import_module

import pytest

from impasto.methods import METHODS
from impasto.provenance import Inputs, read_provenance


def function(target):
    module, _, name = target.partition(":")
    return inspect.unwrap(getattr(import_module(module), name))


@pytest.mark.parametrize("method", METHODS.values(), ids=list(METHODS))
def test_every_method_says_what_its_function_takes(method):
    parameters = inspect.signature(function(method.function)).parameters
    required = [name for name, one in parameters.items() if one.kind is one.POSITIONAL_OR_KEYWORD]
    assert len(required) == len(method.inputs) + method.makes_films  # and where the film goes
    assert set(method.optional_inputs.values()) <= set(parameters)
    assert {"recipe", "on_frame" if method.makes_films else "on_step"} <= set(parameters)
    controls = {"stop", "checkpoint", "measurements"}
    assert controls & set(parameters) == set(method.controls)
    assert {"content", *method.optional_inputs} <= set(Inputs.model_fields)
    if method.planner:
        assert "recipe" in inspect.signature(function(method.planner)).parameters


@pytest.mark.parametrize("method", METHODS.values(), ids=list(METHODS))
def test_a_recipe_stored_alone_is_known_by_its_fields(method):
    provenance = read_provenance(method.recipe().model_dump_json())
    assert (provenance.method, provenance.recipe) == (method.name, method.recipe())


@pytest.mark.parametrize(
    ("text", "method"),
    [
        ("{}", "style"),
        ('{"strength": 0.7, "seed": 3}', "style"),
        ('{"tileable": true}', "texture"),
        ('{"layer": "conv3_1", "steps": 9}', "reconstruct"),
        ('{"method": "zs-n2n"}', "denoise"),
        ('{"sigma": 0.1, "strength": 0.5}', "denoise"),
    ],
)
def test_a_few_options_alone_are_known_too(text, method):
    assert read_provenance(text).method == method


def test_the_table_loads_no_torch():
    code = "import sys, impasto.methods; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
