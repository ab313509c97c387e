"""What is read out of a page, whichever parser read it."""
