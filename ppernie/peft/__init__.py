"""Fine-tuning of a few new numbers in a frozen network: LoRA, and the prefixes of P-tuning v2."""

from ppernie.peft.settings import Adapters, Base, Lora, Prefix

__all__ = ["Adapters", "Base", "Lora", "Prefix"]
