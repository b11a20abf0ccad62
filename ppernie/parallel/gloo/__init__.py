"""What fleet needs to run on processes without a GPU.

Paddle's own CPU backend, gloo, has no kernels for tensor parallelism, no point-to-point messages among more than two
ranks, sums float16 to infinity, and often fails to connect four processes. This package stands in its place, under
its name: a process group in Python over sockets (``transport``, ``group``), the missing kernels (``kernels``) and the
gradient sums of ``paddle.DataParallel`` (``reducer``). Fleet's own layers, schedules and optimizers run unchanged.

It is for tests and small machines: it shows that a program is right, and says nothing of Paddle's collective kernels.
"""

from ppernie.parallel.gloo.install import install

__all__ = ["install"]
