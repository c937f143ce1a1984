"""What the repository does for itself: generated pages, pictures, bills of material. None of it ships."""
