"""Files of the manifest and of addresses, from the cache or from the network: whole, checked and pinned.

Environment, read at each call: ``PPERNIE_HOME`` (``places``), ``PPERNIE_ENDPOINT`` (``addresses``),
``PPERNIE_OFFLINE=1`` (nothing connects), ``PPNLP_HOME`` (PaddleNLP's cache, used in place and never written), and
the usual variables for proxies and certificates.
"""

from ppernie.zoo.download.archives import unpacked
from ppernie.zoo.download.policy import Policy
from ppernie.zoo.download.store import cached, get_address, get_file, get_variant
from ppernie.zoo.download.verify import Check, verify

__all__ = ["Check", "Policy", "cached", "get_address", "get_file", "get_variant", "unpacked", "verify"]
