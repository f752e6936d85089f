import pytest
import torch
from PIL import Image
from test_matching import FAR, A, B, found, real

from xai_detect.errors import InputError
from xai_detect.evaluation.figures import Evaluation
from xai_detect.measures.detection import average_precision, threshold_curve
from xai_detect.measures.matching import confusion, counts_per_class, match
from xai_detect.output.drawing.plots import (
    confusion_figure,
    precision_recall_figure,
    save_plots,
    threshold_figure,
)
from xai_detect.values.thresholds import Thresholds


def evaluation(detections, truth, class_names=("zebra", "giraffe", "cow")):
    count, matches = len(class_names), match(detections, truth)
    return Evaluation(
        dataset="toys",
        detector="toy",
        class_names=class_names,
        thresholds=Thresholds(0.25),
        precision_figures=average_precision([(detections, truth)], count),
        counts=counts_per_class(detections, truth, matches, count),
        curve=threshold_curve(detections.scores, matches.right.float(), int(truth.counted.sum())),
        confusion=confusion(detections, truth, matches, count),
        kinds={},
        nearly_found=0,
        ious=matches.iou[matches.right],
        n_images=1,
        verdicts=None,
        problems=(),
        detections={},
    )


SEEN = (found((A, 0, 0.9), (B, 1, 0.8), (FAR, 1, 0.4)), real((A, 0), (B, 0)))


def words(figure):
    return " ".join(text.get_text() for axes in figure.axes for text in axes.texts)


def test_three_pictures_are_written(tmp_path):
    paths = save_plots(evaluation(*SEEN), tmp_path / "new" / "plots")
    assert [path.name for path in paths] == [
        "confusion.png",
        "precision_recall.png",
        "threshold.png",
    ]
    for path in paths:
        with Image.open(path) as picture:
            assert min(picture.size) > 600
    assert len(list(paths[0].parent.iterdir())) == 3


def test_the_confusion_plot_shows_counts_and_only_classes_that_occur():
    figure = confusion_figure(evaluation(*SEEN))
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == ["zebra", "giraffe", "nothing there"]
    assert words(figure).split()[:3] == ["1", "1", "1"]


def test_the_curves_are_those_of_the_evaluation():
    result = evaluation(*SEEN)
    lines = precision_recall_figure(result).axes[0].get_lines()
    assert [line.get_label() for line in lines] == [
        "zebra: AP50 0.50",
        "mean over classes with objects (1): AP50 0.50",
    ]
    f1 = next(
        line for line in threshold_figure(result).axes[0].get_lines() if line.get_label() == "F1"
    )
    assert list(f1.get_ydata()) == pytest.approx(result.curve.f1.tolist())


@pytest.mark.parametrize(
    "scene", [(found(), real()), (found((A, 0, 0.9)), real()), (found(), real((A, 0)))]
)
def test_nothing_to_draw_is_said_in_words(tmp_path, scene):
    result = evaluation(*scene)
    assert len(save_plots(result, tmp_path)) == 3
    assert "nothing to draw" in words(threshold_figure(result))


def test_many_classes_fit(tmp_path):
    names = tuple(f"class {number}" for number in range(80))
    result = evaluation(*SEEN, names)
    matrix = torch.eye(81, dtype=torch.int64)
    object.__setattr__(result, "confusion", matrix)
    confusion_path, *_ = save_plots(result, tmp_path)
    with Image.open(confusion_path) as picture:
        assert max(picture.size) < 4000


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="could not be written"):
        save_plots(evaluation(*SEEN), tmp_path / "file")
