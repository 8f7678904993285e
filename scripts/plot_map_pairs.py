"""Adapter of rule plot_map_pairs: scores and maps of pairs of cells in, one picture of them out."""

from pathlib import Path

import pandas as pd

from variad.core.job import job
from variad.core.tables import read_table, write_table
from variad.paper.pictures import ScoredCell, draw_map_pairs, map_pair, map_title

with job(snakemake) as at:
    given, names = snakemake.input, snakemake.params.cells
    cells = [
        ScoredCell(key, read_table(scores, "scores"), Path(maps).parent)
        for key, scores, maps in zip(names, given.scores, given.maps, strict=True)
    ]
    pairs = [map_pair(*pair) for pair in zip(cells[::2], cells[1::2], strict=True)]
    shown = [(table, maps) for table, maps in pairs if maps]
    at.log.info("%d of %d categories have an anomalous test image", len(shown), len(pairs))
    write_table(snakemake.output.table, pd.concat([table for table, _ in shown]), "map_panels")
    draw_map_pairs(
        snakemake.output.png,
        map_title(snakemake.wildcards.figure, names[1]),
        read_table(snakemake.output.table, "map_panels"),
        [values for _, maps in shown for values in maps],
        {(key["dataset"], key["category"]): path for key, path in zip(names, given.images, strict=True)},
    )
