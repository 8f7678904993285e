"""Looking at a study: contact sheets, heat maps, figures, summary, gallery. Imports up to ``selection``."""
