# the first document's tables of AUROC
PAPER_TABLES = [f"{number:02d}" for number in range(5, 16)]


def paper_tables():
    """Tables 5 to 15 of the first document beside ours, and what these leave out."""
    tables = expand(
        "results/tables/paper/table_{number}.{form}",
        number=PAPER_TABLES,
        form=["csv", "md", "tex"],
    )
    others = expand(
        "results/tables/paper/{name}.{form}",
        name=["loco", "aupro"],
        form=["csv", "md"],
    )
    return [*tables, *others]


# what each entry of the config section `ablations` makes; those of `maps` are named by their keys
ABLATION_TABLES = {
    "prompts": "table_04",
    "variance_forms": "table_16",
    "encoders_and_strategies": "table_17",
    "strategies": "table_18",
}
ABLATION_FIGURES = {
    "tsne": "figure_12",
    "iterations": "figure_15",
    "lowest_gains": "figure_17",
    "counts": "figure_18",
}


def paper_ablation_files():
    """Tables 4 and 16 to 18 and figures 11 to 18 that the config asks for, and what their cells keep."""
    files = []
    for name, _ in entries(config["ablations"]):
        if name in ABLATION_TABLES:
            stem = f"results/tables/paper/{ABLATION_TABLES[name]}"
            files += [f"{stem}.{form}" for form in ("csv", "md", "tex")]
        if name in ABLATION_FIGURES:
            files.append(f"results/tables/paper/{ABLATION_FIGURES[name]}.csv")
            stem = f"results/figures/paper/{ABLATION_FIGURES[name]}"
            files += [f"{stem}.{form}" for form in ("png", "svg")]
        pictures = "figure_16" if name == "variance_forms" else name.partition(".")[2]
        if pictures:
            files.append(f"results/tables/paper/{pictures}.csv")
            files.append(f"results/figures/paper/{pictures}.png")
    return sorted(set(files) | set(files_behind_ablations()))


def files_behind_ablations():
    """What the cells, training sets and prompts of the config section `ablations` leave behind."""
    section = config["ablations"]
    files = [
        f"{cell.folder}/{name}"
        for cell in all_cells(section, config["datasets"])
        for name in CELL_FILES
        if name != "heatmaps.png"
    ]
    for name, entry in entries(section):
        if name == "prompts":
            choices = prompts_of_ablation(None)
            files += [path for choice in choices for path in files_of_prompts(choice)]
            continue
        for cell in cells_of(entry, config["datasets"]):
            files += files_behind_training_set(cell)
    if "variance_forms" in section:
        files += images_of_forms("image_quality.csv")
    return files


def files_behind_training_set(cell):
    """Files of a category, and of one of its training sets, that a cell is made from."""
    category, folder = (
        f"results/{cell.dataset}/{cell.category}",
        cell.training_set_folder,
    )
    features = f"features/{config['detectors'][cell.detector]['extractor']}.h5"
    files = [
        f"{category}/{name}"
        for name in ("manifest.csv", "images.h5", "shots.csv", features)
    ]
    files.append(f"{folder}/added.h5")
    recipe = config["training_sets"][cell.training_set]
    if recipe["method"] != "none":
        files.append(f"{folder}/{features}")
    if is_guided(recipe):
        stem = prompt_stem(cell.dataset, cell.training_set)
        files += files_of_prompts(f"{category}/{cell.scenario}/prompts/{stem}.json")
    return files


def files_of_prompts(choice):
    """A choice of prompts, with the scores, embeddings and candidates behind it."""
    category, stem = Path(choice).parents[2], Path(choice).stem
    return [
        choice,
        choice.removesuffix("json") + "csv",
        f"{category}/texts/{stem}.h5",
        f"{category}/candidates/{stem.rpartition('.')[2]}.csv",
    ]
