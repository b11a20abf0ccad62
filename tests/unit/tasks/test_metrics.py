"""Scores against their definitions and the libraries that others use."""

import random
import re
import warnings

import numpy as np
import pytest

from ppernie.errors import UserError
from ppernie.tasks.metrics import (
    ClassificationScore,
    EntityScore,
    RegressionScore,
    SpanScore,
    entities_of,
)


def classified(predictions, references):
    score = ClassificationScore()
    score.update(predictions, references)
    return score.compute()


def correlated(predictions, references):
    score = RegressionScore()
    score.update(predictions, references)
    return score.compute()


def spanned(style, predictions, references):
    score = SpanScore(style)
    score.update(predictions, references)
    return score.compute()


# Classification


@pytest.mark.parametrize("classes", [1, 2, 3, 15])
@pytest.mark.parametrize("size", [1, 2, 7, 200])
def test_classification_equals_sklearn(classes, size):
    sklearn = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(classes * 1000 + size)
    references = rng.integers(0, classes, size)
    guesses = rng.integers(0, classes, size)
    predictions = np.where(rng.random(size) < 0.5, references, guesses)
    scores = classified(predictions, references)
    with warnings.catch_warnings():
        # sklearn warns of a single class, where all its scores are still defined.
        warnings.simplefilter("ignore")
        assert scores == pytest.approx(
            {
                "accuracy": sklearn.accuracy_score(references, predictions),
                "macro_f1": sklearn.f1_score(references, predictions, average="macro"),
                "micro_f1": sklearn.f1_score(references, predictions, average="micro"),
                "mcc": sklearn.matthews_corrcoef(references, predictions),
            },
            abs=1e-12,
        )


def test_classification_in_batches_equals_one_batch():
    rng = np.random.default_rng(5)
    predictions, references = rng.integers(0, 4, (2, 50))
    score = ClassificationScore()
    for part in np.array_split(np.arange(50), 7):
        score.update(predictions[part], references[part])
    assert score.compute() == classified(predictions, references)


def test_classification_degenerate():
    assert ClassificationScore().compute() == {"accuracy": 0, "macro_f1": 0, "micro_f1": 0, "mcc": 0}
    assert classified([0, 1, 2], [0, 1, 2])["mcc"] == pytest.approx(1)
    assert classified([1, 0], [0, 1])["mcc"] == pytest.approx(-1)
    assert classified([1, 1, 1], [0, 1, 2])["mcc"] == 0
    with pytest.raises(ValueError, match="must be"):
        classified([0, 1], [0])
    with pytest.raises(ValueError, match="must be"):
        classified([[0], [1]], [[0], [1]])


def test_classification_against_paddlenlp():
    metrics = pytest.importorskip("paddlenlp.metrics")
    import paddle

    rng = np.random.default_rng(3)
    logits = rng.normal(size=(64, 2)).astype("float32")
    references = rng.integers(0, 2, 64)

    def positive_f1(logits, references):
        theirs = metrics.AccuracyAndF1()
        theirs.update(theirs.compute(paddle.to_tensor(logits), paddle.to_tensor(references[:, None])))
        return theirs.accumulate()

    scores = classified(logits.argmax(-1), references)
    accuracy, _, _, f1, _ = positive_f1(logits, references)
    *_, f1_of_zero, _ = positive_f1(logits[:, ::-1].copy(), 1 - references)
    assert scores["accuracy"] == pytest.approx(accuracy)
    assert scores["macro_f1"] == pytest.approx((f1 + f1_of_zero) / 2)

    def mcc(predictions, references):
        theirs = metrics.Mcc()
        theirs.update((np.array(predictions)[:, None], np.array(references)[:, None]))
        return theirs.accumulate()[0]

    assert scores["mcc"] == pytest.approx(mcc(logits.argmax(-1), references))
    # PaddleNLP gives 0 as soon as one of the four counts is 0, hence also for a perfect classifier.
    assert mcc([0, 1, 1], [0, 1, 1]) == 0
    assert classified([0, 1, 1], [0, 1, 1])["mcc"] == pytest.approx(1)


# Regression


@pytest.mark.parametrize("size", [2, 3, 10, 500])
@pytest.mark.parametrize("levels", [3, 1000000])
def test_regression_equals_scipy(size, levels):
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(size + levels)
    references = np.concatenate([[0, 1], rng.integers(0, levels, size - 2)]) / 4
    predictions = references + rng.normal(size=size).round(1)
    predictions[0] -= 9
    scores = correlated(predictions, references)
    assert scores["pearson"] == pytest.approx(stats.pearsonr(predictions, references)[0], abs=1e-12)
    assert scores["spearman"] == pytest.approx(stats.spearmanr(predictions, references)[0], abs=1e-12)


def test_regression_degenerate():
    nothing = {"pearson": 0, "spearman": 0}
    assert RegressionScore().compute() == nothing
    assert correlated([1.0], [2.0]) == nothing
    # scipy gives nan for a constant side, which no later comparison of scores survives.
    assert correlated([0.1] * 7, range(7)) == nothing
    assert correlated(range(7), [0.1] * 7) == nothing
    assert correlated([1e200, 2e200, 3e200], [1e-200, 2e-200, 3e-200]) == pytest.approx({"pearson": 1, "spearman": 1})
    assert np.isnan(list(correlated([1.0, float("nan"), 3.0], [1, 2, 3]).values())).all()
    with pytest.raises(ValueError, match="must be"):
        correlated([1, 2, 3], [1, 2])


def test_regression_against_paddlenlp():
    metrics = pytest.importorskip("paddlenlp.metrics")
    stats = pytest.importorskip("scipy.stats")

    def theirs(predictions, references):
        metric = metrics.PearsonAndSpearman()
        metric.update((np.array(predictions), np.array(references)))
        return metric.accumulate()

    rng = np.random.default_rng(8)
    predictions, references = rng.normal(size=(2, 40))
    pearson, spearman, _ = theirs(predictions, references)
    assert correlated(predictions, references) == pytest.approx({"pearson": pearson, "spearman": spearman})
    # PaddleNLP breaks ties by position, so its Spearman depends on the order of the examples.
    x, y = [1, 2, 2, 3, 3, 4], [2.0, 1.0, 3.0, 3.0, 5.0, 4.0]
    assert correlated(x, y)["spearman"] == pytest.approx(stats.spearmanr(x, y)[0])
    assert theirs(x, y)[1] != pytest.approx(stats.spearmanr(x, y)[0])


# Entities


def test_entities_of():
    assert entities_of([]) == []
    assert entities_of(["O", "O"]) == []
    assert entities_of(["B-PER", "I-PER", "O", "B-LOC"]) == [("PER", 0, 2), ("LOC", 3, 4)]
    assert entities_of(["S-LOC", "B-PER", "E-PER", "I-PER"]) == [("LOC", 0, 1), ("PER", 1, 3), ("PER", 3, 4)]
    assert entities_of(["O", "I-PER", "I-LOC", "B-LOC"]) == [("PER", 1, 2), ("LOC", 2, 3), ("LOC", 3, 4)]
    assert entities_of(["B-born-in", "I-born-in"]) == [("born-in", 0, 2)]


@pytest.mark.parametrize("tag", ["PER", "B", "X-PER", "B-", "o", "", "-PER", "PER-B"])
def test_entities_of_refuses_other_tags(tag):
    with pytest.raises(UserError, match=re.escape(repr(tag))):
        entities_of(["O", tag])


def random_tags(rng, prefixes, length):
    tags = ["O", *(f"{prefix}-{kind}" for prefix in prefixes for kind in ("PER", "LOC"))]
    return [rng.choice(tags) for _ in range(length)]


@pytest.mark.parametrize("prefixes", ["BI", "BIES"])
def test_entities_equal_seqeval(prefixes):
    seqeval = pytest.importorskip("seqeval.metrics")
    rng = random.Random(prefixes)
    for _ in range(300):
        sizes = [rng.randint(1, 9) for _ in range(rng.randint(1, 4))]
        references = [random_tags(rng, prefixes, size) for size in sizes]
        predictions = [
            [a if rng.random() < 0.7 else b for a, b in zip(tags, random_tags(rng, prefixes, 9), strict=False)]
            for tags in references
        ]
        for tags in references:
            theirs = [(kind, start, end + 1) for kind, start, end in seqeval.sequence_labeling.get_entities(list(tags))]
            assert entities_of(tags) == theirs
        score = EntityScore()
        score.update(predictions, references)
        with warnings.catch_warnings():
            # seqeval warns where a score is undefined; both give 0.
            warnings.simplefilter("ignore")
            assert score.compute() == pytest.approx(
                {
                    "precision": seqeval.precision_score(references, predictions),
                    "recall": seqeval.recall_score(references, predictions),
                    "f1": seqeval.f1_score(references, predictions),
                }
            )


def test_entities_equal_paddlenlp():
    metrics = pytest.importorskip("paddlenlp.metrics")
    import paddle

    labels = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
    rng = np.random.default_rng(2)
    references, predictions = rng.integers(0, 5, (2, 6, 12))
    predictions = np.where(rng.random((6, 12)) < 0.7, references, predictions)
    lengths = rng.integers(1, 13, 6)
    theirs = metrics.ChunkEvaluator(labels)
    counts = theirs.compute(*map(paddle.to_tensor, (lengths, predictions, references)))
    theirs.update(*(int(count) for count in counts))
    score = EntityScore()
    score.update(
        *(
            [[labels[i] for i in row[:n]] for row, n in zip(rows, lengths, strict=True)]
            for rows in (predictions, references)
        )
    )
    assert tuple(score.compute().values()) == pytest.approx(theirs.accumulate())


def test_entities_degenerate():
    assert EntityScore().compute() == {"precision": 0, "recall": 0, "f1": 0}
    score = EntityScore()
    score.update([["O"]], [["B-PER"]])
    assert score.compute() == {"precision": 0, "recall": 0, "f1": 0}
    with pytest.raises(ValueError, match="2 predicted tags for 1"):
        score.update([["O", "O"]], [["O"]])


# Spans


def official_find_lcs(left, right):
    """The longest common contiguous run by its definition: try every run of `left`."""
    runs = [left[i:j] for i in range(len(left)) for j in range(i + 1, len(left) + 1)]
    within = [run for run in runs if any(right[k : k + len(run)] == run for k in range(len(right)))]
    return max(map(len, within), default=0)


def test_cmrc_f1_is_that_of_the_longest_common_run():
    rng = random.Random(1)
    for _ in range(200):
        predicted, answer = ("".join(rng.choices("甲乙丙丁", k=rng.randint(1, 8))) for _ in range(2))
        common = official_find_lcs(list(predicted), list(answer))
        expected = 2 * common / (len(predicted) + len(answer))
        assert spanned("cmrc", [predicted], [[answer]])["f1"] == pytest.approx(expected)


def test_cmrc_worked_examples():
    # Contiguous: of 甲乙丙丁 and 甲丙乙丁 only one character in a row agrees, three in order.
    assert spanned("cmrc", ["甲乙丙丁"], [["甲丙乙丁"]]) == {"exact_match": 0, "f1": 0.25}
    # Punctuation of the list goes, letter case goes, words and numbers are one segment each.
    assert spanned("cmrc", ["《红楼梦》。"], [["红楼梦"]]) == {"exact_match": 1, "f1": 1}
    assert spanned("cmrc", ["在IBM公司"], [["ibm 公司"]]) == {"exact_match": 0, "f1": 2 * 3 / 7}
    assert spanned("cmrc", ["12,000人"], [["3.5人"]])["f1"] == 2 * 1 / 4
    assert spanned("cmrc", ["S.G. Hall写"], [["Hall写。"]])["f1"] == pytest.approx(2 * 2 / 5)
    assert spanned("cmrc", ["约8.0％以上"], [["8.0％"]])["f1"] == 2 * 1 / 5
    assert spanned("cmrc", ["见Vol. 3.甲"], [["见vol. 3甲"]])["f1"] == pytest.approx(2 * 3 / 9)
    # A comma of ASCII and a round bracket of ASCII are not on the official list.
    assert spanned("cmrc", ["(甲)"], [["甲"]]) == {"exact_match": 0, "f1": 0.5}
    # The best answer counts, for each score by itself.
    assert spanned("cmrc", ["北京市"], [["上海", "北京", "北京市区"]])["f1"] == pytest.approx(6 / 7)
    assert spanned("cmrc", ["北京", "上海"], [["北京"], ["天津"]]) == {"exact_match": 0.5, "f1": 0.5}


def test_squad_worked_examples():
    assert spanned("squad", ["The Eiffel-Tower!"], [["eiffeltower"]]) == {"exact_match": 1, "f1": 1}
    assert spanned("squad", ["in the year 1999"], [["year 1999", "2000"]]) == {"exact_match": 0, "f1": 0.8}
    assert spanned("squad", ["b a c"], [["c b"]]) == {"exact_match": 0, "f1": 1}
    assert spanned("squad", ["theatre"], [["atre"]])["f1"] == 0


def test_squad_equals_paddlenlp():
    squad = pytest.importorskip("paddlenlp.metrics.squad")
    rng = random.Random(4)
    words = ["the", "A", "an", "Tower", "tower.", "1999", "in", "Eiffel", "(Eiffel)", "b"]
    predictions = [" ".join(rng.choices(words, k=rng.randint(0, 5))) for _ in range(200)]
    references = [
        [" ".join([*rng.choices(words, k=rng.randint(0, 4)), "x"]) for _ in range(rng.randint(0, 3))]
        for _ in range(200)
    ]
    examples = [
        {"id": i, "answers": {"text": answers, "answer_start": [0] * len(answers)}}
        for i, answers in enumerate(references)
    ]
    for prediction, answers, example in zip(predictions, references, examples, strict=True):
        if not answers and prediction.strip() and not squad.normalize_answer(prediction):
            # Only articles and punctuation: PaddleNLP takes that for no answer, though a text was given.
            continue
        exact, f1 = squad.get_raw_scores([example], {example["id"]: prediction})
        assert spanned("squad", [prediction], [answers]) == pytest.approx(
            {"exact_match": exact[example["id"]], "f1": f1[example["id"]]}
        )


@pytest.mark.parametrize("style", ["cmrc", "squad"])
def test_spans_degenerate(style):
    assert SpanScore(style).compute() == {"exact_match": 0, "f1": 0}
    assert spanned(style, ["", " ", "x"], [[], [], []]) == pytest.approx({"exact_match": 2 / 3, "f1": 2 / 3})
    assert spanned(style, [""], [["x"]]) == {"exact_match": 0, "f1": 0}
    with pytest.raises(ValueError, match="shorter"):
        spanned(style, ["x", "y"], [["x"]])
