"""Names, colours and markers that the figures share."""

SCENARIOS = {"one_shot": "One-shot", "few_shot": "Few-shot", "full_shot": "Full-shot"}
# Okabe and Ito's colours without yellow, which is too faint on white; the markers differ as well.
STYLES = (
    ("#0072B2", "o"),
    ("#D55E00", "s"),
    ("#000000", "X"),
    ("#009E73", "^"),
    ("#CC79A7", "D"),
    ("#56B4E9", "v"),
    ("#E69F00", "P"),
    ("#777777", "*"),
)
DODGE = 0.76  # share of a category's band that its markers use
