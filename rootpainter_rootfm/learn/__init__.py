"""From masks and corrections to better weights."""
