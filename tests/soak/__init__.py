"""Endurance: clients at work on a service that is killed, stopped, frozen and starved of disk.

Each client keeps a diary of what it sent and what it was told. At the end the diaries are held
against the service: what was acknowledged must be there, ended once, and be what was asked for.
"""
