"""What a rung costs before it is run: FLOPs, GPU-hours, memory, disk, money, wall time."""
