"""Entities in BIO and BIOES tag sequences, and their scores."""

from collections.abc import Sequence

from ppernie.errors import UserError

#: Type, first token, and the token after the last.
Entity = tuple[str, int, int]


def entities_of(tags: Sequence[str]) -> list[Entity]:
    """Entities of one sequence, in order: (type, start, end) with tokens[start:end].

    Malformed sequences are read as conlleval and seqeval's default mode do: I- or E- without a beginning, or
    of another type than before, begins an entity; B-, S- and O end the one before, also without E-.
    Raises UserError for a tag that is neither O nor B-, I-, E-, S- with a type.
    """
    entities: list[Entity] = []
    kind, start, previous = "", 0, "O"
    for index, tag in enumerate([*tags, "O"]):
        prefix, _, tag_kind = tag.partition("-")
        if tag != "O" and (prefix not in ("B", "I", "E", "S") or not tag_kind):
            raise UserError(f"the tag {tag!r} is neither O nor one of B-, I-, E-, S- with a type, as in B-PER")
        continues = prefix in ("I", "E") and previous in ("B", "I") and tag_kind == kind
        if not continues:
            if previous != "O":
                entities.append((kind, start, index))
            kind, start = tag_kind, index
        previous = prefix
    return entities


class EntityScore:
    """Precision, recall and F1 of entities, over all sequences and types (micro average)."""

    def __init__(self) -> None:
        self._correct = self._predicted = self._actual = 0

    def update(self, predictions: Sequence[Sequence[str]], references: Sequence[Sequence[str]]) -> None:
        """Add a batch: tag sequences, each as long as its reference."""
        for predicted_tags, actual_tags in zip(predictions, references, strict=True):
            if len(predicted_tags) != len(actual_tags):
                raise ValueError(f"{len(predicted_tags)} predicted tags for {len(actual_tags)} tokens")
            predicted, actual = set(entities_of(predicted_tags)), set(entities_of(actual_tags))
            self._correct += len(predicted & actual)
            self._predicted += len(predicted)
            self._actual += len(actual)

    def compute(self) -> dict[str, float]:
        """precision, recall and f1; 0 where undefined."""
        found = self._predicted + self._actual
        return {
            "precision": self._correct / self._predicted if self._predicted else 0.0,
            "recall": self._correct / self._actual if self._actual else 0.0,
            "f1": 2 * self._correct / found if found else 0.0,
        }
