"""Clients that cost little, so that what is measured is the service."""
