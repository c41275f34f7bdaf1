"""Batches: many images, from folders to a folder, on this machine or a cluster."""
