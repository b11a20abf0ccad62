"""Packaging: the library ``ppernie``, the families under ``model_zoo``, and the command ``ppernie``."""

from pathlib import Path

from setuptools import Extension, find_packages, setup

ROOT = Path(__file__).parent
VERSION = next(
    line.split('"')[1]
    for line in (ROOT / "ppernie" / "__init__.py").read_text(encoding="utf-8").splitlines()
    if line.startswith("__version__")
)

# The one set that is known to work together; requirements.lock pins all of it with hashes.
LIBRARY = [
    "paddlenlp==3.0.0b4",
    "matplotlib",
    "visualdl==2.5.3",
    "aistudio-sdk<0.3",
    "datasets<4",
    "decorator",
    "filelock",
    "httpx",
    "jieba",
    "jinja2",
    "numpy<2",
    "pandas<3",
    "protobuf",
    "pyarrow<20",
    "pydantic>=2,<3",
    "PyYAML",
    "safetensors",
    "scikit-learn",
    "scipy",
    "sentencepiece",
    "tokenizers",
    "tqdm",
    "xxhash",
]
CPU = ["paddlepaddle==3.3.1"]
# Calibration, and the engines that compute in whole numbers.
INT8 = [
    "onnx",
    "onnxruntime",
    "openvino==2026.4.1",
    "paddle2onnx",
    "paddleslim==2.6.0",
]
DEVELOPMENT = [
    "jsonschema",
    "mypy",
    "pytest",
    "pytest-timeout",
    "pytest-xdist",
    "ruff",
    "seqeval",
    "setuptools<81",
    "types-PyYAML",
]

WEIGHT_ONLY = ("weight_only", "weight_only_8", "weight_only_16")
# Opened with ctypes. OpenMP stays undefined at link time, so that the runtime which Paddle loads serves both.
# Optional: where it does not compile, Paddle's own operations do the work.
KERNELS = Extension(
    "ppernie.nn.kernels._native",
    sources=[f"ppernie/nn/kernels/{name}.c" for name in ("layers", "attention", *WEIGHT_ONLY)],
    depends=[f"ppernie/nn/kernels/{name}.h" for name in ("kernels", "dropout", "weight_only", "weight_only_rows")],
    extra_compile_args=["-O3", "-fopenmp", "-fno-math-errno", "-fno-trapping-math", "-Wno-psabi"],
    optional=True,
)

setup(
    name="ppernie",
    version=VERSION,
    description="PaddlePaddle-native zoo of ERNIE 3.0, ERNIE-Gram, ERNIE-Tiny, ERNIE 5.0 and GLM-130B",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11,<3.12",
    packages=find_packages(include=["ppernie", "ppernie.*", "model_zoo", "model_zoo.*"]),
    package_data={"model_zoo": ["*/zoo.yaml"], "ppernie.nn.kernels": ["*.h"]},
    ext_modules=[KERNELS],
    # paddlepaddle and paddlepaddle-gpu provide the same package: the extras choose one.
    install_requires=LIBRARY,
    extras_require={
        "cpu": CPU,
        "gpu": ["paddlepaddle-gpu>=3.3,<3.4"],
        "int8": INT8,
        "dev": [*CPU, *INT8, *DEVELOPMENT],
    },
    entry_points={"console_scripts": ["ppernie=ppernie.cli.main:main"]},
)
