"""What ``jobspool doctor`` looks at."""
