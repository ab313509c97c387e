"""Where the truth is kept. The only room with SQL."""
