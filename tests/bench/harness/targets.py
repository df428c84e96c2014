"""What the node has to reach: ratios of Valkey's figure to ours in the same run, unless another unit is named."""

# (must, goal, ceiling set by the kernel) by pipeline: one worker, 50 connections, 64 B values, 1 million 16 B keys.
CPU = {
    "GET": {1: (1.30, 1.4, 1.5), 16: (2.0, 2.4, 3.6), 64: (2.8, 3.6, 8.5)},
    "SET": {1: (1.40, 1.5, 1.6), 16: (2.3, 2.8, 4.3), 64: (3.1, 4.5, 11)},
}
CPU_OTHERS = {1: 1.1, 16: 1.5, 64: 1.8}
WORK_OF_TWO = 1.8          # 2 workers on 2 cores, times the work of one
RATE_WITH_REPLICA = 0.85   # of SET without one
PEAK_MEMORY = 1.05         # while loading, times the final one
IDLE_MEMORY_MB = 12
IDLE_CONNECTION_BYTES = 3000
IDLE_CPU_PERCENT = 0.5
CHURN_TAIL = 2.0           # p99.9 while keys come, expire and are evicted, times that of the quiet state
HOSTILE_TAIL = 2.0         # p99.9 of others beside hostile clients, times that of the quiet state
HOSTILE_MEMORY_MB = 128    # that hostile clients make the node take, with maxmemory-clients at 64 MB
TURN_CPU_MS = 1.0          # of a turn of the node's loop
# Bytes per key, (must, goal); collections: not more than Valkey.
MEMORY = {"string 16 + 32": (72, 67), "string 16 + 16, TTL": (62, 57), "string 16 + 512": (552, 547)}


def cpu(title, pipeline):
    """(must, goal, ceiling); None where there is none."""
    if title in CPU:
        return CPU[title].get(pipeline, (None, None, None))
    return (CPU_OTHERS.get(pipeline), None, None)
