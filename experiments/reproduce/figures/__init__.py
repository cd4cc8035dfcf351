"""One module for each figure; `registry` finds every `FIGURE` in here."""
