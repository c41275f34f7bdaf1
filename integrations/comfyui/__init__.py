"""impasto for ComfyUI: paint pictures in the style of others, and clean noisy ones.

Copy this folder into ComfyUI's `custom_nodes`, and install what requirements.txt names.
"""

from .nodes import NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS

__all__ = ["NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS"]
