"""Scraping real pages from a local server, beside the tools that people would use instead."""
