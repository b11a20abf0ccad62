"""The sections of a config as typed objects."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, Field, ValidationInfo

from ppernie.peft import Lora, Prefix
from ppernie.section import Section
from ppernie.slim.distillation.settings import Distil, Distillation
from ppernie.slim.pruning.settings import Layers, Sparsity, Vocabulary, Width
from ppernie.slim.quantization.settings import Quantization
from ppernie.slim.settings import Gate, Latency
from ppernie.slim.weight_only.arithmetic import Scheme

Steps = Annotated[int, Field(ge=0)]
Ratio = Annotated[float, Field(ge=0, lt=1)]
Degree = Annotated[int, Field(ge=1)]
Beta = Annotated[float, Field(ge=0, lt=1)]
Percent = Annotated[int, Field(ge=0, le=100)]


def percent_of(form: str) -> AfterValidator:
    """Checks a part [first, last) of a file in percent, a field behind ``format``, which must be ``form``."""

    def check(percent: tuple[int, int], info: ValidationInfo) -> tuple[int, int]:
        first, last = percent
        if info.data.get("format", form) != form:
            raise ValueError(f"goes with format: {form}, and with no other")
        if first >= last:
            raise ValueError(
                f"[{first}, {last}] holds nothing; give where a part begins and a higher one where it ends"
            )
        return percent

    return AfterValidator(check)


FewrelPercent = Annotated[tuple[Percent, Percent], percent_of("fewrel")]


class GlobalSection(Section):
    """The run as a whole."""

    output_dir: str = Field(min_length=1, description="Folder for checkpoints, logs and the resolved config")
    seed: int = Field(default=42, ge=0, description="Seed of every random generator")
    device: Literal["auto", "cpu", "gpu"] = Field(
        default="auto", description="Device; auto takes a GPU when there is one"
    )
    threads: int | None = Field(default=None, ge=1, description="CPU threads; null leaves the choice to Paddle")
    pretrained_model: str | None = Field(
        default=None,
        description="Model whose weights the run starts from: a released name, a folder, a file or an address",
    )
    new_head: bool = Field(default=False, description="Draw the head anew though the pretrained model has one")


class DistributedSection(Section):
    """How the work is cut over processes; the degrees multiply to the number of them."""

    dp: Degree | None = Field(
        default=None, description="Ranks with the same weights and other examples; null: what the others leave over"
    )
    sharding: Degree = Field(default=1, description="Ranks with other examples that share one optimizer state")
    sharding_stage: Literal[1, 2, 3] = Field(
        default=1, description="What those ranks share: 1 the optimizer state, 2 the gradients too, 3 the weights too"
    )
    mp: Degree = Field(default=1, description="Ranks that share each layer (tensor parallelism)")
    pp: Degree = Field(default=1, description="Pipeline stages, each with some of the layers")
    sep: Degree = Field(default=1, description="Ranks that share each sequence in attention")
    ep: Degree = Field(default=1, description="Ranks that share the experts")
    sequence_parallel: bool = Field(default=False, description="Cut activations between layers along the sequence")
    recompute: Literal["none", "full", "selective"] = Field(
        default="none", description="What the backward pass computes anew, to save memory: nothing, layers, attention"
    )
    virtual_stages: Degree = Field(default=1, description="Runs of layers that each pipeline stage takes in turn")
    schedule: Literal["1f1b", "interleaved"] = Field(default="1f1b", description="Order of work in the pipeline")


class ArchHead(Section):
    """The keys of Arch that all families share."""

    name: str = Field(description="Family and class, such as ernie3/ErnieForSequenceClassification")
    variant: str | None = Field(default=None, description="Released size whose fields are the defaults of this section")


class ArchSection(ArchHead):
    """The architecture; ``model`` is the family's complete config object."""

    model: BaseModel = Field(exclude=True)


class TaskHead(Section):
    """The key of Task that all tasks share."""

    name: str = Field(description="What the run asks of the model, such as sequence_classification")


class TaskSection(TaskHead):
    """The task; ``options`` is the object of its own options."""

    options: BaseModel = Field(exclude=True)


class TokenizerSection(Section):
    """How text becomes token ids."""

    name: Literal["ernie", "icetk", "glm_bert", "glm_chinese", "glm_gpt2"] = Field(
        default="ernie", description="Kind of the vocabulary file"
    )
    vocab_file: str | None = Field(
        default=None,
        description="vocab.txt of ernie and glm_bert, SentencePiece model of icetk and glm_chinese, or vocab.json of"
        " glm_gpt2 with merges.txt beside it; null takes the folder's, or the pretrained model's",
    )
    folder: str | None = Field(
        default=None, description="Folder of a tokenizer, such as ppernie tokenizer writes, in place of vocab_file"
    )
    lowercase: bool = Field(default=True, description="Lower-case the text first; of ernie and glm_bert")
    image_tokens: int | None = Field(
        default=None,
        ge=0,
        le=1_000_000,
        description="Ids before the first piece of icetk; null takes 20,000, and 0 where the model holds the commands",
    )


class Source(Section):
    """Where examples come from: files or a named data set."""

    files: str | list[str] | None = Field(default=None, description="File, glob pattern, or list of them")
    dataset: str | None = Field(default=None, description="Named data set, in place of files")
    corpus: str | None = Field(default=None, description="Folder that ppernie preprocess wrote, for pretraining")
    subset: str | None = Field(default=None, description="Part of the named data set, such as a task of a benchmark")
    split: str | None = Field(default=None, description="Split of the named data set, such as train")
    format: Literal["jsonl", "json", "tsv", "csv", "conll", "squad", "cluewsc", "fewrel", "text"] | None = Field(
        default=None, description="Layout of the files; null goes by the extension"
    )
    percent: FewrelPercent | None = Field(
        default=None,
        description="Part of a file of format fewrel, [0, 50] its first half by a hash of the two entities: parts that"
        " do not overlap share no pair of entities; null takes all",
    )
    columns: list[str] | None = Field(default=None, description="Column names of a TSV or CSV file without a header")
    header: bool | None = Field(
        default=None, description="Whether the first line of a TSV or CSV file names the columns"
    )
    fields: dict[str, str] | None = Field(default=None, description="Overrides Data.fields for this source")
    limit: int | None = Field(
        default=None, ge=1, description="Read at most this many examples; of a corpus, so many spread evenly over it"
    )


class DataSection(Section):
    """The examples of a run."""

    root: str | None = Field(default=None, description="Folder that relative file paths start from")
    tokenizer: TokenizerSection | None = Field(default=None, description="Tokenizer; null takes the pretrained model's")
    max_length: int = Field(default=128, ge=4, description="Longest input in tokens, special tokens included")
    fields: dict[str, str] = Field(default={}, description="Field of the task -> column, or a template with {column}")
    train: Source | None = Field(default=None, description="Examples to learn from")
    eval: Source | None = Field(default=None, description="Examples that the best model is chosen on")
    test: Source | None = Field(default=None, description="Examples that the best model is reported on")
    workers: int = Field(
        default=0, ge=0, description="Processes that prepare batches; 0 prepares them in the main process"
    )


class Schedule(Section):
    """The learning rate over the steps of a run."""

    name: Literal["linear", "cosine", "polynomial", "wsd", "constant"] = Field(default="linear", description="Shape")
    unit: Literal["steps", "samples"] = Field(
        default="steps",
        description="What warmup, decay and the shape go by; batches that grow hold more samples",
    )
    warmup: Ratio | Steps = Field(default=0.0, description="Rise from zero: a share of the run (0.1) or steps (100)")
    power: float = Field(default=1.0, gt=0, description="Exponent of polynomial")
    min_ratio: float = Field(default=0.0, ge=0, le=1, description="Final learning rate as a share of the highest")
    decay: Ratio | Steps = Field(default=0.1, description="Final fall of wsd: a share of the run (0.1) or steps (100)")


class OptimizerSection(Section):
    """How gradients change the weights."""

    name: Literal["adamw"] = Field(default="adamw", description="Optimizer")
    learning_rate: float = Field(gt=0, description="Highest learning rate")
    betas: tuple[Beta, Beta] = Field(default=(0.9, 0.999), description="Decay of the first and second moment")
    epsilon: float = Field(default=1e-8, gt=0, description="Added to the denominator")
    weight_decay: float = Field(default=0.01, ge=0, description="Decoupled weight decay")
    no_decay: list[str] = Field(default=["bias", "norm"], description="Parameters whose name matches are not decayed")
    layer_decay: float = Field(default=1.0, gt=0, le=1, description="Factor on the learning rate for each layer down")
    clip_norm: float | None = Field(default=1.0, gt=0, description="Largest global gradient norm; null does not clip")
    schedule: Schedule = Field(default=Schedule(), description="Learning rate over the run")


class AmpSection(Section):
    """Mixed precision; the loss scale is float16's."""

    dtype: Literal["float32", "bfloat16", "float16"] = Field(default="float32", description="Type to compute in")
    initial_loss_scale: float = Field(default=32768.0, gt=0, description="First loss scale of float16")
    growth_interval: int = Field(default=2000, ge=1, description="Finite steps after which the loss scale doubles")
    hysteresis: int = Field(
        default=1, ge=1, description="The overflow from which on the loss scale halves, counted anew when it doubles"
    )


class Spike(Section):
    """What counts as a jump of the loss or of the gradient norm, and what follows it."""

    factor: float = Field(default=1.5, gt=1, description="A spike is above this many times the recent median")
    deviations: float = Field(
        default=10.0, gt=0, description="and above the median by this many times the recent spread"
    )
    window: int = Field(default=100, ge=2, description="Steps in the recent median and spread")
    action: Literal["report", "skip", "rollback"] = Field(default="report", description="What to do about a spike")


class Rollback(Section):
    """When a run goes back to a checkpoint, where Train.on_nan or Train.spike.action says rollback."""

    after: int = Field(default=3, ge=1, description="Faulty steps in a row; of fewer only the updates are left out")
    limit: int = Field(default=10, ge=0, description="Rollbacks in a run, after which a fault ends it")


def _in_order(numbers: tuple[int, int]) -> tuple[int, int]:
    first, last = numbers
    if not 1 <= first <= last:
        raise ValueError(f"[{first}, {last}] holds no steps; steps count from 1, and the last comes second")
    return numbers


def _ascending(points: list[tuple[int, float]]) -> list[tuple[int, float]]:
    steps = [step for step, _ in points]
    if any(after <= before for before, after in pairwise(steps)):
        raise ValueError(f"the steps {steps} do not ascend")
    return points


#: The first and the last of some steps, counted from 1 as in the log.
StepRange = Annotated[tuple[int, int], AfterValidator(_in_order)]
#: Steps, and a factor at each.
Points = Annotated[
    list[tuple[Steps, Annotated[float, Field(gt=0, le=1)]]], Field(min_length=1), AfterValidator(_ascending)
]


class Progressive(Section):
    """Growth at the start of a run, in which everything reaches its full value together (ERNIE 3.0, section 3.2.2)."""

    steps: int = Field(ge=1, description="Steps of growth; Optimizer.schedule.warmup sets those of the learning rate")
    length: int | None = Field(default=None, ge=4, description="First length in tokens; null is the full one")
    batch_size: int | None = Field(default=None, ge=1, description="First Train.batch_size; null is the full one")
    accumulate_steps: int | None = Field(
        default=None, ge=1, description="First Train.accumulate_steps; null is the full one"
    )
    dropout: bool = Field(default=True, description="Whether dropout grows, from 0")


class TrainSection(Section):
    """The training loop."""

    epochs: int = Field(default=3, ge=1, description="Passes over the training examples")
    max_steps: int | None = Field(default=None, ge=1, description="Stop after this many optimizer steps")
    batch_size: int = Field(ge=1, description="Examples in a batch on one device")
    accumulate_steps: int = Field(default=1, ge=1, description="Batches whose gradients make one optimizer step")
    log_every: int = Field(default=10, ge=1, description="Steps between log lines")
    save_every: int | None = Field(default=None, ge=1, description="Steps between checkpoints; null saves each epoch")
    keep_last: int = Field(default=2, ge=1, description="Checkpoints to keep")
    async_save: bool = Field(
        default=False, description="Write checkpoints beside the training, from a second copy of weights and moments"
    )
    on_nan: Literal["stop", "skip", "rollback"] = Field(
        default="stop", description="What to do about a non-finite loss or gradient"
    )
    progressive: Progressive | None = Field(
        default=None, description="Growth of length, batch and dropout at the start, for runs over a corpus"
    )
    spike: Spike | None = Field(
        default=None, description="Watch for jumps of the loss and of the gradient norm; null does not"
    )
    rollback: Rollback = Field(default=Rollback(), description="When a run goes back to a checkpoint")
    sparsity: Sparsity | None = Field(
        default=None, description="Zeros that grow in the layers' matrices while they learn; null leaves them"
    )
    skip: list[StepRange] = Field(
        default=[], description="Steps to leave out with their data, such as [[40701, 40900]]; they count all the same"
    )
    embedding_gradient: Points | None = Field(
        default=None,
        description="Arch.embedding_gradient over the run, as [[step, factor], ...] with lines between; null leaves it",
    )
    hang_after: float | None = Field(
        default=1800.0, gt=0, description="Seconds after which a step that has not ended is reported; null does not"
    )


class TuningSection(Section):
    """What of a pretrained model learns: all of it or, with one of the adapters, these and what the model lacks."""

    lora: Lora | None = Field(default=None, description="Low-rank updates of linear layers")
    prefix: Prefix | None = Field(default=None, description="Keys and values that every token sees (P-tuning v2)")
    save: Literal["whole", "adapters"] = Field(
        default="whole",
        description="The model folder: whole stands alone, low-rank updates added to the weights; adapters holds what "
        "has learnt, and which pretrained model it belongs to",
    )

    @property
    def on(self) -> bool:
        """Whether the network has adapters."""
        return self.lora is not None or self.prefix is not None


class EvalSection(Section):
    """Evaluation during and after training."""

    batch_size: int = Field(default=32, ge=1, description="Examples in a batch")
    every: int | None = Field(default=None, ge=1, description="Steps between evaluations; null evaluates each epoch")
    metric: str | None = Field(
        default=None, description="Metric that picks the best model; null takes the task's first"
    )
    early_stopping: int | None = Field(default=None, ge=1, description="Stop after this many evaluations without gain")


class SlimSection(Section):
    """What makes a trained model smaller: a step for each key, in their order; distillation is a run's own."""

    distillation: Distillation | None = Field(
        default=None, description="Teachers that the run learns from; null learns from the data alone"
    )

    distil: Distil | None = Field(
        default=None, description="Go on with a student that learns from the model; null goes on with the model itself"
    )
    vocabulary: Vocabulary | None = Field(
        default=None, description="Keep the tokens that the data has, and the positions it needs; null keeps all"
    )
    layers: Layers | None = Field(default=None, description="Keep some of the layers; null keeps all")
    width: Width | None = Field(
        default=None, description="Keep the most important heads and neurons, at several widths; null keeps all"
    )
    sparsity: Sparsity | None = Field(
        default=None, description="Fine-tune with ever more zeros in the layers' matrices; null leaves them"
    )
    quantization: Quantization | None = Field(
        default=None, description="Calibrate the linear layers for INT8; null leaves them"
    )
    weight_only: Scheme | None = Field(
        default=None, description="Store the matrices of the layers in 8 or 4 bits, without training; null leaves them"
    )
    export: bool = Field(default=False, description="End with a static graph, which section Export tells more of")

    gate: Gate | None = Field(
        default=Gate(), description="What the steps may cost on Data.eval; null lets every result pass"
    )
    latency: Latency | None = Field(
        default=Latency(), description="How long an answer takes before and after; null measures none"
    )


class ExportSection(Section):
    """The static graph and its proof."""

    engine: Literal["paddle", "openvino", "onnxruntime", "onnxruntime_dynamic"] | None = Field(
        default=None,
        description="What runs the graph: paddle in float; openvino and onnxruntime in INT8, the ranges those of"
        " Slim.quantization; onnxruntime_dynamic in INT8, each input's range its own. null: paddle for a model in"
        " float; else openvino or, where weights have 7 bits for CPUs without VNNI, onnxruntime",
    )
    tolerance: float = Field(default=1e-5, gt=0, description="Largest difference allowed between the two graphs")
    int8_tolerance: float = Field(
        default=0.1,
        gt=0,
        description="Largest difference allowed between a graph in INT8 and the network whose numbers are rounded as"
        " its ranges say; without ranges, the one in float",
    )
    samples: int = Field(default=16, ge=1, description="Real inputs to compare the two graphs on")


class Config(Section):
    """A checked config; attribute names are the section names of the YAML."""

    Global: GlobalSection = Field(description="The run as a whole")
    Distributed: DistributedSection = Field(
        default=DistributedSection(), description="How the work is cut over processes"
    )
    Arch: ArchSection = Field(description="The architecture")
    Task: TaskSection = Field(description="What the run asks of the model")
    Data: DataSection = Field(description="The examples")
    Optimizer: OptimizerSection = Field(description="How gradients change the weights")
    AMP: AmpSection = Field(default=AmpSection(), description="Mixed precision")
    Train: TrainSection = Field(description="The training loop")
    Tuning: TuningSection = Field(default=TuningSection(), description="What of a pretrained model learns")
    Eval: EvalSection = Field(default=EvalSection(), description="Evaluation")
    Slim: SlimSection = Field(default=SlimSection(), description="What makes the trained model smaller")
    Export: ExportSection = Field(default=ExportSection(), description="The static graph and its proof")

    def resolved(self) -> dict[str, Any]:
        """Plain values, defaults and variant's fields included, that parse to an equal Config."""
        values = self.model_dump(mode="json")
        values["Arch"] |= self.Arch.model.model_dump(mode="json", round_trip=True)
        values["Task"] |= self.Task.options.model_dump(mode="json", round_trip=True)
        return values
