include: "workflow/Snakefile"


# an include keeps its default target to itself, so it is named again
workflow.default_target = "all"
