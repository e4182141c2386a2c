"""Where each file comes from: its hash, the job that wrote it, and all that this job read."""
