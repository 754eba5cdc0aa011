from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from neurossm.errors import InputError
from neurossm.train.tasks import TaskRequest, named_task
from neurossm.train.tasks.pathfinder import PATH_X, PATHFINDER, pictures

# paddles so near each other, and curves so far apart, that each curve is one area of lit pixels
JOINED = replace(
    PATH_X,
    paddle_length=6.0,
    gaps=(1.0,),
    clearance=6.0,
    start_distance=12.0,
    thickness=2.0,
    disc_radius=3.0,
    light=0.5,
    distractor_light=0.5,
)


@pytest.fixture(scope="module")
def drawn():
    return pictures(PATHFINDER, 1200)


def test_labels_are_what_following_the_curves_finds():
    drawn = pictures(JOINED, 60)
    for x, label, distance in zip(drawn.x, drawn.y, drawn.distance, strict=True):
        discs, count = ndimage.label(x > 200)  # paddles have half the light
        assert count == 2
        centres = np.array(ndimage.center_of_mass(discs > 0, discs, [1, 2]))
        assert np.hypot(*(centres[0] - centres[1])) == pytest.approx(distance, abs=1.0)
        areas, _ = ndimage.label(x > 60, np.ones((3, 3)))
        marked = {int(areas[discs == disc].max()) for disc in (1, 2)}
        assert len(marked) == (1 if label else 2)


def test_each_curve_has_its_paddles():
    alone = replace(PATH_X, distractors=0, light=0.5)
    for x in pictures(alone, 20).x:
        bright = ndimage.binary_dilation(x > 200, iterations=2)  # the discs, which hide two
        _, count = ndimage.label((x > 60) & ~bright, np.ones((3, 3)))
        assert 2 * 14 - 4 <= count <= 2 * 14


def test_pictures_depend_on_seed_and_number_alone(drawn):
    again = pictures(PATHFINDER, 4, start=6)
    np.testing.assert_array_equal(again.x, drawn.x[6:10])
    np.testing.assert_array_equal(again.y, drawn.y[6:10])
    other = pictures(PATHFINDER, 4, start=6, seed=1)
    assert not (other.x == again.x).all(axis=(1, 2)).any()
    assert len({picture.tobytes() for picture in drawn.x}) == len(drawn.x)


def test_classes_are_alike_in_number_and_distance(drawn):
    pairs = drawn.y.reshape(-1, 2)
    assert (pairs.sum(axis=1) == 1).all()
    assert 0.4 < pairs[:, 0].mean() < 0.6
    assert abs(np.diff(drawn.distance.reshape(-1, 2))).max() <= PATHFINDER.tolerance


def test_no_sum_of_pixels_tells_the_classes_apart(drawn):
    pixels = drawn.x.reshape(len(drawn.x), -1) / 255.0
    lit, edges = (pixels > 0.1).sum(axis=1), abs(np.diff(pixels)).sum(axis=1)
    counts = np.stack([pixels.sum(axis=1), lit, edges], axis=1)
    target, learned = 2.0 * drawn.y - 1.0, slice(800)
    for features, ridge in ((counts, 1e-6), (pixels, 10.0)):
        normed = (features - features[learned].mean(axis=0)) / (features[learned].std(axis=0) + 0.1)
        a = normed[learned]
        weights = np.linalg.solve(a.T @ a + ridge * np.eye(a.shape[1]), a.T @ target[learned])
        right = ((normed[800:] @ weights > 0) == (drawn.y[800:] == 1)).mean()
        assert abs(right - 0.5) < 0.08  # three standard errors of 400 pictures are 0.075


def test_the_tasks_are_rows_of_pixels_in_three_parts():
    task = named_task("pathfinder", TaskRequest(limit=3, seed=5))
    assert (task.input.kind, task.classes, task.image_side) == ("uint8", 2, 32)
    assert [tuple(part.x.shape) for part in (task.train, task.held_out, task.test)] == [
        (3, 1024, 1)
    ] * 3
    known = pictures(PATHFINDER, 2, start=180_000, seed=5)
    np.testing.assert_array_equal(task.test.x[:2].numpy(), known.x.reshape(2, 1024, 1))
    assert task.test.y[:2].tolist() == known.y.tolist()
    assert named_task("pathx", TaskRequest(limit=2)).train.x.shape == (2, 16384, 1)


@pytest.mark.parametrize(("count", "start"), [(3, 0), (2, 1), (-2, 0)])
def test_odd_numbers_of_pictures_are_refused(count, start):
    with pytest.raises(InputError, match="both must be even"):
        pictures(PATHFINDER, count, start)


def test_drawings_that_leave_no_room_are_refused():
    with pytest.raises(InputError, match="cannot keep 8 away"):
        replace(JOINED, clearance=8.0)
    with pytest.raises(InputError, match="need a side of four times that"):
        replace(JOINED, start_distance=33.0)
