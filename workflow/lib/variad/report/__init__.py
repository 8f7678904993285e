"""Looking at a study: contact sheets, heat maps, the figure of gains and the gallery."""
