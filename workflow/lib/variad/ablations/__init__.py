"""The first document's comparisons beside its main tables: tables 4 and 16 to 18, figures 11 to 18."""
