"""Pictures: outlines, views, figures, plots."""
