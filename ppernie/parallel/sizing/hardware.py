"""What the machines can do, in numbers that a user may replace by measured ones."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Hardware(BaseModel):
    """GPUs in nodes. The defaults are assumptions, not measurements.

    Peaks and memory bandwidth are those of the data sheet of NVIDIA's A100 SXM 40 GB. Between GPUs it is 80% of what
    a DGX A100 states (NVLink: 300 GB/s each way; one adapter of 200 Gb/s a GPU). Half the peak is about what large
    models reach on it: 44 to 52% in table 1 of Narayanan et al. 2021 (arXiv:2104.04473), communication included.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    peak_tflops: float = Field(default=312, gt=0, description="TFLOP/s of dense 16-bit matrix products")
    peak_tflops_float32: float = Field(default=156, gt=0, description="likewise in float32, by TF32 tensor cores")
    achieved: float = Field(default=0.5, gt=0, le=1, description="share of the peak while a network computes")
    memory_bandwidth: float = Field(default=1555, gt=0, description="GB/s of a GPU's own memory")
    intra_node_bandwidth: float = Field(default=240, gt=0, description="GB/s of a GPU, each way, inside a node")
    inter_node_bandwidth: float = Field(default=20, gt=0, description="GB/s of a GPU, each way, between nodes")
    gpus_per_node: int = Field(default=8, ge=1, description="GPUs of a node")
    reserved: float = Field(
        default=0.1, ge=0, lt=1, description="share of the memory left to contexts, buffers and fragments"
    )

    def flops(self, dtype: str) -> float:
        """Operations a second of a GPU that computes in ``dtype``."""
        return self.achieved * 1e12 * (self.peak_tflops_float32 if dtype == "float32" else self.peak_tflops)

    def bandwidth(self, size: int, stride: int) -> float:
        """Bytes a second of each GPU in a group of ``size`` ranks, every ``stride``-th one.

        A ring that leaves the node passes through the adapters of all its GPUs there: as many as a node has of the
        group's ranks, while the node's other rings pass through the others.
        """
        if size * stride <= self.gpus_per_node:
            return self.intra_node_bandwidth * 1e9
        beside = min(size, max(1, self.gpus_per_node // stride))
        return min(self.intra_node_bandwidth, self.inter_node_bandwidth * beside) * 1e9
