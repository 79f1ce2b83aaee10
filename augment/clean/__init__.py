"""The clean stage: every image is judged, repaired where that is safe, and normalised."""
