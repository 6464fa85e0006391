"""The models that the page offers by name: what each is good for, and what others have published about it.

Every figure here has a public source; what was not published is left out, and speed is measured on each machine.
"""

from dataclasses import dataclass

# Recall on Crossmodal-3600 (pictures found by words; the mean of recall@1, 5 and 10, in per cent) and the memory of a
# process that runs the same export. Read at the commit named in docs/models.md.
RECALL_SOURCE = "immich: Searching"
RECALL_ADDRESS = "https://github.com/immich-app/immich/blob/main/docs/docs/features/searching.md"
# Zero-shot top-1 on ImageNet-Sketch, in per cent: drawings in black and white of a thousand kinds of things.
SKETCH_SOURCE = "open_clip: zero-shot results"
SKETCH_ADDRESS = "https://github.com/mlfoundations/open_clip/blob/main/docs/openclip_classification_results.csv"

_FLOAT32_BYTES = 4
_MIB = 2**20


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """A model that a new collection can be made with; `note` says what it is good for in one sentence."""

    name: str
    title: str
    note: str
    languages: str = ""
    parameters: int = 0  # of both towers; 0: not known
    recall_en: float | None = None  # per cent, as all three
    recall_de: float | None = None
    sketch: float | None = None
    memory_bytes: int | None = None  # of a process that runs it, as published

    @property
    def about_bytes(self) -> int | None:
        """Its weights in float32: nearly all of a download, whose exact size the hub says."""
        return self.parameters * _FLOAT32_BYTES or None


POCKET = ModelChoice(
    "pocket",
    "pocket (bundled)",
    "Knows illustrations; for photographs make a collection with another model.",
    languages="English",
)

CHOICES = (
    ModelChoice(
        "onnx:immich-app/ViT-B-32__laion2b-s34b-b79k",
        "ViT-B/32",
        "Photographs and drawings, quick to index: a good first choice for English.",
        languages="English",
        parameters=151_277_313,
        recall_en=68.78,
        recall_de=36.6,
        sketch=53.66,
        memory_bytes=1001 * _MIB,
    ),
    ModelChoice(
        "onnx:immich-app/ViT-B-16-SigLIP__webli",
        "SigLIP B/16",
        "Photographs and drawings with finer detail; some German, French and Spanish.",
        languages="English, some European",
        parameters=203_155_970,
        recall_en=71.64,
        recall_de=75.19,
        sketch=67.92,
        memory_bytes=1081 * _MIB,
    ),
    ModelChoice(
        "onnx:immich-app/ViT-B-16-SigLIP2__webli",
        "SigLIP 2 B/16",
        "The finest of these on photographs, in many languages; wants more memory.",
        languages="Many",
        parameters=375_187_970,
        recall_en=75.19,
        recall_de=86.44,
        memory_bytes=3038 * _MIB,
    ),
    ModelChoice(
        "onnx:immich-app/XLM-Roberta-Base-ViT-B-32__laion5b_s13b_b90k",
        "XLM-R B/32",
        "Photographs in many languages, as quick to index as ViT-B/32.",
        languages="Many",
        parameters=366_120_000,
        recall_en=68.33,
        recall_de=81.63,
        sketch=50.71,
        memory_bytes=3030 * _MIB,
    ),
    ModelChoice(
        "onnx:immich-app/ViT-L-14__laion2b-s32b-b82k",
        "ViT-L/14",
        "A larger ViT-B/32 that knows more things by name, drawings above all; slow without a GPU.",
        languages="English",
        parameters=427_616_513,
        recall_en=69.86,
        recall_de=42.88,
        sketch=63.28,
        memory_bytes=2233 * _MIB,
    ),
    ModelChoice(
        "MobileCLIP2-S0/dfndr2b",
        "MobileCLIP2 S0",
        "Photographs on a small machine. Its licence (apple-amlr) allows research only.",
        languages="English",
        parameters=74_835_073,
    ),
)


def choices(usual: str) -> list[ModelChoice]:
    """What is offered: the server's usual model first, then the bundled one and the table; each once."""
    known = {choice.name: choice for choice in (POCKET, *CHOICES)}
    first = known.pop(usual, None) or ModelChoice(usual, usual, _note(usual))
    return [first, *known.values()]


def _note(usual: str) -> str:
    scheme, _, endpoint = usual.partition(":")
    if scheme == "sagemaker":
        return f"The model behind the SageMaker endpoint {endpoint}, set for this server; pictures are encoded there."
    return "The model set for this server."
