"""Names in the tables of outlier exposure that are no source, objective or training set of the config."""

NO_SOURCE = "none"
FROZEN = "frozen"
PLAIN = "support"
WITH_VIEWS = "with views"
