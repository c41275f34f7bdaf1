"""The plug-in for napari: the widgets Denoise and Style, which `napari.yaml` names to it."""
