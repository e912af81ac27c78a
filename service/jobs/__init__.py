"""Jobs: what is asked of workers, kept in the store so that no crash loses it."""
