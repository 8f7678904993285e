"""Adapter of rule export_onnx: a bundle in; the same detector as an ONNX file out."""

from pathlib import Path

from variad.core.job import job
from variad.inspect.inspector import Inspector
from variad.inspect.onnx_model import export_onnx

with job(snakemake) as at:
    export_onnx(Inspector.open(snakemake.input.bundle), snakemake.output.onnx)
    at.log.info("%.1f MB", Path(snakemake.output.onnx).stat().st_size / 1e6)
