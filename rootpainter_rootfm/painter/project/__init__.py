"""An open project, and a new one."""
