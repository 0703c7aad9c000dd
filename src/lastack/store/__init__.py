"""Datasets on disk: immutable Parquet segments and a manifest."""
