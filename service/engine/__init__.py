"""Claiming, running and ending jobs on this process's threads."""
