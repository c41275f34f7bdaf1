"""Painted frames averaged along the motion."""

from itertools import pairwise

import numpy as np
import torch
from clip_makers import QUICK_FILM, paint_film, scene, tensor, texture

from impasto.filming.carrier import Carrier
from impasto.filming.motion import Flow, find_flows, find_still, warping_error
from impasto.filming.steady import mix_with_next, mix_with_past, share_to_mix


def steady(painted, flows):
    """All frames of a film, mixed."""
    mixed, past = [], painted[0]
    for before, after, (back, ahead) in zip(painted[:-1], painted[1:], flows, strict=True):
        mixed.append(mix_with_next(past, before, after, ahead))
        past = mix_with_past(after, before, past, back)
    return [*mixed, past]


def test_what_flickers_is_averaged_along_the_motion_and_stays_sharp():
    frames = list(map(tensor, scene(7)))
    noise = torch.Generator().manual_seed(0)
    painted = [frame + 0.05 * torch.randn(frame.shape, generator=noise) for frame in frames]
    flows = [find_flows(a, b) for a, b in pairwise(frames)]
    mixed = steady(painted, flows)

    def flicker(film):
        return sum(
            warping_error(a, b, flow[0])
            for a, b, flow in zip(film[:-1], film[1:], flows, strict=True)
        )

    assert flicker(mixed) < 0.4 * flicker(painted)
    assert (mixed[3] - frames[3]).abs().mean() < 0.6 * (painted[3] - frames[3]).abs().mean()
    assert (steady(frames, flows)[3] - frames[3]).abs().mean() < 0.005


def test_what_comes_into_view_is_its_own():
    before, after = torch.rand(2, 3, 8, 8, generator=torch.manual_seed(0))
    trust = np.ones((8, 8), np.float32)
    trust[:, 4:] = 0
    flow = Flow(np.zeros((8, 8, 2), np.float32), trust)
    mixed = mix_with_past(after, before, before, flow)
    assert torch.equal(mixed[..., 4:], after[..., 4:])
    assert torch.equal(mix_with_next(mixed, after, before, flow)[..., 4:], after[..., 4:])
    assert not torch.isclose(mixed[..., :4], after[..., :4]).all()


def test_where_the_painting_stays_the_mixture_stays():
    painted, mixed, after = torch.rand(3, 3, 8, 8, generator=torch.manual_seed(0))
    after[:, :4] = painted[:, :4]
    flow = Flow(np.full((8, 8, 2), 0.1, np.float32), np.ones((8, 8), np.float32))
    assert torch.equal(mix_with_past(after, painted, mixed, flow)[:, :4], mixed[:, :4])
    assert torch.equal(mix_with_next(mixed, painted, after, flow)[:, :4], mixed[:, :4])


def test_nothing_is_mixed_where_the_style_changes_at_once():
    assert [share_to_mix(change) for change in (0.0, 0.125, 0.25, 1.0)] == [1, 0.5, 0, 0]


def test_no_frame_is_mixed_across_a_cut_or_with_a_keyframe_of_one_s_own(tmp_path):
    frames = [*scene(3), *scene(2, seed=9)]
    _, alone, _ = paint_film(tmp_path / "alone", frames[:3], QUICK_FILM)
    _, cut, _ = paint_film(tmp_path / "cut", frames, QUICK_FILM)
    key = {"keys": {3: texture(5)}, "engine": "painted"}
    _, keyed, _ = paint_film(tmp_path / "key", [*frames[:3], frames[2]], QUICK_FILM | key)
    for before, *others in zip(alone, cut, keyed, strict=False):
        assert all(torch.equal(before, other) for other in others)


def test_a_slow_motion_is_not_taken_for_standing_still():
    frame = tensor(texture(3).copy())
    slow = Flow(np.full((48, 64, 2), 0.3, np.float32), np.ones((48, 64), np.float32))
    assert not find_still(frame, frame, slow).any()
    assert find_still(frame, frame, Flow(0.1 * slow.steps, slow.trust)).all()


def test_motion_that_noise_makes_is_standing_still():
    frame, noise = tensor(texture(3).copy()), np.random.default_rng(0)
    steps = noise.uniform(-1.5, 1.5, (48, 64, 2)).astype(np.float32)
    assert find_still(frame, frame, Flow(steps, np.ones((48, 64), np.float32))).all()


def test_a_border_is_not_drawn_out_into_what_comes_in_slowly():
    wide = tensor(texture(3, 48, 90).copy())
    frames = [wide[..., 20 - n : 84 - n] for n in range(13)]
    half = [(a + b) / 2 for a, b in pairwise(frames)]
    slow = [frame for pair in zip(frames, half, strict=False) for frame in pair]  # half a pixel
    flow = Flow(np.full((48, 64, 2), (-0.5, 0), np.float32), np.ones((48, 64), np.float32))
    carrier = Carrier(slow[0], slow[0], slow[0], 0)
    for frame in slow[1:9]:
        carried = carrier.step(frame, flow)
    assert (carried.trust[:, :2] < 1).all()
    assert (carried.trust[:, 8:] == 1).all()
