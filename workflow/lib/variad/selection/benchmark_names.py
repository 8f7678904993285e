"""Names of the benchmarks, apart from what computes them: the config's check needs no more than this."""

CLASS_BENCHMARKS = ("one_vs_rest", "one_vs_one", "one_vs_closest")
DEFECT_BENCHMARKS = ("defects",)
